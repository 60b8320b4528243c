"""A worker of small families as a process of its own: `python -m tests.support.serve_predictions`.

Settings come from the environment.
"""

import sys
from pathlib import Path
from typing import Any

from services.core.settings import Settings
from services.families.base import Artifact, Family, Model
from services.worker import __main__ as door
from tests.gateway.families import AdderFamily, ColourFamily
from tests.support.blobs import BlobFamily
from tests.support.no_op import NAME, NoOpFamily


class Segmenter(BlobFamily):
    """Blobs under the name of the family whose types they are: those have a way to be written."""

    name = "cutler"

    def builtin(self, settings: Settings) -> Artifact:
        return Artifact(self.name, self.model_name, "1", Path(__file__).parent)

    def open(self, artifact: Artifact, settings: Settings) -> Model:
        made: Any = super().open(artifact, settings)
        made.info = type(made.info)(
            "blobs", "1", self.name, made.info.task, "cpu", 1024, made.info.details
        )
        return made  # type: ignore[no-any-return]


def families() -> dict[str, Family]:
    """A model of rows, one that segments, one that classifies pictures, one that does as told."""
    return {
        "adder": AdderFamily(),
        "cutler": Segmenter(),
        "colours": ColourFamily(),
        NAME: NoOpFamily(),
    }


if __name__ == "__main__":
    sys.exit(door.main(["interactive"], families()))
