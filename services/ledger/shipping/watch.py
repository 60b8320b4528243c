"""Whether MLflow can be reached, and how many dead letters lie about: looked at now and then."""

from pathlib import Path
from typing import Any

import httpx

from services.core.settings import Settings
from services.ledger.database.opening import Database
from services.ledger.places import Places
from services.registry import client as registry

_ANSWER_SECONDS = 2.0
_BROKEN = 500


class Watch:
    """Asks MLflow how it is, and counts dead letters."""

    name = "watch"

    def __init__(self, settings: Settings, database: Database, places: Places) -> None:
        self._settings = settings
        self._places = places
        self._state = "none"
        # Lines of a file, by its size and time.
        self._letters: dict[tuple[str, int, int], int] = {}
        # Whoever answers: nothing is told, and nothing but that it answers is used.
        self._http = httpx.Client(timeout=_ANSWER_SECONDS, verify=False)  # noqa: S501

    def step(self) -> bool:
        """Look; MLflow has two seconds to answer."""
        self._letters = self._count()
        uri = self._settings.tracking_uri
        if not registry.exists(uri):
            self._state = "none"
        else:
            self._state = "up" if self._answers(uri) else "down"
        return False

    def status(self) -> dict[str, Any]:
        """Return `mlflow` (up, down or none) and `dead_letters`."""
        return {"mlflow": self._state, "dead_letters": sum(self._letters.values())}

    def close(self) -> None:
        """Close its connection."""
        self._http.close()

    def _answers(self, uri: str) -> bool:
        if not uri.startswith(("http://", "https://")):
            return True  # a database, which cannot be told from here
        try:
            return self._http.get(f"{uri.rstrip('/')}/health").status_code < _BROKEN
        except (httpx.HTTPError, httpx.InvalidURL):
            return False

    def _count(self) -> dict[tuple[str, int, int], int]:
        found = {}
        for file in self._places.dead.glob("*.jsonl"):
            try:
                about = file.stat()
                key = (file.name, about.st_size, about.st_mtime_ns)
                known = self._letters.get(key)
                found[key] = _lines(file) if known is None else known
            except FileNotFoundError:
                continue  # sent again meanwhile
        return found


def _lines(file: Path) -> int:
    with file.open("rb") as content:
        return sum(1 for _ in content)
