"""Which device and number type to run on; reduced precision only where it really works.

A CPU may advertise bfloat16 matrix units that its hypervisor does not let it use: the first
product then kills the process with an illegal instruction. So bfloat16 on a CPU is tried in a
child process first, which also measures whether it is any faster there.
"""

import functools
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from services.core.errors import ConfigurationError
from services.families.cutler import trials

_PROBE_SECONDS = 120.0
# Below this gain rounding the weights is not worth it.
_WORTHWHILE_GAIN = 1.3
_SAFE_ISA: Final = "AVX512_CORE_BF16"
# Set once a network of this process may have computed.
_computing = threading.Event()

# Prints how many times faster a convolution and a matrix product are in the given type.
_PROBE = """
import sys, time, torch
torch.set_num_threads(int(sys.argv[2])); torch.set_grad_enabled(False)
def seconds(dtype):
    conv = torch.nn.Conv2d(128, 128, 3, padding=1).to(dtype).to(memory_format=torch.channels_last)
    image = torch.randn(1, 128, 96, 96).to(dtype).to(memory_format=torch.channels_last)
    a, b = torch.randn(512, 2048).to(dtype), torch.randn(1024, 2048).to(dtype)
    times = []
    for _ in range(6):
        start = time.perf_counter()
        conv(image); torch.nn.functional.linear(a, b)
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[2]
print(seconds(torch.float32) / seconds(getattr(torch, sys.argv[1])))
"""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how the network runs."""

    device: torch.device
    dtype: torch.dtype

    @property
    def precision(self) -> str:
        """`fp32`, `bf16` or `fp16`."""
        return {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[self.dtype]


def choose_placement(
    device: str, precision: str, threads: int, *, memory: Path | None = None
) -> Placement:
    """Resolve `CUTLER_DEVICE` and `CUTLER_PRECISION`.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `auto`, `fp32`, `bf16` or `fp16`. `auto` is bf16 (fp16 on older ones) on a GPU;
            on a CPU bf16 where it is at least 1.3 times as fast as fp32, else fp32.
        threads: threads that the network will use on a CPU.
        memory: file that keeps what trials on this CPU have shown (see `cpu_gain`).

    Raises:
        ConfigurationError: the device is not there, or cannot compute in the precision.
    """
    where = _device(device)
    if precision == "fp32":
        _computing.set()
        return Placement(where, torch.float32)
    if where.type == "cuda":
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        if precision == "bf16" and not bf16:
            raise ConfigurationError(
                "This GPU does not compute in bf16.",
                where="CUTLER_PRECISION",
                expected="fp16, fp32 or auto",
            )
        half = precision == "fp16" or not bf16
        return Placement(where, torch.float16 if half else torch.bfloat16)
    if precision == "auto":
        gain = cpu_gain("bfloat16", threads, memory) if _advertises_bf16() else None
        worth = gain is not None and gain >= _WORTHWHILE_GAIN
        _computing.set()
        return Placement(where, torch.bfloat16 if worth else torch.float32)
    name = "bfloat16" if precision == "bf16" else "float16"
    if cpu_gain(name, threads, memory) is None:
        raise ConfigurationError(
            f"This CPU cannot compute in {precision}.",
            where="CUTLER_PRECISION",
            expected=f"fp32 or auto; or ONEDNN_MAX_CPU_ISA={_SAFE_ISA} set before the start",
        )
    _computing.set()
    return Placement(where, torch.bfloat16 if precision == "bf16" else torch.float16)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigurationError(
            f"The device {name!r} is not there ({torch.cuda.device_count()} CUDA devices found).",
            where="CUTLER_DEVICE",
            expected="auto, cpu, or a CUDA device that torch can see",
        )
    return device


def _advertises_bf16() -> bool:
    try:
        with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as file:
            flags = file.read(65536)
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


@functools.cache
def cpu_gain(dtype: str, threads: int, memory: Path | None = None) -> float | None:
    """Return how many times as fast as fp32 `dtype` is on this CPU; None where it does not run.

    A trial takes seconds; with `memory`, a file, its outcome is kept there for the next process.

    If it only runs without the matrix units, they are switched off for this process as well.
    oneDNN reads that limit at its first use, so once a network was placed it comes too late.
    """
    gain = _tried(dtype, threads, os.environ.copy(), memory)
    if gain is None and "ONEDNN_MAX_CPU_ISA" not in os.environ and not _computing.is_set():
        safer = os.environ | {"ONEDNN_MAX_CPU_ISA": _SAFE_ISA}
        gain = _tried(dtype, threads, safer, memory)
        if gain is not None:
            os.environ["ONEDNN_MAX_CPU_ISA"] = _SAFE_ISA
    return gain


def _tried(
    dtype: str, threads: int, environment: dict[str, str], memory: Path | None
) -> float | None:
    """Return what `_probe` returns, or what it returned on this very machine before."""
    if memory is None:
        return _probe(dtype, threads, environment)[0]
    limit = environment.get("ONEDNN_MAX_CPU_ISA", "")
    key = trials.key(dtype, str(threads), limit, torch.__version__, _PROBE)
    known = trials.recall(memory, key)
    if known is not None:
        return known.gain
    gain, ended = _probe(dtype, threads, environment)
    if ended:
        trials.keep(memory, key, trials.Trial(gain))
    return gain


def _probe(dtype: str, threads: int, environment: dict[str, str]) -> tuple[float | None, bool]:
    """Return the gain, None where it does not run, and whether the trial came to its end."""
    try:
        result = subprocess.run(
            [sys.executable, "-c", _PROBE, dtype, str(threads)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
        return (float(result.stdout) if result.returncode == 0 else None), True
    except (subprocess.TimeoutExpired, OSError, ValueError):
        return None, False
