"""Marks what negation and contrast do to words, so that a bag of words can tell.

`not good, but cheap` becomes `not_before good_not_before but cheap`. It runs before the vectoriser
rather than in it: the saved model then holds no function of ours and stays safe to load. In texts
that are not English it finds next to nothing and changes next to nothing.
"""

import re

# A word with its apostrophes, or a sign that ends a clause.
_PART = re.compile(r"[\w']+|[.,;:!?]")
_NEGATION = re.compile(
    r"not|no|never|nothing|nobody|none|neither|nor|hardly|cannot|without|nowhere|\w+n't"
    r"|(?:do|does|did|is|was|are|wo|ca|could|would)nt"
)
_CONTRAST = ("but", "yet", "however")
# Words after a negation that it reaches: "not a very good".
_REACH = 3
# What the vectoriser takes for a word: the marks are part of it.
TOKEN = r"(?u)\b\w[\w']*\b|[!?]"  # noqa: S105 - a pattern, not a password


def mark(text: str) -> str:
    """Return the words in lower case, marked: after a negation, and before the last contrast."""
    words = _negated(text)
    last = max((i for i, word in enumerate(words) if word in _CONTRAST), default=0)
    return " ".join([f"{word}_before" for word in words[:last]] + words[last:])


def _negated(text: str) -> list[str]:
    words: list[str] = []
    left = 0
    for part in _PART.findall(text.lower().replace("’", "'")):
        if part in ".,;:!?":
            left = 0
            if part in "!?":
                words.append(part)
        elif _NEGATION.fullmatch(part):
            left = _REACH
            words.append(part)
        else:
            left = 0 if part in _CONTRAST else left
            words.append(f"{part}_not" if left else part)
            left = max(0, left - 1)
    return words
