"""Addresses of pages in MLflow's user interface; seen to open in 3.17.2, old traces included."""

from urllib.parse import quote

from services.ledger.records import trace_id


def trace_link(ui: str, experiment_id: str, prediction_id: str) -> str:
    """Return the page of a prediction's trace; there is one only where it has a trace.

    Args:
        ui: address of the user interface, such as `http://127.0.0.1:5000`.
    """
    experiment = quote(experiment_id, safe="")
    trace = quote(trace_id(prediction_id), safe="")
    return f"{ui.rstrip('/')}/#/experiments/{experiment}/traces?selectedEvaluationId={trace}"


def run_link(ui: str, experiment_id: str, run_id: str) -> str:
    """Return the page of a run.

    Args:
        ui: see `trace_link`.
    """
    experiment, run = quote(experiment_id, safe=""), quote(run_id, safe="")
    return f"{ui.rstrip('/')}/#/experiments/{experiment}/runs/{run}"
