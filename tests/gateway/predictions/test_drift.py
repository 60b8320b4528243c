"""`GET /drift/status`: what the last looks found, whatever is away."""

from dataclasses import replace
from typing import Any

import httpx

from services.core.settings import Settings
from services.gateway.schemas_drift import EXAMPLE, DriftStatus
from services.ledger.database import drift
from services.ledger.database.drift import State
from tests.conftest import MakeSettings
from tests.gateway.predictions.conftest import Serve, opened
from tests.support.mlflow_server import free_port

URL = "/drift/status"
NAME, VERSION = "adder", "7"
CHECKED = 1_795_262_400_000_000
FEATURE = {
    "feature": "income", "score": 3.4, "drifted": True, "finding": "distribution",
    "kind": "number", "samples": 500, "psi": 0.8, "ks": 0.4, "effect": 0.8, "p_value": 1e-60,
    "note": "mean 3.1 instead of 0.2",
}  # fmt: skip


def state(model: str = NAME, version: str = VERSION, **values: Any) -> State:
    """Return what a look that found a drift writes down."""
    report = {
        "window": {
            "from": CHECKED - 9_000_000, "to": CHECKED, "predictions": 500, "samples": 500,
            "wanted": 500, "inputs": "recorded",
        },
        "baseline": {"source": "runs:/x/drift/y.npz", "created": 1_795_000_000.0, "rows": 1000},
        "drift": {
            "verdict": "drift", "score": 3.4, "unjudged": ["city"],
            "features": [FEATURE, {**FEATURE, "feature": "_prediction", "drifted": False}],
        },
    }  # fmt: skip
    made: dict[str, Any] = {
        "stage": "production", "checked": CHECKED, "verdict": "drift", "score": 3.4,
        "samples": 500, "missing": 0, "since": CHECKED - 60_000_000, "report": report,
    }  # fmt: skip
    return State(model, version, **{**made, **values})


def keep(settings: Settings, *states: State) -> None:
    with opened(settings) as database, database.begin() as connection:
        for one in states:
            drift.keep(connection, one, looked=True)


def listed(client: httpx.Client, **asked: str) -> list[dict[str, Any]]:
    answer = client.get(URL, params=asked)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["total_count"] == len(found["models"])
    return list(found["models"])


def test_what_a_look_found(client: httpx.Client, settings: Settings) -> None:
    (before,) = listed(client)
    assert (before["model"], before["state"], before["checked_at"]) == (NAME, "no_baseline", None)
    assert "slipway drift baseline adder --version 7" in before["message"]
    found = state()
    keep(settings, replace(found, verdict="ok", score=0.2, checked=CHECKED - 1), found)
    (one,) = listed(client)
    assert (one["state"], one["drift_detected"], one["score"]) == ("drift", True, 3.4)
    assert one["since"] == "2026-11-21T11:59:00.000+00:00"
    assert one["checked_at"] == "2026-11-21T12:00:00.000+00:00"
    assert one["window"]["to"] == one["checked_at"]
    assert one["window"]["samples"] == one["window"]["wanted"] == 500
    assert one["baseline"]["rows"] == 1000
    assert one["features"] == [FEATURE]
    assert one["prediction"]["feature"] == "_prediction"
    assert (one["confidence"], one["unjudged"]) == (None, ["city"])
    assert one["message"] == "Unlike the baseline: income."
    assert "history" not in one
    (with_history,) = listed(client, model=NAME, version=VERSION)
    assert [look["state"] for look in with_history["history"]] == ["drift", "ok"]


def test_other_states_say_what_is_missing(client: httpx.Client, settings: Settings) -> None:
    blind = state().report["window"] | {"inputs": "not recorded"}
    short = {"window": blind, "drift": {"verdict": "not_enough_data", "features": []}}
    keep(settings, state(verdict="not_enough_data", score=None, samples=40, missing=60,
                         since=None, report=short))  # fmt: skip
    (one,) = listed(client)
    assert (one["state"], one["samples_missing"], one["score"]) == ("not_enough_data", 60, None)
    assert "60 more rows" in one["message"]
    assert "not on record" in one["message"]


def test_a_version_that_served_once(client: httpx.Client, settings: Settings) -> None:
    keep(settings, state(version="0", stage=None), state(), state("gone", stage=None))
    assert [one["version"] for one in listed(client)] == [VERSION]
    assert [one["version"] for one in listed(client, model=NAME)] == [VERSION, "0"]
    (one,) = listed(client, model=NAME, version="0")
    assert (one["stage"], one["state"]) == (None, "drift")
    assert [one["model"] for one in listed(client, model="gone")] == ["gone"]


def test_what_there_is_not(serve: Serve, make_settings: MakeSettings) -> None:
    client = serve(make_settings(ledger_shipper="off")).client
    for asked, status, where in (
        ({"model": "nobody"}, 404, "model"),
        ({"model": NAME, "version": "9"}, 404, "version"),
        ({"version": "1"}, 422, "model"),
        ({"model": NAME, "version": "../1"}, 422, "version"),
        ({"model": ""}, 422, "model"),
    ):
        answer = client.get(URL, params=asked)
        assert answer.status_code == status, answer.text
        assert where in answer.json()["error"]["where"]


def test_a_database_that_is_away(serve: Serve, make_settings: MakeSettings) -> None:
    address = f"postgresql://slipway:x@127.0.0.1:{free_port()}/none"
    answer = serve(make_settings(ledger_database_url=address, ledger_shipper="off")).client.get(URL)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json()["error"]["code"] == "ledger_unavailable"


def test_without_records_there_is_nothing_to_compare(
    serve: Serve, make_settings: MakeSettings
) -> None:
    (one,) = listed(serve(make_settings(ledger=False, jobs=False)).client)
    assert one["state"] == "no_baseline"
    assert "LEDGER=false" in one["message"]


def test_the_example_of_the_documentation_is_one() -> None:
    DriftStatus.model_validate(EXAMPLE, strict=True)
