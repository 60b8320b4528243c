"""Train the bundled segmenter on generated scenes, resumable at any time."""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from services.core.errors import CheckpointError, ConfigurationError
from services.families.cutler.checkpoint import load_weights
from services.families.cutler.config import load_config
from services.families.cutler.network import CascadeMaskRcnn
from services.training.segmenter.feed import feed
from services.training.segmenter.initialise import initialise
from services.training.segmenter.losses import Sampling, detection_losses
from services.training.segmenter.scenes import EVALUATION_SEEDS
from services.training.segmenter.targets import Target

BUNDLED_CONFIG = Path(__file__).parents[2].joinpath("families", "cutler", "bundled", "config.yaml")

_SEEDS_A_RUN = 1_000_000


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What `slipway train segmenter` takes.

    Attributes:
        out: folder for `checkpoint.pt` (to resume from) and `model.pth` (half precision).
        scenes: how many scenes to learn from altogether; the learning rate falls to zero there.
        weights: a checkpoint to start from instead of random weights.
        minutes: stop after so long (0: no limit); a later call resumes.
        bf16: matrix products in bfloat16; pays off on CPUs with matrix units (AMX).
        ema: how much of the averaged weights, which are shipped, stays at each step.
        report_every: steps between two reports.
    """

    out: Path
    config: Path = BUNDLED_CONFIG
    scenes: int = 24_000
    size: int = 256
    batch: int = 4
    learning_rate: float = 1.2e-3
    weight_decay: float = 0.05
    seed: int = 0
    threads: int = 0
    workers: int = 1
    bf16: bool = False
    resume: bool = True
    weights: Path | None = None
    minutes: float = 0.0
    ema: float = 0.998
    report_every: int = 50


@dataclass(frozen=True, slots=True)
class Progress:
    """One report: scenes seen of all, smoothed losses, scenes a second."""

    seen: int
    scenes: int
    losses: dict[str, float]
    rate: float


@dataclass(slots=True)
class _State:
    network: CascadeMaskRcnn
    average: CascadeMaskRcnn
    optimiser: torch.optim.Optimizer
    seen: int = 0


def run(options: TrainOptions, report: Callable[[Progress], None] = lambda _: None) -> Path:
    """Train (or go on training) and return the path of the exported `model.pth`.

    Raises:
        ConfigurationError: the seeds would reach the scenes that are held out.
        CheckpointError: the checkpoint to resume from is of another network.
    """
    first = options.seed * _SEEDS_A_RUN
    if options.scenes > _SEEDS_A_RUN or first + options.scenes > EVALUATION_SEEDS.start:
        raise ConfigurationError(
            "These seeds would reach the scenes that are held out for evaluation.",
            where="--seed, --scenes",
            expected=f"a seed below {EVALUATION_SEEDS.start // _SEEDS_A_RUN} and at most "
            f"{_SEEDS_A_RUN} scenes",
        )
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads or os.cpu_count() or 1)
    state = _start(options)
    deadline = time.monotonic() + 60 * options.minutes if options.minutes else math.inf
    saved, window, smooth = time.monotonic(), time.monotonic(), dict[str, float]()
    batches = feed(
        first + state.seen,
        max(0, options.scenes - state.seen),
        options.size,
        options.batch,
        options.workers,
    )
    # Adam's averages of gradients that died out are denormal numbers, which CPUs handle slowly.
    torch.set_flush_denormal(True)
    try:
        for step, (images, targets) in enumerate(batches, start=1):
            losses = _step(state, images, targets, options)
            for name, value in losses.items():
                smooth[name] = 0.95 * smooth.get(name, value) + 0.05 * value
            if step % options.report_every == 0:
                now = time.monotonic()
                rate = options.report_every * options.batch / (now - window)
                window = now
                report(Progress(state.seen, options.scenes, dict(smooth), rate))
            if time.monotonic() - saved > 120:
                _save(state, options)
                saved = time.monotonic()
            if time.monotonic() > deadline:
                break
    finally:  # an interrupted training goes on from its last step
        torch.set_flush_denormal(False)  # for whatever this thread does next
        _save(state, options)
    return export(state.average, options.out / "model.pth")


def _start(options: TrainOptions) -> _State:
    torch.manual_seed(options.seed)
    config = load_config(options.config)
    network, average = CascadeMaskRcnn(config), CascadeMaskRcnn(config)
    if options.weights is None:
        initialise(network)
    else:
        load_weights(network, options.weights)
    average.load_state_dict(network.state_dict())
    for model in (network, average):
        model.to(memory_format=torch.channels_last)
    network.train()
    average.eval().requires_grad_(False)
    decay = [p for p in network.parameters() if p.dim() > 1]
    plain = [p for p in network.parameters() if p.dim() <= 1]
    groups = [
        {"params": decay, "weight_decay": options.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)
    state = _State(network, average, optimiser)
    checkpoint = options.out / "checkpoint.pt"
    if options.resume and checkpoint.exists():
        saved: dict[str, Any] = torch.load(checkpoint, weights_only=True)
        try:
            network.load_state_dict(saved["network"])
            average.load_state_dict(saved["average"])
            optimiser.load_state_dict(saved["optimiser"])
        except (RuntimeError, KeyError, ValueError) as error:
            raise CheckpointError(
                "The training checkpoint does not fit the configured network.",
                where="--out",
                expected="a checkpoint of the same configuration, or --no-resume",
            ) from error
        for group in optimiser.param_groups:
            group["fused"] = True  # loading brings back the options it was saved with
        state.seen = int(saved["seen"])
    return state


def _step(
    state: _State, images: Tensor, targets: list[Target], options: TrainOptions
) -> dict[str, float]:
    rate = options.learning_rate * schedule(state.seen, options.scenes)
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    network = state.network
    x = (images.float() - network.pixel_mean) / network.pixel_std
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.bf16):
        losses = detection_losses(network, x, targets, Sampling())
    total = torch.stack(list(losses.values())).sum()
    state.optimiser.zero_grad(set_to_none=True)
    if torch.isfinite(total):
        total.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        state.optimiser.step()
        _follow(state.average, network, min(options.ema, (state.seen + 1) / (state.seen + 400)))
    state.seen += len(images)
    return {name: float(value.detach()) for name, value in losses.items()}


def schedule(seen: int, scenes: int, warmup: int = 1000) -> float:
    """Return the factor on the learning rate: linear warm-up, then half a cosine down to 0."""
    if seen < warmup:
        return (seen + 1) / warmup
    share = (seen - warmup) / max(1, scenes - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


@torch.no_grad()
def _follow(average: CascadeMaskRcnn, network: CascadeMaskRcnn, keep: float) -> None:
    """Move the averaged weights, which are what is evaluated and shipped, towards the current."""
    theirs = network.state_dict()
    floats = [(a, theirs[k]) for k, a in average.state_dict().items() if a.is_floating_point()]
    torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - keep)


def _save(state: _State, options: TrainOptions) -> None:
    path = options.out / "checkpoint.pt"
    content = {
        "network": state.network.state_dict(),
        "average": state.average.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "seen": state.seen,
    }
    partial = path.with_suffix(".part")
    torch.save(content, partial)
    partial.replace(path)


def export(network: CascadeMaskRcnn, path: Path) -> Path:
    """Write the weights in half precision, in the form that Detectron2 loads."""
    half = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    partial = path.with_suffix(".part")
    torch.save({"model": half, "__author__": "Slipway"}, partial)
    partial.replace(path)
    return path
