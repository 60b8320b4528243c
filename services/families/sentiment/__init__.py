"""Reviews: text in, positive or negative out, by weighted words or by a BERT encoder."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.families.base import (
    Artifact,
    Fitted,
    Gates,
    Model,
    Parameter,
    Report,
    Split,
    TrainableFamily,
)

if TYPE_CHECKING:
    from services.core.settings import Settings

_KINDS = ("tfidf", "bert")


class SentimentFamily(TrainableFamily):
    """TF-IDF with logistic regression, or a linear head on a frozen BERT encoder.

    Any labelled texts train it; names other than positive and negative stay as they are.
    """

    name = "sentiment"
    task = "text-classification"
    model_name = "sentiment-analysis-tfidf"
    field = "reviews"
    experiment = "sentiment-analysis"
    cost = 20.0
    gates = Gates(metric="accuracy", latency=0.25)
    parameters = (
        Parameter("kind", "tfidf", "what to train", choices=_KINDS, tune=False),
        Parameter(
            "regularisation", 1.0, "how strongly large weights are held back, 1: as found best",
            low=0.01, high=100.0, log=True,
        ),
        Parameter("ngram_max", 2, "tfidf: most words of one feature", low=1, high=3),
        Parameter(
            "max_features", 50_000, "tfidf: most features", low=100, high=1_000_000, log=True
        ),
        Parameter(
            "encoder", "minilm", "bert: minilm, a folder, or a name on Hugging Face", tune=False
        ),
        Parameter("layers", 4, "bert: of how many last layers the head sees the means",
            low=1, high=12, tune=False),
        Parameter("max_length", 128, "bert: tokens of a text that count",
            low=8, high=8192, tune=False),
        Parameter("text_column", "text", "column of the texts", tune=False),
        Parameter("label_column", "label", "column of the labels", tune=False),
    )  # fmt: skip

    def open(self, artifact: Artifact, settings: "Settings") -> Model:
        """Bring a model into memory.

        Raises:
            CheckpointError: the files are missing, unsafe or do not fit.
            ConfigurationError: the packaged encoder is not installed, or is another one.
        """
        from services.families.sentiment.model import SentimentModel

        return SentimentModel(artifact, settings)

    def model_for(self, body: Mapping[str, Any], settings: "Settings") -> str:
        """Return the name for the body's `model`: `tfidf` (also where there is none) or `bert`."""
        from services.families.sentiment.payload import kind_asked

        return f"sentiment-analysis-{kind_asked(body) or 'tfidf'}"

    def read(self, source: Path | None, params: Mapping[str, Any]) -> Split:
        """Read a CSV file of texts and labels; None: the reviews that come with Slipway."""
        from services.families.sentiment import data

        params = self.defaults() | dict(params)
        if source is None:
            return data.bundled()
        return data.read(source, params["text_column"], params["label_column"])

    def fit(self, split: Split, params: Mapping[str, Any], seed: int, report: Report) -> Fitted:
        """Train; nothing in it is random, so the seed changes nothing."""
        from services.families.sentiment.training import fit

        return fit(split, self.defaults() | dict(params), report)

    def evaluate(self, model: Model, held_out: Any) -> dict[str, float]:
        """Return `accuracy`, `f1` (mean over the classes) and `majority`, what guessing gets.

        Data that say which texts turn on negation or contrast also give `accuracy_negation`,
        `accuracy_contrast` and so on.
        """
        from services.families.sentiment.training import evaluate

        return evaluate(model, held_out)

    def registered_name(self, params: Mapping[str, Any]) -> str:
        """Return `sentiment-analysis-tfidf` or `sentiment-analysis-bert`."""
        return f"sentiment-analysis-{params.get('kind', 'tfidf')}"


FAMILY = SentimentFamily()
