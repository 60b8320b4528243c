"""Writes `docs/errors.md` from the errors' own definitions.

`python -m services.gateway.error_catalogue > docs/errors.md`
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

# All that the gateway reaches, so that every kind of error is defined.
import services.gateway.app  # noqa: F401
from services.core.errors import SlipwayError
from services.gateway.error_examples import EXAMPLES
from services.gateway.error_shapes import Told, inference, mlflow_code, own, scoring
from services.gateway.errors import INTERNAL, NO_METHOD, shown

_RETRY = {True: "later, unchanged", False: "no"}
_HEAD = """\
# Errors

This page is generated from the code: `python -m services.gateway.error_catalogue > docs/errors.md`.

Every failed request has a body that says what was wrong (`message`), where (`where`, a field path
such as `inputs[3].age`, a parameter or a header), what would have been accepted (`expected`), what
came instead (`received`, as type and shape, never the value), where to read on (`help`, the path of
the model's signature, or of the list of models) and the request id, which is in the header
`X-Request-ID` and in the log too. What does not apply is null. The same mistake has the same status
at every address.

Each address answers in the shape that its clients decode:

| address | shape |
|---|---|
| `/v2/…` (Open Inference Protocol), `/v1/…` (KServe V1) | `{"error": "text"}` |
| `/invocations`, `…/invocations` (MLflow) | `{"error_code": "…", "message": "text"}` |
| all others | `{"error": {"code", "message", "where", …}}` |

In the first two the text holds everything that the third one has as fields. A head that is no HTTP
is answered in the third shape anywhere, for it has no address yet.

429 and 503 carry `Retry-After` in seconds, 405 carries `Allow`.

| code | status | MLflow's code | again? |
|---|---|---|---|
"""
_NOT_SERVED = (".cli.", ".worker.", ".ledger.shipping.")
_HIDDEN = """\
## What is not shown

A setting, a path or a weights file that is wrong is the operator's business: the log has it in
full, and the caller gets `internal_error`. That holds for {names}.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of error, as the page tells it.

    Attributes:
        told: an example of it.
        retry: whether the same request may succeed later.
    """

    told: Told
    meaning: str
    remedy: str
    retry: bool


def kinds() -> list[type[SlipwayError]]:
    """Return every kind of error that may be raised behind the gateway, by code."""
    found = {kind.code: kind for kind in _below(SlipwayError)}
    return [found[code] for code in sorted(found)]


def _below(kind: type[SlipwayError]) -> Iterator[type[SlipwayError]]:
    for child in kind.__subclasses__():
        # The command line has kinds of its own, and so have workers, the shipper and tests.
        served = not any(room in child.__module__ for room in _NOT_SERVED)
        if child.__module__.startswith("services.") and served:
            yield child
        yield from _below(child)


def entries() -> list[Entry]:
    """Return what can be answered, by status.

    Raises:
        KeyError: a kind of error has no example yet.
    """
    found = [_entry(kind) for kind in kinds() if shown(kind(""))]
    found += [
        Entry(
            EXAMPLES[NO_METHOD.code],
            "The address exists, but not for this method.",
            "Use a method that the header `Allow` names.",
            retry=False,
        ),
        Entry(
            EXAMPLES[INTERNAL.code],
            "Slipway itself broke, or a setting is wrong; the cause is in the log, not in here.",
            SlipwayError.remedy,
            retry=False,
        ),
    ]
    return sorted(found, key=lambda entry: (entry.told.status, entry.told.code))


def render() -> str:
    """Return the page."""
    found = entries()
    rows = "".join(_row(entry) for entry in found)
    hidden = ", ".join(f"`{kind.code}`" for kind in kinds() if not shown(kind("")))
    sections = "".join(_section(entry) for entry in found)
    return f"{_HEAD}{rows}\n{sections}{_HIDDEN.format(names=hidden)}"


def _entry(kind: type[SlipwayError]) -> Entry:
    meaning = (kind.__doc__ or "").strip().partition("\n")[0]
    return Entry(EXAMPLES[kind.code], meaning, kind.remedy, kind.retry)


def _row(entry: Entry) -> str:
    told = entry.told
    link = f"[`{told.code}`](#{told.code})"
    return f"| {link} | {told.status} | `{mlflow_code(told.status)}` | {_RETRY[entry.retry]} |\n"


def _section(entry: Entry) -> str:
    told = entry.told
    bodies = (shape(told).decode() for shape in (own, inference, scoring))
    lines = [
        f"## {told.code}",
        "",
        f"{told.status} {_phrase(told.status)}. {entry.meaning}",
        "",
        entry.remedy,
        "",
        "```json",
        *bodies,
        "```",
        "",
        "",
    ]
    return "\n".join(lines)


def _phrase(status: int) -> str:
    known = status in {one.value for one in HTTPStatus}
    return HTTPStatus(status).phrase if known else "Client Closed Request (nginx's number)"


if __name__ == "__main__":
    sys.stdout.write(render())
