"""The JSON of `/drift/status`."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["ok", "drift", "not_enough_data", "no_baseline"]

_FEATURE: dict[str, Any] = {
    "feature": "income",
    "score": 3.42,
    "drifted": True,
    "finding": "distribution",
    "kind": "number",
    "samples": 500,
    "psi": 0.81,
    "ks": 0.39,
    "effect": 4.05,
    "p_value": 1.3e-60,
    "note": "mean 3.1 instead of 0.2",
}
EXAMPLE: dict[str, Any] = {
    "drift_detected": True,
    "models": [
        {
            "model": "ml_classifier",
            "version": "3",
            "stage": "Production",
            "state": "drift",
            "drift_detected": True,
            "score": 3.42,
            "since": "2026-11-21T14:31:05.123+00:00",
            "checked_at": "2026-11-21T14:35:05.311+00:00",
            "samples_missing": 0,
            "window": {
                "from": "2026-11-21T14:12:40.002+00:00",
                "to": "2026-11-21T14:35:04.871+00:00",
                "predictions": 500,
                "samples": 500,
                "wanted": 500,
                "inputs": "recorded",
            },
            "baseline": {
                "source": "runs:/0f1e2d3c4b5a69788796a5b4c3d2e1f0/drift/"
                "baseline-5f2b8c1d9e3a7046.npz",
                "created": "2026-11-20T09:00:12.415+00:00",
                "rows": 1000,
            },
            "prediction": None,
            "confidence": None,
            "features": [_FEATURE],
            "unjudged": [],
            "message": "Unlike the baseline: income.",
        }
    ],
    "total_count": 1,
    "every_seconds": 60.0,
    "stale": False,
}


class DriftWindow(BaseModel):
    """The newest predictions, which were compared."""

    model_config = ConfigDict(serialize_by_alias=True, populate_by_name=True)

    first: str | None = Field(alias="from", description="When the oldest of them was made.")
    last: str | None = Field(alias="to", description="When the newest was.")
    predictions: int = Field(description="How many there are.")
    samples: int = Field(description="How many rows of them were compared.")
    wanted: int = Field(description="How many rows are, where there are as many (DRIFT_WINDOW).")
    inputs: Literal["recorded", "partly", "not recorded"] = Field(
        description="Whether what was asked is on record (LEDGER_INPUTS, LEDGER_BLOB_DAYS); where "
        "it is not, only the answers are compared."
    )


class DriftBaseline(BaseModel):
    """What they are compared with."""

    source: str = Field(description="Where MLflow has it.")
    created: str | None = Field(description="When it was made. Null before the first look.")
    rows: int | None = Field(description="Of how many rows. Null before the first look.")


class FeatureDrift(BaseModel):
    """One feature of the input, or of the answers."""

    model_config = ConfigDict(extra="allow")

    feature: str
    score: float = Field(description="1 is where the alarm is.")
    drifted: bool
    finding: str | None = Field(
        description="What the score comes from: distribution, unseen, missing or embedding."
    )
    kind: str = Field(description="number, category, text or array.")
    samples: int = Field(description="Values of it in the window.")
    psi: float | None = Field(description="Population stability index.")
    ks: float | None = Field(description="Distance of Kolmogorov and Smirnov, of numbers.")
    effect: float = Field(description="How large the change is; 1 is the least that counts.")
    p_value: float = Field(description="Corrected for the number of tests (Holm).")
    note: str = Field(description="The change, in a few words.")


class DriftLook(BaseModel):
    """One look of the past."""

    checked_at: str
    state: State
    score: float | None
    samples: int


class VersionDrift(BaseModel):
    """How it stands with one version."""

    model: str
    version: str
    stage: str | None = Field(description="Null where it holds neither production nor staging.")
    state: State
    drift_detected: bool
    score: float | None = Field(
        description="The highest of its features; 1 is where the alarm is. Null without a verdict."
    )
    since: str | None = Field(description="When the drift was first seen that there is now.")
    checked_at: str | None = Field(description="The last look. Null: nobody has looked.")
    samples_missing: int | None = Field(description="Rows that a verdict still needs.")
    window: DriftWindow | None
    baseline: DriftBaseline | None
    prediction: FeatureDrift | None = Field(description="What was answered, against the baseline.")
    confidence: FeatureDrift | None = Field(description="How sure the model was.")
    features: list[FeatureDrift] = Field(description="What was asked, the highest score first.")
    unjudged: list[str] = Field(description="Features that the window says nothing about.")
    message: str
    history: list[DriftLook] | None = Field(
        default=None,
        description="The last looks, the newest first; where one version is asked for.",
    )


class DriftStatus(BaseModel):
    """How it stands with all of them."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    drift_detected: bool = Field(description="Whether any of them drifts.")
    models: list[VersionDrift]
    total_count: int
    every_seconds: float = Field(
        description="How often workers look (DRIFT_EVERY); 0: only `slipway drift check` does."
    )
    stale: bool = Field(description="MLflow does not answer: these are the versions known before.")
