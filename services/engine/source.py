"""Where versions come from: the registry, or whatever a test puts in its place."""

from typing import Protocol

from services.families.base import Artifact
from services.registry.catalogue import Stage, VersionRef


class ModelSource(Protocol):
    """Finds versions and brings their files to this machine. Called from threads that may wait."""

    def fetch(self, ref: VersionRef) -> Artifact:
        """Bring a version's files to this machine.

        Raises:
            NotFoundError: there is no such version.
            RegistryUnavailableError: it is not on this disk, and MLflow does not answer.
            UntrustedModelError: loading it could run code that the operator does not trust.
        """
        ...

    def find(self, name: str, version: str | None = None, stage: Stage | None = None) -> VersionRef:
        """Return the version that a number or a stage names.

        Raises:
            NotFoundError: there is no such model or version.
            RegistryUnavailableError: MLflow does not answer.
        """
        ...
