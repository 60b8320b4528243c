"""The service that finds objects in pictures.

Later work: the dashboards.
"""

import base64
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.seeds.shapes import ByName, like
from tests.seeds.system import System
from tests.support.patience import PATIENCE
from tests.support.server import ROOT

pytestmark = pytest.mark.slow

PHOTO = next((ROOT / "docs" / "samples").glob("*.jpg"))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Return a small photo: these tests are about shapes, not speed."""
    whole = cv2.imread(str(PHOTO))
    assert whole is not None
    small = cv2.resize(whole, (320, 240))
    path = tmp_path / "photo.jpg"
    assert cv2.imwrite(str(path), small)
    return path


def test_information(system: System) -> None:
    answer = system.curl("{url}/")
    assert answer.status == 200
    like({"name": "", "version": "", "endpoints": ByName("")}, answer.json())


def test_documentation(system: System) -> None:
    answer = system.curl("{url}/docs")
    assert answer.status == 200
    assert "<html" in answer.text


def test_health(system: System) -> None:
    answer = system.curl("{url}/health")
    assert answer.status == 200
    body = answer.json()
    like({"status": "", "version": "", "services": ByName(""), "models": ByName(True)}, body)
    assert body["models"]["cutler"] is True


def test_health_of_mlflow(system: System) -> None:
    answer = system.curl(f"{system.mlflow}/health")
    assert (answer.status, answer.text) == (200, "OK")


def test_metrics(system: System) -> None:
    answer = system.curl("{url}/metrics")
    assert answer.status == 200
    # Requests, predictions, uploads, system: the four groups of the document.
    for name in (
        "http_requests_total",
        "http_request_duration_seconds",
        "predictions_total",
        "prediction_duration_seconds",
        "file_uploads_total",
        "file_upload_size_bytes",
        "model_memory_bytes",
        "process_resident_memory_bytes",
        "active_connections",
    ):
        assert f"# HELP {name}" in answer.text


def test_model_information(system: System) -> None:
    answer = system.curl("{url}/model/info")
    assert answer.status == 200
    body = answer.json()
    like({"name": "", "version": "", "device": ""}, body)
    assert body["name"] == "cutler"


def test_process_image(system: System, photo: Path) -> None:
    answer = system.curl("-X", "POST", "{url}/process-image", "-F", f"file=@{photo}")
    assert answer.status == 200
    body = answer.json()
    documented = {"success": True, "image": "", "num_instances": 3, "processing_time": 0.5}
    like(documented, body)
    assert body["success"] is True
    assert len(body["instances"]) == body["num_instances"]
    drawn = cv2.imdecode(np.frombuffer(base64.b64decode(body["image"]), np.uint8), 1)
    assert drawn is not None
    assert drawn.shape == (240, 320, 3)
    for instance in body["instances"]:
        like({"box": [0.0], "score": 0.9, "area": 1, "mask": {"size": [1], "counts": ""}}, instance)


def test_process_image_later(system: System, photo: Path) -> None:
    answer = system.curl("-X", "POST", "{url}/process-image/async", "-F", f"file=@{photo}")
    assert answer.status == 202
    body = answer.json()
    like({"task_id": "", "status": ""}, body)
    assert body["status"] == "processing"
    until = time.monotonic() + PATIENCE
    while True:
        task = system.curl("{url}/task/" + body["task_id"]).json()
        assert task["task_id"] == body["task_id"]
        if task["status"] != "processing":
            break
        assert time.monotonic() < until, task
        time.sleep(0.2)
    assert task["status"] == "completed", task
    documented = {"success": True, "image": "", "num_instances": 3, "processing_time": 0.5}
    like(documented, task["result"])
    at_once = system.curl("-X", "POST", "{url}/process-image", "-F", f"file=@{photo}").json()
    assert task["result"]["instances"] == at_once["instances"]
    assert task["result"]["image"] == at_once["image"]


def test_a_task_that_failed(system: System) -> None:
    """There is no such task, and one that cannot be processed is refused at once."""
    nobody = "{url}/task/0198f1c2-7a52-7c39-b6a1-5d5a3f0b9c11"
    assert system.curl(nobody).status == 404
    refused = system.curl("-X", "POST", "{url}/process-image/async", "-F", "file=@/dev/null")
    assert refused.status == 422


def test_recent_runs(system: System) -> None:
    answer = system.curl("{url}/mlflow/runs")
    assert answer.status == 200
    body = answer.json()
    run = {"run_id": "", "status": "", "params": ByName(""), "metrics": ByName(0.5)}
    like({"runs": [run]}, body)
    assert body["runs"][0]["status"] == "FINISHED"
