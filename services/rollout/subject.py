"""A version in memory for as long as it is examined, outside the engine that serves."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from services.core.settings import Settings
from services.core.signature import Signature
from services.families.base import Artifact, Family, Model
from services.registry.catalogue import VersionRef


class Source(Protocol):
    """Where the files of versions come from; the registry is one."""

    def fetch(self, ref: VersionRef) -> Artifact:
        """Bring a version's files to this machine."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """A version that was opened and warmed.

    Attributes:
        seconds: how long that took.
        deadline: seconds after which a request is given up; for families without gates.
        max_rows: rows that a payload may have.
    """

    ref: VersionRef
    family: Family
    artifact: Artifact
    model: Model
    seconds: float
    deadline: float
    max_rows: int

    @property
    def foreign(self) -> bool:
        """Whether Slipway's own training did not make it, so that it brings no data to judge by."""
        return self.artifact.native is not None

    @property
    def signature(self) -> Signature | None:
        """What it takes and gives, as far as that is known."""
        return self.model.signature or self.artifact.signature

    @property
    def example(self) -> Any:
        """The payload that was stored with it; None if there is none."""
        return self.artifact.example


@dataclass(frozen=True, slots=True)
class Bench:
    """What opening a version takes."""

    source: Source
    families: Mapping[str, Family]
    settings: Settings

    def open(self, ref: VersionRef, opened: list[Subject]) -> Subject:
        """Fetch, open and warm a version, and add it to those that `lending` closes.

        Raises:
            SlipwayError: it is not there, not to be trusted, or does not load.
        """
        started = perf_counter()
        artifact = self.source.fetch(ref)
        family = self.families[artifact.family]
        model = family.open(artifact, self.settings)
        try:
            model.warm()
        except BaseException:
            model.close()
            raise
        subject = Subject(
            ref=ref,
            family=family,
            artifact=artifact,
            model=model,
            seconds=perf_counter() - started,
            deadline=self.settings.request_timeout,
            max_rows=self.settings.max_rows,
        )
        opened.append(subject)
        return subject

    @contextmanager
    def lending(self) -> Iterator[list[Subject]]:
        """Close what was opened at the end, and give its memory back."""
        opened: list[Subject] = []
        try:
            yield opened
        finally:
            for subject in opened:
                subject.model.close()
            opened.clear()
            gc.collect()
