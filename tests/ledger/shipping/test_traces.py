"""Which records the stage takes, and what it notes. With MLflow: `test_traces_mlflow.py`."""

from pathlib import Path

import httpx
import orjson
import pytest

from services.core.errors import RegistryUnavailableError, SlipwayError
from services.core.settings import Settings
from services.ledger.database import index
from services.ledger.database.tables import THINNED, UNSENT
from services.ledger.frames import PREDICTION, encode
from services.ledger.reading import read, segments
from services.ledger.shipping.traces import Traces
from tests.conftest import MakeSettings, settings_for_tests
from tests.ledger.journals import record
from tests.ledger.shipping.storing import Ledger, exhaust, opened
from tests.ledger.shipping.tracing import states_of
from tests.support.mlflow_server import free_port


def traced(ledger: Ledger) -> list[bool]:
    """Return for each segment whether it is done, and wholly so."""
    with ledger.database.reading() as connection:
        known = index.all_progress(connection)
    return [
        known[segment.writer, segment.number].traced_to == segment.size
        for segment in segments(ledger.places.journal)
    ]


def sqlite_uri(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


@pytest.mark.parametrize("there", [True, False])
def test_without_a_server_everything_counts_as_traced(tmp_path: Path, *, there: bool) -> None:
    if there:
        (tmp_path / "mlflow.db").touch()
    settings = settings_for_tests(data_dir=tmp_path, mlflow_tracking_uri=sqlite_uri(tmp_path))
    with opened(settings) as ledger:
        ledger.write([record() for _ in range(50)])
        stage = Traces(*ledger.stage)
        exhaust(stage)
        assert traced(ledger) == [True]
        assert set(states_of(ledger).values()) == {THINNED}
        assert stage.status() == {
            "traces": "no server", "traces_sent": 0, "traces_thinned": 50, "traces_refused": 0,
            "trace_share": 0.0, "trace_backlog": 50,
        }  # fmt: skip
        exhaust(stage)
        assert stage.status()["trace_backlog"] == 0
        assert ledger.totals()["traces_thinned"] == 50
        stage.close()


def test_at_rate_0_there_are_no_traces_not_even_of_failures(make_settings: MakeSettings) -> None:
    # Nobody is there to be asked either.
    uri = f"http://127.0.0.1:{free_port()}"
    with opened(make_settings(mlflow_tracking_uri=uri, ledger_trace_rate=0)) as ledger:
        ledger.write([record(), record(status="failed", error={"code": "x"}, output=None)])
        stage = Traces(*ledger.stage)
        exhaust(stage)
        assert traced(ledger) == [True]
        assert stage.status()["traces"] == "off"
        assert stage.status()["trace_share"] == 0.0
        assert ledger.totals() == {"traces_thinned": 2}
        stage.close()


def test_while_mlflow_is_away_nothing_advances(make_settings: MakeSettings) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    with opened(make_settings(mlflow_tracking_uri=uri)) as ledger:
        ledger.write([record() for _ in range(10)])
        stage = Traces(*ledger.stage)
        for _ in range(2):
            with pytest.raises((RegistryUnavailableError, httpx.TransportError)):
                stage.step()
        assert traced(ledger) == [False]
        assert set(states_of(ledger).values()) == {UNSENT}
        assert ledger.totals() == {}
        assert stage.status()["trace_backlog"] == 10
        stage.close()


@pytest.fixture
def serverless(tmp_path: Path) -> Settings:
    return settings_for_tests(
        data_dir=tmp_path, mlflow_tracking_uri=sqlite_uri(tmp_path), ledger_segment_bytes=4096
    )


def test_only_what_is_indexed(serverless: Settings) -> None:
    with opened(serverless) as ledger:
        (segment, *_) = ledger.write([record() for _ in range(3)])
        with ledger.database.begin() as connection:
            index.forget_segment(connection, segment.writer, segment.number)
        stage = Traces(*ledger.stage)
        exhaust(stage)
        assert ledger.totals() == {}
        half = read(segment, 0).records[0].end
        with ledger.database.begin() as connection:
            index.add(connection, [], segment, half, 0)
        exhaust(stage)
        assert ledger.totals() == {"traces_thinned": 1}
        ledger.index(segment)
        exhaust(stage)
        assert ledger.totals() == {"traces_thinned": 3}
        stage.close()


def test_many_segments_of_several_writers(serverless: Settings) -> None:
    with opened(serverless) as ledger:
        some = ledger.write([record() for _ in range(40)])
        some += ledger.write([record() for _ in range(40)])
        assert len(some) > 8
        stage = Traces(*ledger.stage)
        exhaust(stage)
        assert all(traced(ledger))
        assert ledger.totals() == {"traces_thinned": 80}
        stage.close()


def test_damage_does_not_hold_it_up(serverless: Settings) -> None:
    made = [encode(PREDICTION, orjson.dumps(record())) for _ in range(4)]
    pieces = [
        [made[0], b"\0" * 300, made[1]],
        [made[2], made[3][:-5]],
        [b"rubbish" * 50],
        [encode(PREDICTION, b"no json"), encode(PREDICTION, b'{"id":"a"}')],
        [b""],
    ]
    with opened(serverless) as ledger:
        folder = ledger.places.journal / "writer"
        folder.mkdir(parents=True)
        (folder / "lock").touch()
        for number, some in enumerate(pieces, 1):
            (folder / f"{number:08d}.log").write_bytes(b"".join(some))
        for segment in segments(ledger.places.journal):
            chunk = read(segment, 0)
            with ledger.database.begin() as connection:
                index.add(connection, [], segment, chunk.next_offset, chunk.damaged)
        stage = Traces(*ledger.stage)
        exhaust(stage)
        assert all(traced(ledger))
        assert ledger.totals() == {"traces_thinned": 3}
        stage.close()


def test_a_database_that_is_away_is_said(serverless: Settings) -> None:
    with opened(serverless) as ledger:
        ledger.write([record()])
        stage = Traces(*ledger.stage)
        ledger.database.close()
        ledger.places.database.write_bytes(b"this is no database" * 1000)
        with pytest.raises(SlipwayError):
            stage.step()
        stage.close()
