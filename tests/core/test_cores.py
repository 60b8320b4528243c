"""Cores: what the container grants, not what the machine has."""

import os
from pathlib import Path

import pytest

from services.core import cores


@pytest.fixture
def quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    file = tmp_path / "cpu.max"
    monkeypatch.setattr(cores, "_CGROUP_V2", file)
    monkeypatch.setattr(cores, "_CGROUP_V1_QUOTA", tmp_path / "quota")
    monkeypatch.setattr(cores, "_CGROUP_V1_PERIOD", tmp_path / "period")
    return file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("50000 100000\n", 1),
        ("250000 100000\n", 2),
        ("9900000 100000\n", 8),
        ("nonsense\n", 8),
    ],
)
def test_quota_of_the_second_generation(quota: Path, text: str, expected: int) -> None:
    quota.write_text(text)
    assert cores.available_cores() == expected


def test_quota_of_the_first_generation(quota: Path) -> None:
    (quota.parent / "quota").write_text("300000\n")
    (quota.parent / "period").write_text("100000\n")
    assert cores.available_cores() == 3


def test_no_quota_at_all(quota: Path) -> None:
    assert cores.available_cores() == 8
