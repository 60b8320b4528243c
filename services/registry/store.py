"""Versions on this machine's disk: fetched once, whole or not at all, and reused without MLflow."""

import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from services.core.errors import CheckpointError, RegistryUnavailableError
from services.registry.catalogue import VersionRef
from services.registry.disk import flush, write_json
from services.registry.remembered import ref_from_json, ref_to_json

MANIFEST = "manifest.json"
FILES = "model"
_DRAFT = ".part"
# Longer than any download may take: whoever made it is gone.
_ABANDONED_SECONDS = 3600.0
_GRACE_SECONDS = 600.0
_LONGEST_NAME = 120

# Writes every file of a version into an empty folder.
Download = Callable[[VersionRef, Path], None]


@dataclass(frozen=True, slots=True)
class Stored:
    """A version on disk; `files` is the folder of its MLmodel."""

    ref: VersionRef
    folder: Path

    @property
    def files(self) -> Path:
        """Where the model's files lie."""
        return self.folder / FILES


class Store:
    """The folder of local copies."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._locks: dict[tuple[str, str, int], threading.Lock] = {}
        self._guard = threading.Lock()

    def get(self, ref: VersionRef) -> Stored | None:
        """Return the copy of exactly this version, if it is here and whole."""
        folder = self._folder(ref)
        return Stored(ref, folder) if _whole(folder) else None

    def find(self, name: str, version: str) -> VersionRef | None:
        """Return the newest copy of a version's number, as it was when it was fetched."""
        copies = [ref for ref, _ in self._copies(self._root / folder_name(name))]
        found = [ref for ref in copies if ref.name == name and ref.version == version]
        return max(found, key=lambda ref: ref.created, default=None)

    def ensure(self, ref: VersionRef, download: Download) -> Stored:
        """Return the copy; fetch it if it is not here yet.

        Raises:
            RegistryUnavailableError: MLflow does not answer, or the disk cannot take the files.
            CheckpointError: what was fetched is not a model, or leads out of its folder.
        """
        with self._lock(ref):
            found = self.get(ref)
            if found is None:
                self._fetch(ref, download)
                found = self.get(ref)
        if found is None:
            raise CheckpointError("The files of the version did not arrive whole.", where="version")
        # Says to others who prune that somebody is about to open it.
        os.utime(found.folder / MANIFEST)
        return found

    def prune(self, keep: Collection[VersionRef], *, grace: float = _GRACE_SECONDS) -> int:
        """Remove copies, and what cut downloads left; return how many copies.

        Args:
            keep: versions that stay.
            grace: seconds for which a copy stays that some process has asked for.
        """
        kept = {self._folder(ref) for ref in keep}
        removed = 0
        for home in _folders(self._root):
            for _, folder in self._copies(home):
                if folder not in kept and _age(folder / MANIFEST) >= grace:
                    removed += 1
                    _remove(folder)
            for folder in _folders(home):
                if folder.name.endswith(_DRAFT) and _age(folder) > _ABANDONED_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
            if home.is_dir() and not any(home.iterdir()):
                _rmdir(home)
        return removed

    def _fetch(self, ref: VersionRef, download: Download) -> None:
        final = self._folder(ref)
        draft = final.with_name(f".{final.name}-{uuid.uuid4().hex}{_DRAFT}")
        try:
            (draft / FILES).mkdir(parents=True)
            download(ref, draft / FILES)
            sizes = _sizes(draft / FILES)
            write_json(draft / MANIFEST, {"ref": ref_to_json(ref), "files": sizes})
            flush(draft)
            if final.exists() and not _whole(final):
                _remove(final)
            draft.rename(final)
        except OSError as error:
            # Another process may have been first; then its copy is as good.
            if not _whole(final):
                raise RegistryUnavailableError(
                    "The files of the version cannot be kept on this machine.",
                    where="DATA_DIR",
                    expected="a folder that can be written, with room for the model",
                ) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _folder(self, ref: VersionRef) -> Path:
        return self._root / folder_name(ref.name) / f"{folder_name(ref.version)}-{ref.created}"

    def _copies(self, home: Path) -> Iterator[tuple[VersionRef, Path]]:
        for folder in _folders(home):
            manifest = None if folder.name.startswith(".") else _manifest(folder)
            if manifest is not None:
                yield ref_from_json(manifest["ref"]), folder

    def _lock(self, ref: VersionRef) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(ref.identity, threading.Lock())


def folder_name(name: str) -> str:
    """Return a name that any file system takes and that no other name shares."""
    safe = quote(name, safe=" ").replace(" ", "+")
    if safe.startswith("."):
        safe = f"%2E{safe[1:]}"
    if len(safe) <= _LONGEST_NAME:
        return safe
    return f"{safe[:_LONGEST_NAME]}%{sha256(name.encode()).hexdigest()[:32]}"


def _whole(folder: Path) -> bool:
    manifest = _manifest(folder)
    if manifest is None:
        return False
    try:
        return all(
            (folder / FILES / path).stat().st_size == size
            for path, size in manifest["files"].items()
        )
    except OSError:
        return False


def _manifest(folder: Path) -> Mapping[str, dict[str, int]] | None:
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        ref_from_json(found["ref"])
        return found if isinstance(found["files"], dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sizes(root: Path) -> dict[str, int]:
    """Return the size of every file; nothing but files and folders may be there."""
    sizes = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise CheckpointError(
                "The version holds a link or a device.", expected="files and folders only"
            )
        if path.is_file():
            sizes[path.relative_to(root).as_posix()] = path.stat().st_size
    if "MLmodel" not in sizes:
        raise CheckpointError("The version holds no MLmodel.", expected="a model saved by MLflow")
    return sizes


def _remove(folder: Path) -> None:
    """Remove a copy so that nobody ever sees half of it."""
    grave = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}{_DRAFT}")
    try:
        folder.rename(grave)
        os.utime(grave, (0, 0))
    except OSError:
        return
    shutil.rmtree(grave, ignore_errors=True)


def _rmdir(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError:
        return []


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
