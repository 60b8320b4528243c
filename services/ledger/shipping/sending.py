"""Putting a file on a run, and telling an error that passes from one that never will."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from services.core.errors import InvalidInputError, NotFoundError, RegistryUnavailableError
from services.ledger.database.opening import Database
from services.ledger.shipping.destination import Destination
from services.ledger.shipping.parts import Key
from services.registry.client import mlflow_errors

if TYPE_CHECKING:
    import requests
    from mlflow import MlflowClient

# Of the answers 4xx, those that somebody or time will mend: who we are, where MLflow is, when.
_PASSING = frozenset({401, 403, 404, 407, 408, 409, 423, 425, 429})
_MESSAGE_CHARACTERS = 300


class RefusedError(InvalidInputError):
    """MLflow does not take this file, and would not take it later either."""


def send(destination: Destination, database: Database, key: Key, file: Path, folder: str) -> None:
    """Store a file under its own name in a folder of the serving run; what is there is replaced.

    Raises:
        RefusedError: it will never be taken.
        RegistryUnavailableError: not now.
        LedgerUnavailableError: the database does not answer.
        OSError: the file cannot be read, or the disk takes no more.
    """
    with refusals():
        run_id = destination.run_for(database, *key)
        try:
            with mlflow_errors("The run"):
                client = destination.client()
                client.log_artifact(run_id, str(file), folder)
                local = _local_folder(client, run_id)
        except NotFoundError as error:
            destination.doubt(*key)
            raise RegistryUnavailableError(
                "The serving run is gone; it will be made anew.", where="LEDGER_EXPERIMENT"
            ) from error
    if local is not None:
        _confirm(local / folder / file.name)


@lru_cache(maxsize=1000)
def _local_folder(client: "MlflowClient", run_id: str) -> Path | None:
    """Return where MLflow's client writes a run's files by itself, without any server."""
    uri = client.get_run(run_id).info.artifact_uri
    # `mlflow-artifacts:/2/…` has no `//`.
    parts = urlsplit(uri)
    if parts.scheme not in {"", "file"}:
        return None
    return Path(unquote(parts.path) if parts.scheme else uri)


def _confirm(file: Path) -> None:
    """Have the disk confirm a file that was just written: what it came from may be deleted next."""
    for place in (file, file.parent):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def refusals() -> Iterator[None]:
    """Raise RefusedError for what MLflow refuses for good."""
    import requests

    try:
        yield
    except RefusedError:
        raise
    except InvalidInputError as error:
        raise RefusedError(_words(error.__cause__ or error)) from error
    except RegistryUnavailableError as error:
        cause = error.__cause__
        if isinstance(cause, requests.HTTPError) and _is_final(cause):
            raise RefusedError(_words(cause)) from cause
        raise


def _is_final(error: "requests.HTTPError") -> bool:
    status = 0 if error.response is None else error.response.status_code
    return 400 <= status < 500 and status not in _PASSING


def _words(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:_MESSAGE_CHARACTERS]
