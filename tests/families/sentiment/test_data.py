from pathlib import Path

import pytest

from services.core.errors import InvalidInputError
from services.families.sentiment import FAMILY
from services.families.sentiment.data import bundled, read

ROWS = "".join(f"a fine day number {i},1\nan awful day number {i},0\n" for i in range(10))


def _csv(folder: Path, content: str | bytes) -> Path:
    path = folder / "texts.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_reads_any_csv_of_texts_and_labels(tmp_path: Path) -> None:
    split = read(_csv(tmp_path, "\ufefftext,label\r\n" + ROWS), "text", "label")
    assert split.rows == (16, 4)
    assert split.source == "texts.csv"
    assert sorted(split.held_out.labels) == ["Negative"] * 2 + ["Positive"] * 2


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("pos", "neg"), {"Positive", "Negative"}),
        (("POSITIVE", "negative"), {"Positive", "Negative"}),
        (("spam", "ham"), {"spam", "ham"}),
        (("-1", "1"), {"-1", "1"}),
        (("0", "1", "2"), {"0", "1", "2"}),
    ],
)
def test_labels(tmp_path: Path, names: tuple[str, ...], found: set[str]) -> None:
    rows = "".join(f"{name},words {i} {name}\n" for name in names for i in range(5))
    params = FAMILY.defaults() | {"text_column": "body", "label_column": "mood"}
    split = FAMILY.read(_csv(tmp_path, "mood,body\n" + rows), params)
    assert set(split.train.labels) == set(split.held_out.labels) == found


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("text,mark\na,1\n", "label_column"),
        ("text,text,label\na,b,1\n", "text_column"),
        ("", "text_column"),
        ("text,label\na,1\nb\n", "line 3"),
        ('text,label\n"two\nlines",1\n,0\n', "line 4"),
        ("text,label\na,1\nb,\n", "line 3"),
        ('text,label\na,1\n"b,0\n', "line 3"),
        ("text,label\na,1\n" + "x" * 10_001 + ",0\n", "line 3"),
        ("text,label\na,1\n" + "x" * 200_000 + ",0\n", "line 3"),
        ("text,label\na,1\nb,1\n", "label"),
        ("text,label\na,1\nb,0\nc,1\n", "label"),
        ("text,label\na,1\nA,1\nb,0\nb,0\n", "data"),
        (b"text,label\n\xff\xfe,1\n", "data"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, content: str | bytes, where: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read(_csv(tmp_path, content), "text", "label")
    assert caught.value.where == where
    assert caught.value.expected
    assert str(tmp_path) not in caught.value.message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        read(tmp_path / "none.csv", "text", "label")


def test_the_split_depends_on_the_texts_alone(tmp_path: Path) -> None:
    lines = ROWS.splitlines(keepends=True)
    one = read(_csv(tmp_path, "text,label\n" + ROWS), "text", "label")
    other = read(_csv(tmp_path, "text,label\n" + "".join(reversed(lines))), "text", "label")
    assert set(one.held_out.texts) == set(other.held_out.texts)
    assert one.digest != other.digest


def test_equal_texts_and_groups_stay_together(tmp_path: Path) -> None:
    rows = "".join(
        f"day {i} was bright,1,g{i}\nday {i} was dark,0,g{i}\nDay {i}  was dark,0,g{i}\n"
        for i in range(20)
    )
    split = read(_csv(tmp_path, "text,label,group\n" + rows), "text", "label")
    numbers = [{text.split()[1] for text in part.texts} for part in (split.train, split.held_out)]
    assert not numbers[0] & numbers[1]
    assert len(numbers[1]) == 4


def test_the_bundled_reviews_split_into_balanced_parts() -> None:
    split = bundled()
    assert split.digest == bundled().digest
    for part, size in zip((split.train, split.held_out), split.rows, strict=True):
        assert len(part.texts) == size
        assert 0.45 <= part.labels.count("Positive") / size <= 0.55
    assert 0.18 <= split.rows[1] / sum(split.rows) <= 0.22
