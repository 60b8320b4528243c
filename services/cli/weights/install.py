"""Put weights in their place: fetched or copied, checked, recorded, with their configuration."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from services.cli.weights import record
from services.cli.weights.catalogue import Checkpoint
from services.cli.weights.download import Patience, Watcher, fetch, open_client
from services.cli.weights.errors import DownloadError, VerificationError
from services.cli.weights.part import Part
from services.core.errors import ConfigurationError

# How the files start that torch.save writes: a zip archive, or (long ago) a bare pickle.
_BEGINNINGS = (b"PK\x03\x04", b"\x80")


@dataclass(frozen=True, slots=True)
class Installed:
    """Weights in their place. `fresh` says that they were put there just now."""

    weights: Path
    config: Path
    record: record.Record
    fresh: bool


@dataclass(frozen=True, slots=True)
class Order:
    """What to install where. Without `file` it is downloaded, from `url` if that is given."""

    checkpoint: Checkpoint
    folder: Path
    file: Path | None = None
    url: str | None = None
    sha256: str | None = None
    force: bool = False
    patience: Patience = field(default_factory=Patience)
    timeout: float = 30.0

    @property
    def target(self) -> Path:
        """The file's place."""
        return self.folder / self.checkpoint.file


def present(order: Order) -> Installed | None:
    """Return what is installed already, after checking it against its record.

    Raises:
        VerificationError: it is there but changed, or of unknown origin, or not what --sha256 says.
    """
    if order.force or not order.target.exists():
        return None
    known = record.read(order.target)
    if known is None:
        if order.file and order.file.resolve() == order.target.resolve():
            return None  # a person put it there by hand and asks to have it recorded
        raise VerificationError(
            "A file without a record of its origin is there already.",
            where=str(order.target),
            expected="--force to replace it, or --file with its path to record it",
        )
    record.verify(order.target, known)
    _check_sum(known.sha256, order.sha256)
    return Installed(order.target, _install_config(order), known, fresh=False)


def install(order: Order, watcher: Watcher) -> Installed:
    """Fetch or copy the weights and put them, their record and their configuration in place.

    Raises:
        NotFoundError: the address holds no such file.
        DownloadError: the file could not be fetched; what arrived is kept for the next try.
        VerificationError: what was fetched or given is not such a checkpoint.
    """
    order.folder.mkdir(parents=True, exist_ok=True)
    with _alone_in(order.folder):
        if order.file:
            note = _take(order, order.file)
        else:
            note = _download(order, order.url or order.checkpoint.url, watcher)
        return Installed(order.target, _install_config(order), note, fresh=True)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder against a second pull, which would write to the same part."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise DownloadError(
            "Another pull into this folder is under way.", where="--dest"
        ) from error
    finally:
        os.close(handle)


def _download(order: Order, url: str, watcher: Watcher) -> record.Record:
    part = Part(order.target)
    with open_client(order.timeout) as client:
        fetch(url, part, client, watcher, order.patience)
    try:
        _check(part.path, order.sha256)
    except VerificationError:
        part.discard()  # going on from it would only bring the same bytes again
        raise
    note = _note(order, part.path, url)
    _sync(part.path)
    part.promote(order.target)
    return note


def _take(order: Order, file: Path) -> record.Record:
    _check(file, order.sha256)
    if file.resolve() == order.target.resolve():
        return _note(order, file, f"file:{file.name}")
    partial = order.target.with_name(order.target.name + ".copy.part")
    try:
        shutil.copyfile(file, partial)
        note = _note(order, partial, f"file:{file.name}")
        _sync(partial)
        partial.replace(order.target)
    finally:
        partial.unlink(missing_ok=True)
    return note


def _note(order: Order, complete: Path, source: str) -> record.Record:
    """Record a file before it is put in place: a crash in between never leaves it unexplained."""
    note = record.describe(
        complete,
        name=order.checkpoint.name,
        source=source,
        licence=order.checkpoint.licence.name,
    )
    record.write(order.target, note)
    return note


def _sync(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


def _check(path: Path, sha256: str | None) -> None:
    with path.open("rb") as handle:
        start = handle.read(4)
    if not start.startswith(_BEGINNINGS):
        raise VerificationError(
            "This is not a PyTorch checkpoint (a page of a proxy or of a login, perhaps).",
            where=path.name.removesuffix(".part"),
            expected="a .pth file as torch.save writes it",
        )
    if sha256:
        _check_sum(record.sha256_of(path), sha256)


def _check_sum(actual: str, expected: str | None) -> None:
    if expected and actual != expected.strip().lower():
        raise VerificationError(
            f"The SHA-256 of the file is {actual}.", where="--sha256", expected=expected
        )


def _install_config(order: Order) -> Path:
    """Copy the configuration beside the weights, where a person can look at it and edit it."""
    source = order.checkpoint.config
    target = order.folder / source.name
    if order.force or not target.exists():
        if not source.exists():
            raise ConfigurationError(
                "The configuration of these weights is missing from this installation.",
                where=source.name,
            )
        shutil.copyfile(source, target)
    return target
