"""A table of any values reaches the model alike, however it is written."""

import base64
import json
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pandas as pd
from mlflow.utils.proto_json_utils import dump_input_data

from tests.support.local import LocalServer

_REALS = st.floats(allow_nan=False, allow_infinity=False)
# A carriage return alone is the end of a line to some writers of CSV.
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), min_size=1)
_MOMENTS = st.datetimes(pd.Timestamp(1700, 1, 1), pd.Timestamp(2200, 1, 1))
ROWS = st.fixed_dictionaries(
    {
        "age": _REALS,
        "count": st.integers(-(2**63), 2**63 - 1),
        "name": _TEXT,
        "member": st.booleans(),
        "income": st.none() | _REALS,
        "born": st.none() | _MOMENTS,
        "blob": st.none() | st.binary(min_size=1, max_size=9),
    }
)
NAMES = ["age", "count", "name", "member", "income", "born", "blob"]


@hypothesis.settings(
    max_examples=20, deadline=None, database=None, derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)  # fmt: skip
@hypothesis.given(st.lists(ROWS, min_size=1, max_size=4), st.permutations(NAMES))
def test_every_way_to_write_a_table(
    echo_server: LocalServer, rows: list[dict[str, Any]], order: list[str]
) -> None:
    table = pd.DataFrame(rows)[order]
    table["income"] = table["income"].astype("float64")
    table["born"] = pd.to_datetime(table["born"])
    text = table.assign(
        blob=[row["blob"] and base64.b64encode(row["blob"]).decode() for row in rows]
    )
    records = json.loads(dump_input_data(text))["dataframe_split"]
    written = {
        "split": (dump_input_data(text), "application/json"),
        "records": (
            json.dumps(
                {"dataframe_records": [dict(zip(order, r, strict=True)) for r in records["data"]]}
            ),
            "application/json",
        ),
        "csv": (text.to_csv(index=False), "text/csv"),
        "parquet": (table.to_parquet(), "application/vnd.apache.parquet"),
    }
    answers = {}
    for form, (content, kind) in written.items():
        sent = content.encode() if isinstance(content, str) else content
        answer = echo_server.client.post(
            "/invocations", content=sent, headers={"Content-Type": kind}
        )
        assert answer.status_code == 200, (form, answer.text)
        answers[form] = answer.json()["predictions"]
    assert len(answers["split"]) == len(rows)
    assert answers["records"] == answers["split"]
    assert answers["csv"] == answers["split"]
    assert answers["parquet"] == answers["split"]
