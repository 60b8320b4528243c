"""Reduced precision is used only where it has been seen to work."""

import os
import threading

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
