"""MLflow's experiments with the number of their runs and the best of them, whatever their size."""

import threading
import time
from base64 import b64encode
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from services.core.settings import Settings
from services.registry.client import connect, exists, mlflow_errors
from services.registry.runs import MOST_EXPERIMENTS
from services.registry.tallies import PAGE, Ask, Best, Count

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Seconds that one request may spend on knowing more.
_BUDGET = 0.3
# Seconds for which nothing is asked again, and so many times as long as the asking took: a large
# experiment keeps MLflow busy for a twentieth of the time at most.
_FRESH = 1.0
_REST = 20.0
_NEVER = float("-inf")


def experiments(settings: Settings) -> list[dict[str, Any]]:
    """Return every experiment, newest first: id, name, number of runs, and the best run.

    The best run has the highest `accuracy`, or, where no run has one, the highest value of the
    metric that most of the newest runs have. The experiment of the predictions has none.
    `complete` is false while there are at least so many runs, and none better was found so far:
    experiments of more than some thousands are counted in the course of several requests.

    Raises:
        RegistryUnavailableError: MLflow does not answer.
    """
    if not exists(settings.tracking_uri):
        return []
    client = connect(settings)
    with mlflow_errors():
        return _experiments_of(settings.tracking_uri, settings.ledger_experiment).all(client)


class _One:
    """What is known of one experiment."""

    def __init__(self, name: str, *, serving: bool) -> None:
        self.name = name
        self.count = Count()
        self.best = Best()
        # The runs that hold predictions are not to be compared: none is better than another.
        self.serving = serving
        self.asked = _NEVER
        # All of it was known once; while it is asked for again, that is what is shown.
        self.complete = False

        self._cost = 0.0

    @property
    def settled(self) -> bool:
        return self.count.known and (self.serving or self.best.known)

    @property
    def fresh(self) -> bool:
        return time.monotonic() - self.asked < max(_FRESH, _REST * self._cost)

    def look(self, ask: Ask) -> None:
        """Begin anew, with the newest runs."""
        self.asked = time.monotonic()
        page = ask("", PAGE, 0)
        self.count.look(page)
        self.best.look(page)
        self._cost = time.monotonic() - self.asked
        self.complete |= self.settled

    def step(self, ask: Ask) -> None:
        """Ask one question or two."""
        began = time.monotonic()
        if not self.count.known:
            self.count.step(ask)
        if not (self.serving or self.best.known):
            self.best.step(ask)
        self._cost += time.monotonic() - began
        self.complete |= self.settled


class _Experiments:
    """The experiments of one MLflow; knows more after each request, where there is more to know."""

    def __init__(self, serving: str) -> None:
        self._serving = serving
        self._known: dict[str, _One] = {}
        self._lock = threading.Lock()

    def all(self, client: "MlflowClient") -> list[dict[str, Any]]:
        """Return every experiment, newest first."""
        found = client.search_experiments(max_results=MOST_EXPERIMENTS)
        with self._lock:
            known = self._known
            self._known = {
                one.experiment_id: known.get(one.experiment_id)
                or _One(one.name, serving=one.name == self._serving)
                for one in found
            }
            self._learn(client)
            return [_told(one, self._known[one.experiment_id]) for one in found]

    def _learn(self, client: "MlflowClient") -> None:
        """Look at each experiment never seen before, and at the others while there is time."""
        until = time.monotonic() + _BUDGET
        for key, one in self._known.items():
            if one.asked == _NEVER:
                one.look(_asking(client, key))
        # What was begun is ended first; then those that were looked at longest ago.
        due = sorted(self._known.items(), key=lambda item: (item[1].settled, item[1].asked))
        for key, one in due:
            ask = _asking(client, key)
            if one.settled:
                if one.fresh:
                    continue
                one.look(ask)
            while not one.settled and time.monotonic() < until:
                one.step(ask)
            if time.monotonic() >= until:
                return


@lru_cache(maxsize=4)
def _experiments_of(uri: str, serving: str) -> _Experiments:
    return _Experiments(serving)


def _asking(client: "MlflowClient", experiment_id: str) -> Ask:
    def ask(wanted: str, size: int, place: int) -> Any:
        # As MLflow itself writes the token of the page that begins there.
        token = b64encode(orjson.dumps({"offset": place})).decode() if place else None
        return client.search_runs([experiment_id], wanted, max_results=size, page_token=token)

    return ask


def _told(experiment: Any, known: _One) -> dict[str, Any]:
    return {
        "experiment_id": experiment.experiment_id,
        "name": experiment.name,
        "total_runs": known.count.value,
        "best_run": None if known.serving else known.best.run,
        "complete": known.complete,
    }
