"""How many runs an experiment has and which is the best, by questions that MLflow answers fast.

MLflow counts nothing, and sorts 100,000 runs by a metric in minutes. What it does in a tenth of a
second is to say whether there is a run at a certain place, and which runs have a metric above a
value. So a count is found by halving, and the best run by raising the bar until none is above it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from services.registry.runs import KIND_TAG, SERVING, finite

# Runs of one question: each costs MLflow a millisecond.
PAGE = 20
METRIC = "accuracy"
_GROWTH = 8
_LOWEST = -1e308

# Asks for (filter, how many, from which place) and returns runs, the newest first, with `token`
# set where there are more.
Ask = Callable[[str, int, int], Any]
Scored = tuple[str, dict[str, float]]


class Count:
    """The number of runs.

    Attributes:
        known: it is certain; else `value` is what it was before, or so many there are at least.
    """

    def __init__(self) -> None:
        self.known = False
        self._least, self._before = 0, 0
        self._guess: int | None = None
        self._most: int | None = None

    @property
    def value(self) -> int:
        """How many."""
        return self._least if self.known else max(self._before, self._least)

    def look(self, page: Any) -> None:
        """Begin anew, with the newest runs."""
        self._before = self._guess = self.value
        self._least, self._most = len(page), None if page.token else len(page)
        self.known = self._most is not None

    def step(self, ask: Ask) -> None:
        """Ask about one more place."""
        place, size = self._next()
        found = ask("", size, place)
        if found:
            self._least = max(self._least, place + len(found))
        if not found.token:
            # Nothing behind these; and where nothing came, nothing there either.
            end = place + len(found)
            self._most = end if self._most is None else min(self._most, end)
        # Runs come and go while they are counted.
        self.known = self._most is not None and self._most <= self._least

    def _next(self) -> tuple[int, int]:
        guess, self._guess = self._guess, None
        if guess is not None and guess > self._least:
            # Most likely there are as many as before, or a few more.
            return guess - 1, PAGE
        if self._most is None:
            return self._least * _GROWTH, 1
        if self._most - self._least < PAGE:
            return self._least, PAGE
        return (self._least + self._most) // 2, 1


class Best:
    """The run with the highest `accuracy`, or, where no run has one, with the highest value of the
    metric that most of the newest runs have. Runs that hold predictions do not take part.

    Attributes:
        known: nothing is above it; else it is the one that was known before, or, where none was,
            the best found so far.
    """

    def __init__(self) -> None:
        self.known = False
        self._metric: str | None = None
        self._run: Scored | None = None
        self._shown: Scored | None = None
        self._was_known = False
        # The best of the look before, whose bar is tried first: it may have been deleted.
        self._before: Scored | None = None
        self._tried_usual = False

    @property
    def run(self) -> dict[str, Any] | None:
        """Its `run_id` and `metrics`; None where no run has any."""
        shown = self._shown if self._was_known else self._run
        return None if shown is None else {"run_id": shown[0], "metrics": shown[1]}

    def look(self, page: Any) -> None:
        """Begin anew, with the newest runs."""
        self._before = self._run
        scored = _scored(page)
        counts = Counter(name for _, metrics in scored for name in metrics)
        metric = min(counts, key=lambda name: (-counts[name], name), default=None)
        self._tried_usual = METRIC in counts
        self._metric = METRIC if self._tried_usual else metric
        self._run = self._highest(scored)
        self.known = not page.token
        self._note()

    def step(self, ask: Ask) -> None:
        """Ask for runs above the bar."""
        if not self._tried_usual:
            self._tried_usual = True
            found = _scored(ask(_above(METRIC, _LOWEST), PAGE, 0))
            if found:
                self._metric = METRIC
                self._run = self._highest(found)
        elif self._metric is None:
            self.known = True
        else:
            self._raise(self._metric, ask)
        self._note()

    def _note(self) -> None:
        if self.known:
            self._shown, self._was_known = self._run, True

    def _raise(self, metric: str, ask: Ask) -> None:
        before, self._before = self._before, None
        if before is not None and metric in before[1]:
            found = ask(_above(metric, before[1][metric], ">="), PAGE, 0)
            # If there is none, it was deleted.
            self.known = bool(found) and not found.token
        else:
            bar = _LOWEST if self._run is None else self._run[1][metric]
            found = ask(_above(metric, bar), PAGE, 0)
            self.known = not found.token
        best = self._run
        self._run = self._highest([*_scored(found), *([best] if best else [])])
        if before is None and self._run == best:
            # MLflow takes what is no number for 0.
            self.known = True

    def _highest(self, scored: Sequence[Scored]) -> Scored | None:
        metric = self._metric
        if metric is None:
            return None
        having = [run for run in scored if metric in run[1]]
        return max(having, key=lambda run: run[1][metric], default=None)


def _scored(runs: Sequence[Any]) -> list[Scored]:
    return [
        (run.info.run_id, finite(run.data.metrics))
        for run in runs
        if run.data.tags.get(KIND_TAG) != SERVING
    ]


def _above(metric: str, value: float, comparator: str = ">") -> str:
    # MLflow's filters know no exponents.
    return f"metrics.`{metric}` {comparator} {Decimal(value):f}"
