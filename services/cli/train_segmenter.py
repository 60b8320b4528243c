"""`slipway train segmenter`: the model that is bundled with Slipway."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import err, out
from services.core.settings import get_settings

if TYPE_CHECKING:
    from services.training.segmenter.train import Progress


def segmenter(
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder; by default DATA_DIR/training/segmenter.")
    ] = None,
    scenes: Annotated[int, typer.Option(min=1, help="Scenes to learn from altogether.")] = 24_000,
    size: Annotated[int, typer.Option(min=64, max=2048, help="Pixels of a scene's side.")] = 256,
    batch: Annotated[int, typer.Option(min=1, help="Scenes of one step.")] = 4,
    lr: Annotated[float, typer.Option(min=0.0, help="Highest learning rate.")] = 1.2e-3,
    seed: Annotated[int, typer.Option(min=0, max=9, help="Which scenes.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="0: NUM_THREADS, or every core.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that make scenes.")] = 1,
    bf16: Annotated[bool, typer.Option("--bf16/--fp32", help="Precision of products.")] = False,
    resume: Annotated[bool, typer.Option("--resume/--no-resume", help="Go on if begun.")] = True,
    weights: Annotated[
        Path | None, typer.Option("--from", help="Weights to start from; else random ones.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.0, help="Stop after so long; 0: no limit.")] = 0,
) -> None:
    """Train the bundled segmenter on generated scenes. Stop it at any time and call it again."""
    settings = get_settings()
    from services.training.segmenter.train import TrainOptions, run

    options = TrainOptions(
        out=out_folder or settings.data_dir / "training" / "segmenter",
        scenes=scenes,
        size=size,
        batch=batch,
        learning_rate=lr,
        seed=seed,
        threads=threads or settings.threads,
        workers=workers,
        bf16=bf16,
        resume=resume,
        weights=weights,
        minutes=minutes,
    )
    err.print(f"training in {options.out}; Ctrl-C stops it, the same command goes on")
    model = run(options, report)
    out.print(f"MODEL_PATH={model.absolute()}")


def report(progress: "Progress") -> None:
    """Print one line of progress."""
    losses = " ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
    err.print(f"{progress.seen}/{progress.scenes} scenes, {progress.rate:.1f} a second, {losses}")
