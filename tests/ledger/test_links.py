"""Addresses in MLflow's user interface. That they open was seen with a browser, in 3.17.2."""

from services.ledger.links import run_link, trace_link
from services.ledger.records import trace_id

ID = "01a1feef-eb00-7509-bd42-ac07161b8686"


def test_a_prediction_leads_to_its_trace() -> None:
    assert trace_link("http://mlflow:5000/", "3", ID) == (
        "http://mlflow:5000/#/experiments/3/traces"
        "?selectedEvaluationId=tr-01a1feefeb007509bd42ac07161b8686"
    )
    assert trace_id(ID) in trace_link("http://mlflow:5000", "3", ID)


def test_a_run() -> None:
    assert run_link("https://host/mlflow", "3", "ab12") == (
        "https://host/mlflow/#/experiments/3/runs/ab12"
    )


def test_nothing_breaks_out_of_its_place() -> None:
    assert run_link("http://h", "3/../4", "a?b#c").endswith("/3%2F..%2F4/runs/a%3Fb%23c")
