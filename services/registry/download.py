"""Bring a version's files here: every path looked at first, all of it within a deadline."""

import shutil
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from services.core.errors import CheckpointError, NotFoundError, RegistryUnavailableError
from services.registry.catalogue import VersionRef
from services.registry.client import mlflow_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SECONDS = 600.0
_MOST_FILES = 10_000
# Left free on the disk, beside what the model needs.
_SPARE_BYTES = 64 * 1024 * 1024


def download(
    client: "MlflowClient", uri: str, ref: VersionRef, into: Path, *, seconds: float = _SECONDS
) -> None:
    """Copy every file of a version into an empty folder.

    Args:
        uri: of MLflow.
        seconds: that it may take altogether.

    Raises:
        RegistryUnavailableError: MLflow does not answer, is too slow, or the disk is too small.
        CheckpointError: a path among them leads out of the folder, or a file was cut.
        NotFoundError: the version, or its files, are gone.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    until = time.monotonic() + seconds
    with mlflow_errors("The version", where="version"):
        place = client.get_model_version_download_uri(ref.name, ref.version)
        _refuse_links(place)
        repository = get_artifact_repository(place, tracking_uri=uri, registry_uri=uri)
        files = _within(until, lambda: _listed(repository))
    if not files:
        raise NotFoundError("The version's files are gone.", where="version")
    if shutil.disk_usage(into).free < sum(files.values()) + _SPARE_BYTES:
        raise RegistryUnavailableError(
            "The disk is too full for the model.", where="DATA_DIR", expected="more room"
        )
    for path, size in files.items():
        with mlflow_errors("The version", where="version"):
            _within(until, partial(_copy, repository, path, into))
        found = into / path
        if found.is_symlink() or not found.is_file() or found.stat().st_size != size:
            raise CheckpointError("A file of the version did not arrive whole.", where="version")


def _copy(repository: Any, path: str, into: Path) -> None:
    repository.download_artifacts(path, str(into))


def _listed(repository: Any) -> dict[str, int]:
    """Return the size of every file by its path."""
    files: dict[str, int] = {}
    folders: list[str | None] = [None]
    while folders:
        for item in repository.list_artifacts(folders.pop()):
            _check(item.path)
            if item.is_dir:
                folders.append(item.path)
            else:
                files[item.path] = int(item.file_size or 0)
            if len(files) + len(folders) > _MOST_FILES:
                raise CheckpointError("The version has too many files.", where="version")
    return files


def _check(path: str) -> None:
    """Refuse a path that leads elsewhere, also after it has been decoded once more."""
    for text in (path, unquote(path)):
        parts = PurePosixPath(text).parts
        if not parts or ".." in parts or text.startswith("/") or "\\" in text or "\0" in text:
            raise CheckpointError(
                "The version names a file outside of its folder.",
                where="version",
                expected="plain relative paths",
            )


def _refuse_links(place: str) -> None:
    """Refuse links among files that lie on this machine: a copy would follow them anywhere."""
    parts = urlsplit(place)
    if parts.scheme not in {"", "file"}:
        return
    root = Path(unquote(parts.path) if parts.scheme else place)
    if any(path.is_symlink() for path in (root, *root.rglob("*"))):
        raise CheckpointError("The version holds a link.", expected="files and folders only")


def _within(until: float, work: Callable[[], Any]) -> Any:
    """Do something that cannot be interrupted, and leave it behind when time is over."""
    result: list[Any] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name="registry-download", daemon=True)
    thread.start()
    thread.join(max(until - time.monotonic(), 0))
    if thread.is_alive():
        raise RegistryUnavailableError(
            "MLflow is too slow with the version's files.", where="MLFLOW_TRACKING_URI"
        )
    if failure:
        raise failure[0]
    return result[0]
