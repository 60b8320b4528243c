"""What MLflow has of a ledger's traces, and a small server that answers as it is told."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sqlalchemy import select

from services.core.errors import SlipwayError
from services.core.ids import new_id
from services.core.settings import Settings
from services.ledger.database import feedback as table
from services.ledger.database.feedback import Feedback
from services.ledger.database.tables import predictions
from services.ledger.records import trace_id
from services.ledger.shipping.destination import Destination
from services.ledger.shipping.traces import Traces
from tests.conftest import settings_for_tests
from tests.ledger.database.made import feedback
from tests.ledger.shipping.storing import Ledger, exhaust

# A text of digits alone that is longer than any number Python reads: MLflow stumbles over it, and
# with it over all that is sent together.
POISON = "7" * 5000
Answer = tuple[int, dict[str, str], bytes]


def settings_of(data_dir: Any, uri: str, **values: Any) -> Settings:
    """Return settings with an experiment of their own, that send all traces at once."""
    chosen = {"ledger_trace_rate": 10_000, "ledger_experiment": f"traces-{new_id()}", **values}
    return settings_for_tests(data_dir=data_dir, mlflow_tracking_uri=uri, **chosen)


def traces_of(settings: Settings, query: str | None = None, run_id: str | None = None) -> list[Any]:
    """Return the traces in MLflow, as its client finds them."""
    destination = Destination(settings)
    client, found, token = destination.client(), [], None
    while True:
        page = client.search_traces(
            locations=[destination.experiment_id()], filter_string=query, run_id=run_id,
            max_results=500, page_token=token, include_spans=False,
        )  # fmt: skip
        found += page
        token = page.token
        if not token:
            return found


def ids_of(traces: Sequence[Any]) -> list[str]:
    """Return the ids of traces, sorted."""
    return sorted(trace.info.trace_id for trace in traces)


def expected(records: Sequence[dict[str, Any]]) -> list[str]:
    """Return the ids that the traces of records have, sorted."""
    return sorted(trace_id(record["id"]) for record in records)


def states_of(ledger: Ledger) -> dict[str, int]:
    """Return what became of the traces, by prediction."""
    with ledger.database.reading() as connection:
        rows = connection.execute(select(predictions.c.id, predictions.c.trace_state))
        return {row.id: row.trace_state for row in rows}


def say(ledger: Ledger, prediction_id: str, **values: Any) -> Feedback:
    """Give feedback on a prediction."""
    made = feedback(prediction_id, **values)
    with ledger.database.begin() as connection:
        table.add_feedback(connection, made)
    return made


def said(ledger: Ledger, prediction_id: str) -> list[Feedback]:
    """Return the feedback on a prediction as it stands in the database."""
    with ledger.database.reading() as connection:
        return table.of_prediction(connection, prediction_id)


def assessments_of(settings: Settings, prediction_id: str) -> list[Any]:
    """Return what MLflow has on a prediction, in the order of arrival there."""
    trace = Destination(settings).client().get_trace(trace_id(prediction_id), display=False)
    return list(trace.info.assessments)


def ship(ledger: Ledger, seconds: float = 120.0) -> None:
    """Do what the shipper does: try again until everything is done."""
    stage, until = Traces(*ledger.stage), time.monotonic() + seconds
    while True:
        assert time.monotonic() < until
        try:
            exhaust(stage)
            break
        except (SlipwayError, httpx.TransportError):
            time.sleep(0.2)
    stage.close()


class Nowhere:
    """A destination whose runs need not be there."""

    exists = http = True

    def __init__(self) -> None:
        self.doubted: list[tuple[str, str, str]] = []

    def headers(self) -> dict[str, str]:
        return {}

    def experiment_id(self) -> str:
        return "1"

    def run_for(self, database: object, *key: str) -> str:
        return "-".join(key)

    def doubt(self, *key: str) -> None:
        self.doubted.append(key)  # type: ignore[arg-type]


@contextmanager
def answering(answer: Callable[[str, str, bytes], Answer]) -> Iterator[str]:
    """Serve what a function of method, path and body says; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536  # an answer in one piece: the second would wait for an ACK

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, headers, content = answer(self.command, self.path, body)
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Who asked has hung up."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sent_in(body: bytes) -> list[str]:
    """Return the trace ids in the body of a request."""
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    return [one.trace_id.hex() for one in request.resource_spans[0].scope_spans[0].spans]
