"""MLflow's client: made late, bounded in time, its errors in Slipway's words."""

import os
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from services.core.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    RegistryUnavailableError,
    SlipwayError,
)
from services.core.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

SQLITE = "sqlite:///"
_CONNECT_SECONDS = 2.0
# MLflow waits 120 s for an answer and asks 7 times more: a server that hangs would hold whoever
# asks for a quarter of an hour. Who serves asks again soon anyway; who trains has time.
_BRIEF = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
_PATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "30", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3"}
# No bar for each of the files of a model.
_SILENT = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}

_NOT_FOUND = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"})
_INVALID = frozenset({"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "MALFORMED_REQUEST"})
_CONFLICT = frozenset({"RESOURCE_ALREADY_EXISTS", "RESOURCE_CONFLICT", "INVALID_STATE"})
_REFUSED = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"})


def connect(settings: Settings, *, patient: bool = False) -> "MlflowClient":
    """Return a client of the MLflow that the settings name, after a knock on its door.

    Args:
        patient: wait longer for answers and ask again. MLflow knows such limits per process only:
            the first call decides, unless the environment did (`MLFLOW_HTTP_REQUEST_TIMEOUT`).

    Raises:
        RegistryUnavailableError: nothing answers at its address.
    """
    for name, value in {**_SILENT, **(_PATIENT if patient else _BRIEF)}.items():
        os.environ.setdefault(name, value)
    uri = settings.tracking_uri
    if not reachable(uri):
        raise RegistryUnavailableError(
            "MLflow does not answer.", where="MLFLOW_TRACKING_URI", expected="a running server"
        )
    with mlflow_errors():
        return _client(uri)


def exists(uri: str) -> bool:
    """Say whether there is a registry at all: a database's file appears with its first use."""
    return not uri.startswith(SQLITE) or Path(uri.removeprefix(SQLITE).partition("?")[0]).exists()


def reachable(uri: str) -> bool:
    """Say whether something takes connections at this address, within two seconds.

    True wherever that cannot be told: a database, or a server behind a proxy.
    """
    parts = urlsplit(uri)
    host = parts.hostname
    if parts.scheme not in {"http", "https"} or host is None or _proxied(parts.scheme, host):
        return True
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True


@contextmanager
def mlflow_errors(subject: str | None = None, *, where: str | None = None) -> Iterator[None]:
    """Turn what MLflow raises inside the block into Slipway's errors.

    Args:
        subject: what is asked for (`The model`); without it nothing can be missing, and a 404
            means that the address is not MLflow's.
        where: the caller's field that names it.

    Raises:
        NotFoundError: the subject does not exist.
        InvalidInputError: MLflow does not accept what it was given.
        ConflictError: it is there already.
        RegistryUnavailableError: anything else: MLflow is away, broken, or refuses us.
    """
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlflowException as error:
        raise _translated(error, subject, where) from error
    except (requests.RequestException, SQLAlchemyError, ConnectionError, TimeoutError) as error:
        raise _unavailable() from error


def move(client: "MlflowClient", name: str, version: str, stage: str, *, alone: bool) -> None:
    """Set MLflow's own, deprecated stage of a version, for clients that read nothing else.

    Args:
        alone: archive every other version in that stage.
    """
    from mlflow import MlflowClient

    # Behind the decorator that warns: a filter for warnings would be one for all threads.
    method: Any = MlflowClient.transition_model_version_stage
    method = getattr(method, "__wrapped__", method)
    method(client, name, version, stage, archive_existing_versions=alone)


def upsert(write: Callable[..., object], *args: str) -> None:
    """Write a tag or an alias, also while another process writes the same one for the first time.

    Args:
        write: a method of MLflow's client that sets one.
        args: what it takes.

    Raises:
        MlflowException: what the method raises otherwise.
    """
    from mlflow.exceptions import MlflowException

    try:
        write(*args)
    except MlflowException as error:
        # MLflow looks whether it is there and then inserts it: of two that do so at once, its
        # database refuses one. The second time it is there, and is changed.
        if "IntegrityError" not in str(error) and "UniqueViolation" not in str(error):
            raise
        write(*args)


@lru_cache(maxsize=4)
def _client(uri: str) -> "MlflowClient":
    from mlflow import MlflowClient

    # One address for both: MLFLOW_REGISTRY_URI of the environment would split them.
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _translated(error: "MlflowException", subject: str | None, where: str | None) -> SlipwayError:
    code = str(error.error_code)
    if code in _NOT_FOUND and subject is not None:
        return NotFoundError(f"{subject} does not exist in the registry.", where=where)
    if code in _INVALID:
        return InvalidInputError("MLflow does not accept this.", where=where)
    if code in _CONFLICT:
        return ConflictError(f"{subject or 'This'} is in the registry already.", where=where)
    if code in _REFUSED:
        return RegistryUnavailableError(
            "MLflow refuses the credentials.",
            where="MLFLOW_TRACKING_URI",
            expected="a user name and password, or a token, with the right to do this",
        )
    return _unavailable()


def _unavailable() -> RegistryUnavailableError:
    return RegistryUnavailableError(
        "MLflow does not answer as it should.",
        where="MLFLOW_TRACKING_URI",
        expected="the address of a running MLflow server",
    )


def _proxied(scheme: str, host: str) -> bool:
    proxies = urllib.request.getproxies()
    return scheme in proxies and not urllib.request.proxy_bypass(host)
