"""MLflow's ways to write rows: each reaches the model alike, and what is wrong is told."""

import gzip
import json
from typing import Any

import httpx
import pandas as pd
import pytest

from tests.gateway.scoring.conftest import CSV, JSON, PARQUET, send
from tests.support.pictures import blobs_as

ROW: dict[str, Any] = {
    "age": 1.5,
    "count": 3,
    "name": "Ann",
    "member": True,
    "income": None,
    "born": "2024-05-01T12:30:00",
    "blob": "aGk=",
    "tags": ["a", "b"],
    "point": {"x": 1.0},
}
SHOWN = [
    ["age", "float 1.5"],
    ["count", "int 3"],
    ["name", "str Ann"],
    ["member", "bool True"],
    ["income", "float nan"],
    ["born", "Timestamp 2024-05-01 12:30:00"],
    ["blob", "bytes b'hi'"],
    ["tags", ["str a", "str b"]],
    ["point", [["x", "float 1.0"]]],
]
FORMS: dict[str, Any] = {
    "records": {"dataframe_records": [ROW]},
    "split": {"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values())]}},
    "split by position": {"dataframe_split": {"data": [list(ROW.values())]}},
    "split reversed": {
        "dataframe_split": {
            "columns": list(ROW)[::-1], "index": [7], "data": [list(ROW.values())[::-1]]
        }
    },
    "instances": {"instances": [ROW]},
    "inputs as columns": {"inputs": {name: [value] for name, value in ROW.items()}},
    "inputs as records": {"inputs": [ROW]},
    "an id and a label too": {"dataframe_records": [{"id": 3, **ROW, "label": None}]},
    "columns and an id": {"inputs": {"id": [0], **{name: [v] for name, v in ROW.items()}}},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_reaches_the_model_alike(client: httpx.Client, form: str) -> None:
    answer = client.post("/invocations", json=FORMS[form])
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"predictions": [SHOWN]}
    assert answer.headers["X-Prediction-ID"]


@pytest.mark.parametrize(
    "path", ["/models/mixed/invocations?version=1", "/endpoints/mixed/invocations"]
)
def test_every_address_reaches_it(client: httpx.Client, path: str) -> None:
    assert client.post(path, json=FORMS["split"]).json() == {"predictions": [SHOWN]}


def test_a_table_in_csv(client: httpx.Client) -> None:
    text = (
        ",name,age,count,member,income,born,blob,tags,point\r\n"
        '0,Ann,1.5,3,true,,2024-05-01 12:30:00,aGk=,"[""a"",""b""]","{""x"": 1}"\r\n'
        '\r\n1,"B, ""C""\n d",2,4.0,False,7,,,,\r\n'
    )
    answer = send(client, "mixed", "\ufeff" + text, "text/csv; charset=utf-8")
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["predictions"]
    assert first == SHOWN
    assert second[:6] == [
        ["age", "float 2.0"],
        ["count", "int 4"],
        ["name", 'str B, "C"\n d'],
        ["member", "bool False"],
        ["income", "float 7.0"],
        ["born", "NaTType NaT"],
    ]


def test_csv_of_another_charset(client: httpx.Client) -> None:
    text = "text\nZürich\n"
    for charset in ("iso-8859-1", "windows-1252", "UTF-8"):
        kind = f'text/csv; charset="{charset}"'
        answer = send(client, "text", text.encode(charset), kind)
        assert answer.json() == {"predictions": [[["text", "str Zürich"]]]}


@pytest.mark.parametrize("kind", [PARQUET, "application/x-parquet"])
def test_a_table_in_parquet(client: httpx.Client, kind: str) -> None:
    table = pd.DataFrame([ROW, {**ROW, "name": "Bob", "born": None, "tags": None, "blob": None}])
    table["born"] = pd.to_datetime(table["born"])
    table["blob"] = [b"hi", None]
    table["name"] = table["name"].astype("category")
    # An index with a name is a column of the file, and none of the table.
    table.index = pd.Index([8, 9], name="id")
    body = table.to_parquet()
    assert body is not None
    answer = send(client, "mixed", body, kind)
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["predictions"]
    assert first == SHOWN
    assert second[2] == ["name", "str Bob"]
    assert second[5:8] == [
        ["born", "NaTType NaT"],
        ["blob", "NoneType None"],
        ["tags", "NoneType None"],
    ]
    plain = send(client, "plain", body, kind).json()["predictions"]
    assert [name for name, _ in plain[0]] == list(ROW)


def test_packed_bodies(client: httpx.Client) -> None:
    body = gzip.compress(json.dumps(FORMS["split"]).encode())
    answer = client.post(
        "/invocations", content=body,
        headers={"Content-Type": JSON, "Content-Encoding": "gzip"},
    )  # fmt: skip
    assert answer.json() == {"predictions": [SHOWN]}


def test_gaps_as_mlflow_writes_them(client: httpx.Client) -> None:
    """Its client leaves NaN in the JSON, and NaT where a date should be."""
    body = json.dumps({"dataframe_records": [{**ROW, "name": 'NaN, "NaN"', "income": float("nan"),
                                              "born": "NaT", "blob": "aG\nk=\n"}]})  # fmt: skip
    assert ": NaN" in body
    answer = send(client, "mixed", body, JSON)
    assert answer.status_code == 200, answer.text
    (row,) = answer.json()["predictions"]
    assert row[2] == ["name", 'str NaN, "NaN"']
    assert row[4:7] == [["income", "float nan"], ["born", "NaTType NaT"], ["blob", "bytes b'hi'"]]
    required = send(client, "mixed", body.replace("1.5", "NaN"), JSON)
    assert required.status_code == 422
    assert "dataframe_records[0].age is null" in required.json()["message"]
    # Half a text, and numbers that no JSON has.
    for broken in ('{"inputs": [NaN, "' + '\\"' * 50_000, '{"inputs": [Infinity, NaN]}'):
        assert send(client, "mixed", broken, JSON).status_code == 400


def test_the_only_input_needs_no_name(client: httpx.Client) -> None:
    for body in ({"inputs": ["a"]}, {"inputs": "a"}, {"instances": ["a"]}, {"inputs": [["a"]]},
                 {"inputs": {"text": "a"}}, {"dataframe_records": [{"text": "a"}]}):  # fmt: skip
        answer = client.post("/models/text/invocations", json=body)
        assert answer.json() == {"predictions": [[["text", "str a"]]]}, answer.text


def test_columns_without_names_go_by_position(client: httpx.Client) -> None:
    expected = {"predictions": [[["0", "float 1.5"], ["1", "int 2"]]]}
    table = pd.DataFrame({"x": [1.5], "y": [2]}).to_parquet()
    bodies: list[tuple[bytes | str, str]] = [
        ('{"inputs": [[1.5, 2]]}', JSON),
        ('{"dataframe_split": {"columns": ["x", "y"], "data": [[1.5, 2]]}}', JSON),
        ('{"dataframe_records": [{"x": 1.5, "y": 2}]}', JSON),
        ("x,y\n1.5,2", CSV),
        (table, PARQUET),
    ]
    for content, kind in bodies:
        answer = send(client, "pairs", content, kind)
        assert answer.json() == expected, answer.text


def test_tensors(client: httpx.Client) -> None:
    one = [["float32", [1, 2]], ["float32", [3, 4]]]
    for body in (
        {"inputs": [[[1, 2], [3, 4]]]},
        {"instances": [[[1, 2], [3, 4]]]},
        {"dataframe_split": {"columns": ["p"], "data": [[[1, 2, 3, 4]]]}},
    ):
        answer = client.post("/models/pictures/invocations", json=body)
        assert answer.json() == {"predictions": [one]}, answer.text
    a = [["float64", [1, 2]], ["float64", [3, 4]]]
    expected = {"predictions": [["a", [a, a]], ["b", ["int64", [5, 6]]]]}
    rows = [{"a": [[1, 2], [3, 4]], "b": 5}, {"a": [[1, 2], [3, 4]], "b": 6}]
    flat = [{**row, "a": [1, 2, 3, 4]} for row in rows]
    parquet = pd.DataFrame(flat).to_parquet()
    assert parquet is not None
    for content, kind in (
        (json.dumps({"inputs": {"a": [row["a"] for row in rows], "b": [5, 6], "c": 7}}), JSON),
        (json.dumps({"instances": rows}), JSON),
        (json.dumps({"dataframe_records": flat}), JSON),
        ('a,b\n"[1,2,3,4]",5\n"[1,2,3,4]",6', CSV),
        (parquet, PARQUET),
    ):
        answer = send(client, "named", content, kind)
        assert answer.json() == expected, answer.text


def test_params(client: httpx.Client) -> None:
    body = {"dataframe_records": [{"x": 1}], "params": {"times": 2}}
    answer = client.post("/models/params/invocations", json=body)
    assert answer.json() == {"predictions": [[["x", "float 1.0"], [["times", "int 2"]]]]}
    wrong = client.post("/models/params/invocations", json={**body, "params": {"times": "x"}})
    assert wrong.status_code == 422
    assert "params.times" in wrong.json()["message"]


def test_pictures(client: httpx.Client) -> None:
    import base64

    encoded = base64.b64encode(blobs_as("PNG")).decode()
    for content, kind in (
        (json.dumps({"inputs": [encoded]}), JSON),
        (json.dumps({"instances": [{"b64": encoded}]}), JSON),
        (json.dumps({"dataframe_split": {"columns": ["image"], "data": [[encoded]]}}), JSON),
        (json.dumps({"dataframe_records": [{"image": encoded}]}), JSON),
        (f"image\n{encoded}", CSV),
    ):
        answer = send(client, "colours", content, kind)
        assert answer.status_code == 200, answer.text
        (found,) = answer.json()["predictions"]
        assert set(found) == {"class", "confidence", "probabilities"}


def test_ping_and_version(client: httpx.Client) -> None:
    import mlflow

    ping = client.get("/ping")
    assert (ping.status_code, ping.text) == (200, "\n")
    assert client.get("/version").text == mlflow.__version__
