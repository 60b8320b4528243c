"""Annotated pictures on serving runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.core.errors import RegistryUnavailableError
from services.core.ids import new_id
from services.ledger import blobs
from services.ledger.shipping.annotated import Annotated
from services.ledger.shipping.destination import Destination
from services.ledger.shipping.parquet import Parquet
from tests.conftest import MakeSettings
from tests.ledger.journals import record
from tests.ledger.shipping.storing import NOON, Ledger, exhaust, opened, runs_of
from tests.support.mlflow_server import MlflowServer, free_port

_KEY = ("cutler", "1", "2026-11-20")


@pytest.fixture
def ledger(make_settings: MakeSettings, mlflow_server: MlflowServer) -> Iterator[Ledger]:
    """A ledger whose experiment nobody else uses."""
    settings = make_settings(
        mlflow_tracking_uri=mlflow_server.uri,
        ledger_experiment=f"predictions-{uuid4().hex}",
        ledger_annotated=("cutler",),
    )
    with opened(settings) as found:
        yield found


def pictured(ledger: Ledger, number: int, **values: Any) -> dict[str, Any]:
    """Return a prediction with an annotated picture, which lies among the blobs."""
    data = b"\xff\xd8\xff" + str(number).encode()
    name = blobs.picture_name(data)
    blobs.store(ledger.places, name, data)
    return record(model="cutler", time=NOON + number, annotated=name, **values)


def lists(ledger: Ledger) -> list[Path]:
    return list((ledger.places.root / "pictures").glob("*"))


def images(ledger: Ledger, folder: Path) -> dict[str, bytes]:
    """Download the pictures of the run, by name."""
    import mlflow

    place = mlflow.artifacts.download_artifacts(
        run_id=runs_of(ledger.settings)[_KEY].info.run_id,
        artifact_path="images",
        dst_path=str(folder),
        tracking_uri=ledger.settings.tracking_uri,
    )
    return {path.name: path.read_bytes() for path in Path(place).iterdir()}


@pytest.mark.slow
def test_each_picture_is_attached_under_its_prediction(ledger: Ledger, tmp_path: Path) -> None:
    made = [pictured(ledger, n) for n in range(4)]
    ledger.write([*made, record(model="cutler", time=NOON)])
    exhaust(Parquet(*ledger.stage))
    stage = Annotated(*ledger.stage)
    exhaust(stage)
    assert images(ledger, tmp_path / "back") == {
        f"{one['id']}.jpg": b"\xff\xd8\xff" + str(n).encode() for n, one in enumerate(made)
    }
    assert stage.status() == {
        "pictures_attached": 4, "pictures_missing": 0, "pictures_refused": 0,
    }  # fmt: skip
    assert not stage.step()
    assert [path for path in lists(ledger) if path.is_file()] == []


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on(ledger: Ledger, tmp_path: Path) -> None:
    made = [pictured(ledger, n) for n in range(6)]
    ledger.write(made)
    exhaust(Parquet(*ledger.stage))
    first = Annotated(*ledger.stage)
    first._next()
    for _ in range(2):
        first._attach(first._left.pop())
    # Nothing of it is remembered.
    exhaust(Annotated(*ledger.stage))
    assert set(images(ledger, tmp_path / "back")) == {f"{one['id']}.jpg" for one in made}


@pytest.mark.slow
def test_what_is_missing_is_counted(ledger: Ledger, tmp_path: Path) -> None:
    made = [pictured(ledger, n) for n in range(3)]
    blobs.path(ledger.places, made[1]["annotated"]).unlink()
    odd = [
        pictured(ledger, 7, id="../../escape"),
        pictured(ledger, 8) | {"annotated": "../../secret.jpg"},
    ]
    ledger.write(made + odd)
    exhaust(Parquet(*ledger.stage))
    exhaust(Annotated(*ledger.stage))
    assert set(images(ledger, tmp_path / "back")) == {
        f"{one['id']}.jpg" for one in (made[0], made[2])
    }
    totals = ledger.totals()
    assert (totals["pictures_attached"], totals["pictures_missing"]) == (2, 3)


def test_only_for_models_that_are_named(make_settings: MakeSettings) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    for named, expected in ((("other",), 0), (("cutler",), 1), (("*",), 1), ((), 0)):
        settings = make_settings(mlflow_tracking_uri=uri, ledger_annotated=named)
        with opened(settings) as ledger:
            (segment,) = ledger.write([pictured(ledger, 1)])
            stage = Parquet(*ledger.stage)
            stage._send = lambda part: None  # type: ignore[method-assign]
            exhaust(stage)
            assert len(lists(ledger)) == expected, named
            for path in lists(ledger):
                assert path.name == f"{segment.writer}-00000001.jsonl"
                path.unlink()


def test_mlflow_is_away(make_settings: MakeSettings) -> None:
    settings = make_settings(
        mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}", ledger_annotated=("*",)
    )
    with opened(settings) as ledger:
        ledger.write([pictured(ledger, 1), pictured(ledger, 2, id=new_id())])
        parquet = Parquet(*ledger.stage)
        parquet._send = lambda part: None  # type: ignore[method-assign]
        exhaust(parquet)
        stage = Annotated(*ledger.stage)
        for _ in range(2):
            with pytest.raises(RegistryUnavailableError):
                stage.step()
        assert len(stage._left) == 2
        assert ledger.totals().get("pictures_attached", 0) == 0
        stage.close()
        assert [path.suffix for path in lists(ledger)] == [".jsonl"]


@pytest.mark.slow
def test_one_picture_makes_no_run_twice(ledger: Ledger) -> None:
    ledger.write([pictured(ledger, 1)])
    exhaust(Parquet(*ledger.stage))
    exhaust(Annotated(*ledger.stage))
    run = runs_of(ledger.settings)[_KEY]
    listed = Destination(ledger.settings).client().list_artifacts(run.info.run_id)
    assert sorted(file.path for file in listed) == ["images", "predictions"]
