"""Which weights can be pulled, from where, and under which licence."""

from dataclasses import dataclass
from pathlib import Path

import services.families
from services.core.errors import NotFoundError

_FAMILIES = Path(services.families.__file__).parent


@dataclass(frozen=True, slots=True)
class Licence:
    """Terms that the one who pulls the weights has to accept."""

    name: str
    url: str
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights published by someone else.

    Attributes:
        name: what `slipway models pull` calls them.
        url: their official address.
        file: the name they are kept under.
        config: the matching configuration, which Slipway ships.
    """

    name: str
    title: str
    url: str
    file: str
    config: Path
    licence: Licence


@dataclass(frozen=True, slots=True)
class Bundled:
    """Weights that come with Slipway."""

    name: str
    title: str
    licence: str
    weights: Path


BUNDLED = Bundled(
    name="segmenter",
    title="Slipway's own small segmenter, Cascade Mask R-CNN R18-FPN",
    licence="MIT",
    weights=_FAMILIES / "cutler" / "bundled" / "model.pth",
)

CUTLER = Checkpoint(
    name="cutler",
    title="CutLER, Cascade Mask R-CNN R50-FPN (Meta AI)",
    url="https://dl.fbaipublicfiles.com/cutler/checkpoints/cutler_cascade_final.pth",
    file="cutler_cascade_final.pth",
    config=_FAMILIES / "cutler" / "configs" / "cutler_cascade_r50_fpn.yaml",
    licence=Licence(
        name="CC BY-NC-SA 4.0",
        url="https://creativecommons.org/licenses/by-nc-sa/4.0/",
        terms=(
            "attribution: credit the authors of CutLER",
            "non-commercial: no use for commercial purposes",
            "share alike: what you derive from it is passed on under the same licence",
        ),
    ),
)

CATALOGUE = {CUTLER.name: CUTLER}


def find(name: str) -> Checkpoint:
    """Return the checkpoint of that name.

    Raises:
        NotFoundError: there is none.
    """
    try:
        return CATALOGUE[name]
    except KeyError:
        raise NotFoundError(
            f"There are no weights called {name!r} to pull.",
            where="NAME",
            expected=", ".join(sorted(CATALOGUE)),
        ) from None
