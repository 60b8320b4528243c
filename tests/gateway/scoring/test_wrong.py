"""What is wrong with a body is told in MLflow's shape, with the status of every other door."""

import json

import httpx
import pandas as pd
import pytest

from tests.gateway.scoring.conftest import CSV, JSON, PARQUET, send

SPLIT = {"dataframe_split": {"columns": ["age"], "data": [[1.5]]}}
WRONG: list[tuple[str, str, int, str]] = [
    ("{}", JSON, 422, "dataframe_split, dataframe_records, instances, inputs"),
    ("[1]", JSON, 422, "body is a list"),
    ('{"messages": [{"role": "user", "content": "hi"}]}', JSON, 422, "language model"),
    ('{"inputs": [], "instances": []}', JSON, 422, "instances and inputs"),
    ('{"inputs": [[1]], "parms": {}}', JSON, 422, "body.parms is unknown"),
    ('{"dataframe_split": [1]}', JSON, 422, "dataframe_split is a list"),
    ('{"dataframe_split": {"columns": ["age"]}}', JSON, 422, "dataframe_split.data is missing"),
    ('{"dataframe_split": {"columns": ["age", "age"], "data": []}}', JSON, 422, "twice"),
    ('{"dataframe_split": {"columns": [["a"]], "data": []}}', JSON, 422, "split.columns"),
    ('{"dataframe_split": {"columns": ["age"], "data": [[1, 2]]}}', JSON, 422, "data[0] has 2"),
    ('{"dataframe_split": {"index": [1], "data": []}}', JSON, 422, "dataframe_split.index"),
    ('{"dataframe_split": {"data": [], "rows": 1}}', JSON, 422, "dataframe_split.rows is unknown"),
    ('{"dataframe_records": {"age": 1}}', JSON, 422, "dataframe_records is an object"),
    ('{"dataframe_records": [{"age": 1}]}', JSON, 422, "dataframe_records[0].count is missing"),
    ('{"dataframe_records": []}', JSON, 422, "dataframe_records has no rows"),
    ('{"inputs": [', JSON, 400, "line 1"),
    ('{"inputs": [{"a": NaN, "a": 1}]}', JSON, 400, "names a key twice"),
    ("{}", "application/json; charset=utf-16", 415, "UTF-8"),
    ("{}", "text/plain", 415, "text/csv"),
    ("age", "text/csv; charset=klingon", 415, "charset"),
    (b"age\n\xff", CSV, 400, "byte 4"),  # type: ignore[list-item]
    ("", CSV, 422, "no rows"),
    ("age,count,name,member\n", CSV, 422, "no rows"),
    ("age,age\n1,2", CSV, 400, "twice"),
    ("age,count\n1,2\n3", CSV, 422, "line 3 has 1 cells"),
    ('age,count\n1,"2" 3', CSV, 400, "line 2"),
    ("age,count,name,member\n1,x,a,true", CSV, 422, "body.count[0] is text"),
    ("age,count,name,member\n1_0,1,a,true", CSV, 422, "body.age[0] is text"),
    ("age,count,name,member\ninf,1,a,true", CSV, 422, "body.age[0] is text"),
    ("age,count,name,member\n1,1.5,a,true", CSV, 422, "body.count[0] is no whole number"),
    ("age,count,name,member\n1,1,a,yes", CSV, 422, "body.member[0] is text"),
    ("age\n" + "1\n" * 101, CSV, 413, "at most 100 rows"),
    ("no Parquet", PARQUET, 400, "Parquet"),
]


@pytest.mark.parametrize(("content", "kind", "status", "words"), WRONG)
def test_what_is_wrong_is_told(
    client: httpx.Client, content: str, kind: str, status: int, words: str
) -> None:
    answer = send(client, "mixed", content, kind)
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error_code", "message"}
    assert words in body["message"]


def test_models_that_are_not_there(client: httpx.Client) -> None:
    answer = client.post("/models/nobody/invocations", json=SPLIT)
    assert answer.status_code == 404
    assert answer.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    answer = client.post("/models/mixed/invocations?version=9", json=SPLIT)
    assert answer.status_code == 404
    answer = client.post("/models/mixed/invocations?version=1&stage=staging", json=SPLIT)
    assert answer.status_code == 422


def test_a_row_too_many_is_the_same_at_every_door(client: httpx.Client) -> None:
    rows = [[1.5, 2]] * 101
    table = pd.DataFrame(rows).rename(columns=str)
    for content, kind in (
        (json.dumps({"inputs": rows}), JSON),
        (json.dumps({"dataframe_split": {"columns": [0, 1], "data": rows}}), JSON),
        (table.to_csv(index=False), CSV),
        (table.to_parquet(), PARQUET),
    ):
        assert send(client, "pairs", content, kind).status_code == 413
