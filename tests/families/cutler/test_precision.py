"""Reduced precision is used only where it has been seen to work."""

import os
import threading
from pathlib import Path

import pytest
import torch

from services.core.errors import ConfigurationError
from services.families.cutler import precision
from services.families.cutler.precision import choose_placement, cpu_gain


def test_full_precision_needs_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_PROBE", "raise SystemExit('not to be run')")
    cpu_gain.cache_clear()
    placement = choose_placement("cpu", "fp32", 1)
    assert placement.dtype is torch.float32
    assert placement.precision == "fp32"


@pytest.mark.parametrize("wanted", ["bf16", "fp16"])
def test_a_cpu_that_dies_of_it_is_told_apart(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    # What an instruction that is not allowed does to a process.
    monkeypatch.setattr(
        precision, "_PROBE", "import os, signal; os.kill(os.getpid(), signal.SIGILL)"
    )
    cpu_gain.cache_clear()
    with pytest.raises(ConfigurationError) as caught:
        choose_placement("cpu", wanted, 1)
    assert caught.value.where == "CUTLER_PRECISION"
    assert "ONEDNN_MAX_CPU_ISA" not in os.environ
    cpu_gain.cache_clear()


def test_auto_stays_exact_where_reducing_does_not_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_advertises_bf16", lambda: True)
    for printed, expected in (("1.29", torch.float32), ("1.31", torch.bfloat16)):
        monkeypatch.setattr(precision, "_PROBE", f"print({printed})")
        cpu_gain.cache_clear()
        assert choose_placement("cpu", "auto", 1).dtype is expected
    cpu_gain.cache_clear()


def test_matrix_units_are_switched_off_where_only_that_helps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(precision, "_computing", threading.Event())
    probe = "import os, sys; sys.exit(1) if 'ONEDNN_MAX_CPU_ISA' not in os.environ else print(2.0)"
    monkeypatch.setattr(precision, "_PROBE", probe)
    cpu_gain.cache_clear()
    try:
        assert cpu_gain("bfloat16", 1) == 2.0
        assert os.environ["ONEDNN_MAX_CPU_ISA"] == "AVX512_CORE_BF16"
    finally:
        os.environ.pop("ONEDNN_MAX_CPU_ISA", None)
        cpu_gain.cache_clear()


def test_it_is_too_late_once_a_network_was_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(precision, "_computing", threading.Event())
    probe = "import os, sys; sys.exit(1) if 'ONEDNN_MAX_CPU_ISA' not in os.environ else print(2.0)"
    monkeypatch.setattr(precision, "_PROBE", probe)
    cpu_gain.cache_clear()
    choose_placement("cpu", "fp32", 1)
    with pytest.raises(ConfigurationError, match="cannot compute in bf16") as caught:
        choose_placement("cpu", "bf16", 1)
    assert "ONEDNN_MAX_CPU_ISA" in str(caught.value.expected)
    assert "ONEDNN_MAX_CPU_ISA" not in os.environ
    cpu_gain.cache_clear()


@pytest.mark.slow
def test_the_real_trial_ends_with_a_gain_or_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL"))
    cpu_gain.cache_clear()
    gain = cpu_gain("bfloat16", 1)
    assert gain is None or gain > 0
    cpu_gain.cache_clear()


def test_what_a_trial_showed_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    memory, count = tmp_path / "cache" / "precision.json", tmp_path / "count"
    probe = f"open({str(count)!r}, 'a').write('x'); print(2.5)"
    monkeypatch.setattr(precision, "_PROBE", probe)
    for _ in range(2):
        cpu_gain.cache_clear()
        assert cpu_gain("bfloat16", 1, memory) == 2.5
    assert count.read_text() == "x"
    # Another number of threads, another trial, or a file that is damaged: it is tried anew.
    cpu_gain("bfloat16", 2, memory)
    assert count.read_text() == "xx"
    memory.write_text("[")
    cpu_gain.cache_clear()
    assert cpu_gain("bfloat16", 1, memory) == 2.5
    assert count.read_text() == "xxx"
    cpu_gain.cache_clear()


def test_that_it_does_not_run_is_kept_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    memory, count = tmp_path / "precision.json", tmp_path / "count"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "ALL")
    monkeypatch.setattr(
        precision, "_PROBE", f"open({str(count)!r}, 'a').write('x'); raise SystemExit(1)"
    )
    for _ in range(2):
        cpu_gain.cache_clear()
        assert cpu_gain("bfloat16", 1, memory) is None
    assert count.read_text() == "x"
    cpu_gain.cache_clear()


def test_a_trial_that_did_not_end_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    memory = tmp_path / "precision.json"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "ALL")
    monkeypatch.setattr(precision, "_PROBE", "import time; time.sleep(60)")
    monkeypatch.setattr(precision, "_PROBE_SECONDS", 0.1)
    cpu_gain.cache_clear()
    assert cpu_gain("bfloat16", 1, memory) is None
    assert not memory.exists()
    cpu_gain.cache_clear()


def test_a_memory_that_cannot_be_written_is_done_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(precision, "_PROBE", "print(1.5)")
    cpu_gain.cache_clear()
    assert cpu_gain("bfloat16", 1, tmp_path / "file" / "precision.json") == 1.5
    cpu_gain.cache_clear()
