import re

import pytest

from services.families.sentiment.marking import TOKEN, mark


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("Not a very good film", "not a_not very_not good_not film"),
        ("It isn’t good. Cheap", "it isn't good_not cheap"),
        ("no, thanks", "no thanks"),
        ("it DIDNT work", "it didnt work_not"),
        ("Cold food but kind staff!", "cold_before food_before but kind staff !"),
        ("not good, but cheap", "not_before good_not_before but cheap"),
        ("But why?", "but why ?"),
        ("...", ""),
        ("Sehr gutes Essen", "sehr gutes essen"),
    ],
)
def test_marks(text: str, marked: str) -> None:
    assert mark(text) == marked


def test_marks_are_part_of_the_word_for_the_vectoriser() -> None:
    assert re.findall(TOKEN, mark("I don't like it!")) == ["i", "don't", "like_not", "it_not", "!"]
