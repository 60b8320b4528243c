"""Fits and judges models of texts."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from services.families.base import Fitted, Model, Report, Split
from services.families.sentiment.data import Examples
from services.families.sentiment.model import SIGNATURE
from services.families.sentiment.payload import FIELD

_EVALUATED = 64
_EXAMPLE = 2


def fit(split: Split, params: Mapping[str, Any], report: Report) -> Fitted:
    """Train the kind that the parameters name (see `TrainableFamily.fit`)."""
    train: Examples = split.train
    classes = sorted(set(train.labels))
    labels = [classes.index(label) for label in train.labels]
    config: dict[str, Any] = {"kind": params["kind"], "classes": classes}
    save: Callable[[Path], None]
    if params["kind"] == "bert":
        from services.families.sentiment import bert

        trained = bert.fit(train.texts, labels, params, report)
        save, config["encoder"] = trained.save, dict(trained.encoder)
    else:
        from services.families.sentiment import tfidf
        from services.families.sentiment.marking import mark

        pipeline = tfidf.fit(train.texts, labels, params)
        right = pipeline.score([mark(text) for text in train.texts], labels)
        report(1, 1, {"train_accuracy": float(right)})
        save = partial(tfidf.save, pipeline)
    return Fitted(save, SIGNATURE, {FIELD: split.held_out.texts[:_EXAMPLE]}, config)


def evaluate(model: Model, held_out: Examples) -> dict[str, float]:
    """Judge a model as it is served (see `SentimentFamily.evaluate`)."""
    from sklearn.metrics import f1_score

    texts = iter(held_out.texts)
    found: list[str] = []
    while part := list(islice(texts, _EVALUATED)):
        batch = [model.preprocess({FIELD: [text]}) for text in part]
        answers = map(model.postprocess, batch, model.infer(batch))
        found += [answer["predictions"][0] for answer in answers]
    right = [one == other for one, other in zip(found, held_out.labels, strict=True)]
    most = max(held_out.labels.count(label) for label in set(held_out.labels))
    scores = {
        "accuracy": sum(right) / len(right),
        "f1": float(f1_score(held_out.labels, found, average="macro", zero_division=0)),
        "majority": most / len(right),
    }
    for device in sorted({device for device in held_out.devices if device.isidentifier()}):
        here = [ok for ok, of in zip(right, held_out.devices, strict=True) if of == device]
        scores[f"accuracy_{device}"] = sum(here) / len(here)
    return scores
