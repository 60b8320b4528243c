"""Labelled examples from a file."""

from pathlib import Path

import pytest

from services.core.errors import InvalidInputError
from services.core.signature import Field, Signature
from services.rollout import labelled

TABLE = 'age,city,member,answer\n31,Bonn,true,1\n,"Köln, Süd",0,0\n'


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "held_out.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def test_rows_take_the_types_of_the_signature(table: Path) -> None:
    found = labelled.read(table, "answer")
    assert found.answers == ["1", "0"]
    signature = Signature(
        (
            Field("age", "double", required=False),
            Field("city", "string"),
            Field("member", "boolean"),
        )
    )
    assert labelled.payload(found.rows, signature) == {
        "inputs": [
            {"age": 31, "city": "Bonn", "member": True},
            {"age": None, "city": "Köln, Süd", "member": False},
        ]
    }


def test_numbers_written_otherwise_still_fit_whole_columns(tmp_path: Path) -> None:
    rows = [{"rooms": "3.0", "zip": "01067"}]
    signature = Signature((Field("rooms", "long"), Field("zip", "string")))
    found = labelled.payload(rows, signature)["inputs"]
    assert found == [{"rooms": 3, "zip": "01067"}]
    assert isinstance(found[0]["rooms"], int)


def test_columns_that_the_model_does_not_know_are_left_out(table: Path) -> None:
    found = labelled.read(table, "answer")
    signature = Signature((Field("age", "double", required=False),))
    assert labelled.payload(found.rows, signature) == {"inputs": [{"age": 31}, {"age": None}]}


def test_tensors_get_rows(tmp_path: Path) -> None:
    signature = Signature((Field(None, "tensor", dtype="float32", shape=(-1, 2)),))
    rows = [{"a": "1", "b": "2.5"}]
    assert labelled.payload(rows, signature) == {"inputs": [[1, 2.5]]}


def test_without_a_signature_values_are_what_they_look_like() -> None:
    rows = [{"a": "1", "b": "2.5", "c": "x", "d": "", "e": "nan"}]
    assert labelled.payload(rows, None) == {
        "inputs": [{"a": 1, "b": 2.5, "c": "x", "d": None, "e": None}]
    }


@pytest.mark.parametrize(
    ("text", "target", "where", "word"),
    [
        (TABLE, None, "--target", "column"),
        (TABLE, "prize", "--target", "age, city, member, answer"),
        ("a,answer\n", "answer", "--data", "no rows"),
        ("a,answer\n1\n", "answer", "--data row 1", "incomplete"),
        ("a,answer\n1,2\n1,2,3\n", "answer", "--data row 2", "incomplete"),
        ("a,answer\n1,2\n1,\n", "answer", "--data row 2", "not empty"),
        ("", "answer", "--target", "one of"),
    ],
)
def test_what_cannot_be_used_is_said(
    tmp_path: Path, text: str, target: str | None, where: str, word: str
) -> None:
    path = tmp_path / "held_out.csv"
    path.write_text(text)
    with pytest.raises(InvalidInputError) as refused:
        labelled.read(path, target)
    assert refused.value.where == where
    assert word in f"{refused.value.message} {refused.value.expected}"


def test_no_file_and_no_text(tmp_path: Path) -> None:
    binary = tmp_path / "model.bin"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    for path in (tmp_path / "missing.csv", tmp_path, binary):
        with pytest.raises(InvalidInputError, match="cannot be read"):
            labelled.read(path, "answer")
