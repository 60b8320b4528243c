"""`slipway evaluate`: measure a model, by the measures its card states."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.console import err, out
from services.core.settings import load_settings

app = typer.Typer(help="Measure a model.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `segmenter` a command of its own while it is the only one."""


@app.command("segmenter")
def segmenter(
    scenes: Annotated[int, typer.Option(min=1, help="Held-out scenes.")] = 500,
    model: Annotated[
        Path | None, typer.Option(help="Weights; by default MODEL_PATH, or the bundled ones.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Their Detectron2 YAML.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16 or fp16.")] = None,
    preset: Annotated[str | None, typer.Option(help="exact or fast.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    overlays: Annotated[
        Path | None, typer.Option(help="Folder to draw what was found into.", file_okay=False)
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Only: mask AP of every preset and precision.")
    ] = False,
) -> None:
    """Score the segmenter on held-out scenes, the coins and the photographs."""
    given = {
        "model_path": model,
        "config_path": config,
        "cutler_precision": precision,
        "cutler_preset": preset,
    }
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    from services.training.segmenter import report

    if compare:
        figures = report.compare(settings, scenes=scenes, note=err.print)
        lines = compared(figures)
    else:
        figures = report.evaluate(settings, scenes=scenes, overlays=overlays, note=err.print)
        lines = report.lines(figures)
    for line in [json.dumps(figures, indent=2)] if as_json else lines:
        out.print(line)


def compared(figures: dict[str, Any]) -> list[str]:
    """Return one line for each preset and precision."""
    return [
        f"{label}: {row['unavailable']}"
        if "unavailable" in row
        else f"{label}: AP {row['AP']:.3f}, AP50 {row['AP50']:.3f}"
        for label, row in figures.items()
    ]
