"""How long a segmentation takes, phase by phase, against the plain network in the same process.

    python -m benchmarks.segmentation                        # the bundled model
    python -m benchmarks.segmentation --network cutler-r50   # CutLER's R50, synthetic weights

The yardstick is the same network and weights, eager: normalisation unfolded, contiguous memory,
torchvision's RoIAlign, fp32. Every line gives medians in milliseconds over several runs, taken in
turn with the yardstick so that both see the same machine, and `ratio` = network / yardstick.
"""

import argparse
import dataclasses
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from services.core.images import ImageLimits, decode_image
from services.families.cutler.checkpoint import load_weights
from services.families.cutler.config import CutlerConfig, load_config
from services.families.cutler.files import BUNDLED
from services.families.cutler.heads import select_detections
from services.families.cutler.imaging import network_input, to_picture
from services.families.cutler.masks import draw, encode_rle, paste_masks
from services.families.cutler.network import CascadeMaskRcnn, Detections
from services.families.cutler.optimise import fast_preset, optimise
from services.families.cutler.pooling import torchvision_align
from services.families.cutler.precision import cpu_gain
from tests.families.cutler.reference import synthetic_weights

SAMPLE = Path(__file__).parents[1] / "docs" / "samples" / "photo.jpg"
R50_CONFIG = BUNDLED.parent / "configs" / "cutler_cascade_r50_fpn.yaml"
NETWORK_PHASES = ("backbone", "rpn", "cascade", "masks")
OTHER_PHASES = ("decode", "resize", "paste", "draw")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Times = dict[str, float]


class Clock:
    """Collects the milliseconds of named phases."""

    def __init__(self) -> None:
        self.times: Times = {}

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        """Run `work` and add its time to phase `name`."""
        start = time.perf_counter()
        result = work()
        self.times[name] = self.times.get(name, 0.0) + 1e3 * (time.perf_counter() - start)
        return result


def run_network(net: CascadeMaskRcnn, image: torch.Tensor, threshold: float, clock: Clock) -> Any:
    """The network's own forward pass, timed part by part."""
    size = (image.shape[1], image.shape[2])
    features = clock("backbone", lambda: net.backbone(net.normalise(image)))
    proposals = clock(
        "rpn",
        lambda: net.proposal_generator.select(net.proposal_generator.predict(features), 0, size),
    )[0]
    boxes, scores = clock("cascade", lambda: net.refine(features, proposals, size))
    boxes, kept, classes = clock(
        "cascade",
        lambda: select_detections(
            boxes,
            scores,
            size,
            score_threshold=threshold,
            nms_threshold=net.config.heads.nms_threshold,
            limit=net.config.max_detections,
        ),
    )
    masks = clock("masks", lambda: net.masks(features, boxes, classes))
    return Detections(boxes, kept, classes, masks)


def run_request(net: CascadeMaskRcnn, data: bytes, threshold: float) -> tuple[Times, int]:
    """Everything that a request to /process-image costs, but HTTP."""
    clock = Clock()
    limits = ImageLimits(max_pixels=10**8, max_side=10**5)
    picture = clock("decode", lambda: decode_image(data, limits))
    image = clock("resize", lambda: network_input(picture, net.config))
    found = run_network(net, image, threshold, clock)
    height, width = picture.shape[:2]

    def paste() -> Any:
        raw = to_picture(found, image, (height, width))
        masks = paste_masks(raw, height, width)
        for mask in masks:
            encode_rle(mask, height, width)
        return raw, masks

    raw, masks = clock("paste", paste)
    clock("draw", lambda: draw(picture, masks, raw.boxes, raw.scores))
    return clock.times, len(masks)


def build(config: CutlerConfig, network: str) -> CascadeMaskRcnn:
    """The plain network, with the bundled weights or those of the reference vectors."""
    net = CascadeMaskRcnn(config).eval().requires_grad_(False)
    if network == "bundled":
        load_weights(net, BUNDLED / "model.pth")
    else:
        net.load_state_dict(synthetic_weights())
    return net


def yardstick(config: CutlerConfig, network: str) -> CascadeMaskRcnn:
    """Eager and unfused, as the architecture is written down."""
    net = build(config, network)
    net.align = torchvision_align
    return net


def scaled_photo(short_side: int) -> bytes:
    """The sample photo at the given shortest side, as JPEG."""
    photo = cv2.imread(str(SAMPLE))
    assert photo is not None
    factor = short_side / min(photo.shape[:2])
    photo = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return bytes(np.asarray(cv2.imencode(".jpg", photo)[1]))


def medians(runs: list[Times]) -> Times:
    """Median of every phase."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def report(label: str, times: Times, count: int, base: float) -> None:
    """Print one line."""
    network = sum(times[name] for name in NETWORK_PHASES)
    other = sum(times[name] for name in OTHER_PHASES)
    phases = " ".join(f"{times[n]:8.1f}" for n in (*NETWORK_PHASES, *OTHER_PHASES))
    print(
        f"{label:22s} {phases} {network:9.1f} {network / base:6.2f} "
        f"{100 * other / (network + other):6.1f}% {count:6d}",
        flush=True,
    )


def measure(options: argparse.Namespace, size: int, config: CutlerConfig) -> None:
    """Print the table of one image size."""
    long_side = int(size * config.max_size / config.min_size)
    config = dataclasses.replace(config, min_size=size, max_size=long_side)
    data = scaled_photo(size)
    nets = {"eager fp32 (yardstick)": yardstick(config, options.network)}
    for preset in options.presets:
        chosen = fast_preset(config) if preset == "fast" else config
        for name in options.precisions:
            net = optimise(build(chosen, options.network), torch.device("cpu"), DTYPES[name])
            nets[f"{preset} {name}"] = net
    runs: dict[str, list[Times]] = {label: [] for label in nets}
    counts = dict.fromkeys(nets, 0)
    for turn in range(options.runs + 1):
        for label, net in nets.items():
            times, counts[label] = run_request(net, data, options.threshold)
            if turn > 0:  # the first round warms up
                runs[label].append(times)
    print(f"\nshortest side {size}, threshold {options.threshold}, ms, median of {options.runs}")
    head = " ".join(f"{n:>8s}" for n in (*NETWORK_PHASES, *OTHER_PHASES))
    print(f"{'':22s} {head}   network  ratio   other objects")
    base = sum(medians(runs["eager fp32 (yardstick)"])[n] for n in NETWORK_PHASES)
    for label in nets:
        report(label, medians(runs[label]), counts[label], base)


def main() -> None:
    """Parse the command line and print one table per size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=("bundled", "cutler-r50"), default="bundled")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 800])
    parser.add_argument("--precisions", nargs="+", choices=DTYPES, default=["fp32", "bf16"])
    parser.add_argument(
        "--presets", nargs="+", choices=("exact", "fast"), default=["exact", "fast"]
    )
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    gains = {
        name: cpu_gain(str(DTYPES[name]).split(".")[1], options.threads)
        for name in options.precisions
        if name != "fp32"
    }
    options.precisions = [n for n in options.precisions if n == "fp32" or gains[n] is not None]
    print(f"threads {options.threads}; gain of a bare convolution and product over fp32: {gains}")
    torch.set_num_threads(options.threads)
    config = load_config(BUNDLED / "config.yaml" if options.network == "bundled" else R50_CONFIG)
    with torch.inference_mode():
        for size in options.sizes:
            measure(options, size, config)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory of this process, all networks together: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
