"""The weights that `slipway models pull` fetches, and which ones the settings choose."""

from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from services.cli.weights import record
from services.cli.weights.catalogue import BUNDLED, CATALOGUE, Checkpoint
from services.core.settings import Settings


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    title: str
    licence: str
    state: str
    serving: bool


def table(settings: Settings) -> Table:
    """Return what there is, whether it is here, and which one MODEL_PATH chooses."""
    chosen = settings.model_path
    rows = [
        _Row(BUNDLED.name, BUNDLED.title, BUNDLED.licence, _size(BUNDLED.weights), chosen is None)
    ]
    for checkpoint in CATALOGUE.values():
        target = settings.data_dir / "models" / checkpoint.name / checkpoint.file
        serving = chosen is not None and chosen.resolve() == target.resolve()
        rows.append(
            _Row(checkpoint.name, checkpoint.title, checkpoint.licence.name,
                 _state(target, checkpoint), serving)
        )  # fmt: skip
    if chosen is not None and not any(row.serving for row in rows):
        rows.append(_Row(chosen.name, "named by MODEL_PATH", "yours", _size(chosen), True))
    return _table(rows)


def _table(rows: list[_Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "weights", "what", "licence", "state"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row("*" if row.serving else "", row.name, row.title, row.licence, row.state)
    table.caption = "* the one that MODEL_PATH chooses"
    table.caption_justify = "left"
    return table


def _state(target: Path, checkpoint: Checkpoint) -> str:
    if not target.exists():
        return f"not here; slipway models pull {checkpoint.name}"
    known = record.read(target)
    if known is None:
        return f"{_size(target)}, of unknown origin"
    return f"{_size(target)}, fetched {known.fetched[:10]}"


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB" if path.exists() else "missing"
