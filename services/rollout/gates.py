"""The checks of a candidate against the version that serves, run in this process."""

from collections.abc import Callable
from typing import Any

from services.core.errors import SlipwayError
from services.core.signature.validate import compatible
from services.families.base import Gates, predict
from services.registry.catalogue import VersionRef
from services.rollout import accuracy, answers, latency
from services.rollout.checks import NAMES, Check, Options, failed, passed, reason, skipped
from services.rollout.subject import Bench, Subject

# Called with a check's name when it begins.
Note = Callable[[str], None]


def examine(
    bench: Bench,
    candidate: VersionRef,
    serving: VersionRef | None,
    options: Options,
    note: Note = lambda _: None,
) -> tuple[Check, ...]:
    """Run every check of `NAMES`; a failed one does not keep the others from being made.

    Both versions are opened here, beside whatever serves, and closed at the end.
    """
    note("loads")
    with bench.lending() as opened:
        try:
            subject = bench.open(candidate, opened)
        except Exception as error:
            rest = "not made, for the version does not load"
            return (
                failed("loads", f"{_capital(reason(error))}."),
                *(skipped(name, rest) for name in NAMES[1:]),
            )
        other, trouble = _serving(bench, serving, opened)
        examination = _Examination(subject, other, trouble, options)
        checks = [_loads(subject)]
        for name in NAMES[1:]:
            note(name)
            checks.append(examination.make(name))
        return tuple(checks)


class _Examination:
    """The checks of an opened candidate; `trouble` says why the serving version is not open."""

    def __init__(
        self, candidate: Subject, serving: Subject | None, trouble: str | None, options: Options
    ) -> None:
        self.candidate = candidate
        self.serving = serving
        self.trouble = trouble
        self.options = options

    def make(self, name: str) -> Check:
        """Make one check; whatever breaks in it fails it."""
        if name in self.options.skip:
            return skipped(name, "left out, as asked for")
        check: Callable[[], Check] = getattr(self, name)
        try:
            return check()
        except Exception as error:
            return failed(name, f"The check cannot be made: {reason(error)}.")

    def signature(self) -> Check:
        """Find what clients of the serving version would trip over."""
        new = self.candidate.signature
        fields = 0 if new is None else len(new.inputs)
        if self.trouble is not None:
            return failed("signature", f"{self.trouble}; --skip signature goes on without.")
        if self.serving is None:
            return passed("signature", "No version serves yet.", inputs=fields)
        old = self.serving.signature
        if old is None:
            return passed(
                "signature", "The version that serves has none, so none is broken.", inputs=fields
            )
        if new is None:
            return failed("signature", "The version has none, but the one that serves does.")
        breaks = compatible(old, new)
        if breaks:
            return failed("signature", f"{'; '.join(breaks)}.", breaks=len(breaks))
        return passed("signature", "Clients of the serving version can stay as they are.",
                      inputs=fields)  # fmt: skip

    def example(self) -> Check:
        """Replay the example that was stored with the version."""
        output = predict(self.candidate.model, self._example())
        found = list(answers.faults(output, self.candidate.signature))
        scores = self.candidate.model.confidences(output)
        if any(not 0 <= score <= 1 for score in scores):
            found.append("a confidence is not between 0 and 1")
        if found:
            return failed("example", f"Its answer is not whole: {'; '.join(found[:3])}.")
        return passed("example", "It answers the example stored with it.")

    def accuracy(self) -> Check:
        """Judge both versions on the same held-out data."""
        if self.trouble is not None:
            return failed("accuracy", f"{self.trouble}; --skip accuracy goes on without.")
        return accuracy.check(self.candidate, self.serving, self.options)

    def latency(self) -> Check:
        """Time single answers to the example, of both versions in turn."""
        example = self._example()
        runs = [(self.candidate.model, example)]
        if self.serving is not None and self._answers(self.serving, example):
            runs.append((self.serving.model, example))
        found = latency.measure(runs, self.options.calls)
        mine, limit = found[0], self._limit()
        figures: dict[str, Any] = {
            "median_seconds": mine.median,
            "p95_seconds": mine.p95,
            "calls": mine.calls,
            "limit_seconds": limit,
        }
        text = f"median {_ms(mine.median)}, p95 {_ms(mine.p95)}; {_ms(limit)} is allowed"
        if len(found) > 1:
            ratio = mine.median / found[1].median
            figures |= {"serving_median_seconds": found[1].median, "ratio": ratio}
            text += f"; the serving version takes {_ms(found[1].median)} (×{ratio:.2f})"
        outcome = passed if mine.median <= limit else failed
        return outcome("latency", f"{_capital(text)}.", **figures)

    def _example(self) -> Any:
        if self.candidate.example is None:
            raise SlipwayError(
                "no example was stored with it",
                expected="a model logged with its input_example, or --skip for this check",
            )
        return self.candidate.example

    def _limit(self) -> float:
        if self.options.max_latency is not None:
            return self.options.max_latency
        gates = getattr(self.candidate.family, "gates", None)
        return gates.latency if isinstance(gates, Gates) else self.candidate.deadline

    @staticmethod
    def _answers(subject: Subject, payload: Any) -> bool:
        try:
            predict(subject.model, payload)
        except Exception:
            return False
        return True


def _serving(
    bench: Bench, ref: VersionRef | None, opened: list[Subject]
) -> tuple[Subject | None, str | None]:
    if ref is None:
        return None, None
    try:
        return bench.open(ref, opened), None
    except Exception as error:
        return None, f"Version {ref.version}, which serves, does not load here: {reason(error)}"


def _loads(subject: Subject) -> Check:
    info = subject.model.info
    figures = {"seconds": subject.seconds, "memory_bytes": info.memory_bytes}
    return passed(
        "loads", f"Loaded and warm in {subject.seconds:.2f} s, on {info.device}.", **figures
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
