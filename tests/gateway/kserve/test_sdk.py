"""KServe's own client, from an environment of its own, against a running gateway."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.environment import environment
from tests.support.local import LocalServer

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "clients" / "kserve_calls.py"
SHOWN = [[["text", "str a"]], [["text", "str Zürich"]]]


@pytest.fixture(scope="module")
def calls(echo_server: LocalServer) -> dict[str, Any]:
    done = subprocess.run(
        [environment("kserve"), SCRIPT, f"http://127.0.0.1:{echo_server.port}"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_v1(calls: dict[str, Any]) -> None:
    v1 = calls["v1"]
    assert v1["live"] is True
    assert v1["ready"] is True
    assert v1["infer"] == {"predictions": SHOWN}
    assert v1["infer version"] == {"predictions": SHOWN}
    assert v1["id"]


def test_v1_errors_show_our_text(calls: dict[str, Any]) -> None:
    for name, words in (
        ("ready without", "There is no model of that name."),
        ("infer without", "There is no model of that name."),
        ("infer wrong", "instances[1] is a number"),
        ("explain", "No model here has explanations."),
    ):
        found = calls["v1"][name]
        assert found["raised"] == "HTTPStatusError", found
        assert words in found["text"]
        assert "request id" in found["text"]


def test_v2(calls: dict[str, Any]) -> None:
    v2 = calls["v2"]
    assert v2["live"] is True
    assert v2["server ready"] is True
    assert v2["ready"] is True
    assert v2["ready without"] is False
    for name in ("infer", "infer binary"):
        found = v2[name]
        assert "raised" not in found, found
        assert (found["id"], found["model"]) == ("id-1", "text")
        assert len(found["outputs"]) == 1
        assert "Zürich" in json.dumps(found["outputs"], ensure_ascii=False)


def test_v2_errors_show_our_text(calls: dict[str, Any]) -> None:
    found = calls["v2"]["infer wrong"]
    assert found["raised"] == "HTTPStatusError", found
    assert "inputs.a is missing" in found["text"], found
    assert "request id" in found["text"]
