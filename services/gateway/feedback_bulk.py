"""Feedback on many predictions in one request: each item by itself, a few to a transaction."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from services.core.errors import (
    InvalidInputError,
    LedgerUnavailableError,
    PayloadTooLargeError,
    SlipwayError,
    UnsupportedMediaError,
)
from services.core.received import counted, describe
from services.families.base import Family
from services.gateway.bodies import read_body
from services.gateway.errors import told_of
from services.gateway.feedback import Kept, Said, check, compare, write
from services.gateway.jobs_received import JSONL, KINDS
from services.gateway.json_body import is_json, media_type, parse
from services.gateway.ledger_desk import LedgerDesk
from services.gateway.media import media_received
from services.gateway.schemas_predictions import FeedbackItem
from services.gateway.validation import validated
from services.ledger.records import Record
from services.ledger.records import parse as parse_record
from services.monitoring.verdict import Told, tell

if TYPE_CHECKING:
    from services.ledger.questions import Connection

MOST_ITEMS = 1000
_AT_ONCE = 25
# For predictions that are not in the database yet: each is looked for in the journals.
_SEARCH_SECONDS = 10.0
_EXPECTED = f"a JSON list of at most {MOST_ITEMS} objects, or as many lines of JSON"
_CREATED, _OK = 201, 200


@dataclass(slots=True)
class Item:
    """One item on its way: `error` says why it is not kept."""

    index: int
    body: FeedbackItem | None = None
    record: Record | None = None
    said: Said | None = None
    kept: Kept | None = None
    error: SlipwayError | None = None

    @property
    def open(self) -> bool:
        """Whether nothing is wrong with it so far."""
        return self.error is None

    def shown(self) -> dict[str, Any]:
        """Return what became of it, as JSON values."""
        found: dict[str, Any] = {
            "index": self.index,
            "prediction_id": None if self.body is None else self.body.prediction_id.lower(),
        }
        if self.error is not None:
            told = told_of(self.error)
            names = ("code", "message", "where", "expected", "received")
            error = {name: getattr(told, name) for name in names}
            return {**found, "status": told.status, "error": error}
        assert self.kept is not None
        verdict = self.kept.verdict
        return {
            **found,
            "status": _CREATED if self.kept.new else _OK,
            "ids": [entry.id for entry in self.kept.entries],
            "correct": None if verdict is None else verdict.right,
            "uncounted": None if verdict is None else verdict.reason,
        }


@dataclass(slots=True)
class Bulk:
    """All items of a request."""

    desk: LedgerDesk
    families: Mapping[str, Family]
    items: list[Item] = field(default_factory=list)

    async def keep(self) -> None:
        """Keep what can be kept; the others have an error then.

        Raises:
            LedgerUnavailableError: the database does not answer, and nothing was kept.
        """
        until = time.monotonic() + _SEARCH_SECONDS
        # By prediction, so that nobody waits for one who waits for him; what is said about one
        # prediction stays in its order.
        wanted = sorted(
            (item for item in self.items if item.body is not None and item.error is None),
            key=_id,
        )
        for start in range(0, len(wanted), _AT_ONCE):
            piece = wanted[start : start + _AT_ONCE]
            try:
                await self._find(piece, until)
                await asyncio.to_thread(self._compare, piece)
                await self.desk.write(partial(self._write, piece))
            except LedgerUnavailableError as error:
                if start == 0:
                    raise
                for item in wanted[start:]:
                    item.kept, item.error = None, item.error or error
                return

    def shown(self) -> dict[str, Any]:
        """Return what became of all of them, as JSON values."""
        results = [item.shown() for item in self.items]
        statuses = [one["status"] for one in results]
        kept, repeated = statuses.count(_CREATED), statuses.count(_OK)
        refused = len(results) - kept - repeated
        return {"results": results, "kept": kept, "repeated": repeated, "refused": refused}

    async def _find(self, piece: Sequence[Item], until: float) -> None:
        ids = list({_id(item) for item in piece})
        found = await self.desk.read(partial(_records, ids=ids))
        for item in piece:
            id = _id(item)
            if id not in found and time.monotonic() >= until:
                item.error = LedgerUnavailableError(
                    "There was no time left to look for this prediction.",
                    where="prediction_id",
                    expected="fewer ids in one request that are not known",
                )
                continue
            try:
                if id not in found:
                    found[id] = (await self.desk.find(id)).record
                item.record = found[id]
            except LedgerUnavailableError:
                raise
            except SlipwayError as error:
                item.error = error

    def _compare(self, piece: Sequence[Item]) -> None:
        for item in piece:
            if item.open and item.record is not None and item.body is not None:
                try:
                    item.said = compare(self.desk, self.families, item.record, item.body)
                except SlipwayError as error:
                    item.error = error

    def _write(self, piece: Sequence[Item], connection: "Connection") -> None:
        for item in piece:
            if item.open and item.said is not None:
                try:
                    with connection.begin_nested():
                        item.kept = write(connection, self.families, item.said)
                except LedgerUnavailableError:
                    raise
                except SlipwayError as error:
                    item.error = error
        kept = [
            Told(item.said.record, item.kept.entries, item.said.verdict)
            for item in piece
            if item.kept is not None and item.kept.new and item.said is not None
        ]
        tell(connection, kept)


async def read_items(request: Request) -> list[Item]:
    """Return the items of a body; one that says nothing sensible has its error.

    Raises:
        UnsupportedMediaError: the body is neither JSON nor lines of it.
        MalformedRequestError: it is no JSON; lines have errors of their own.
        InvalidInputError: it is empty, or no list.
        PayloadTooLargeError: there are too many items.
    """
    kind = media_type(request)
    lines = KINDS.get(kind) == JSONL
    if not lines and not is_json(kind):
        raise UnsupportedMediaError(
            "The body is not labelled as JSON.",
            where="Content-Type",
            expected="application/json, or application/x-ndjson for lines of JSON",
            received=media_received(kind),
        )
    raw = await read_body(request)
    return await asyncio.to_thread(_lines if lines else _list, raw)


def _list(raw: bytes) -> list[Item]:
    values = parse(raw)
    if not isinstance(values, list) or not values:
        raise InvalidInputError(
            "The body is no list of feedback.",
            where="body",
            expected=_EXPECTED,
            received=describe(values),
        )
    _check_count(len(values))
    return [_item(index, value) for index, value in enumerate(values)]


def _lines(raw: bytes) -> list[Item]:
    lines = [line for line in raw.splitlines() if line.strip()]
    if not lines:
        raise InvalidInputError(
            "The body is empty.", where="body", expected=_EXPECTED, received="nothing"
        )
    _check_count(len(lines))
    return list(_parsed(lines))


def _parsed(lines: Sequence[bytes]) -> Iterator[Item]:
    for index, line in enumerate(lines):
        try:
            value = parse(line)
        except SlipwayError as error:
            yield Item(index, error=error)
        else:
            yield _item(index, value)


def _item(index: int, value: Any) -> Item:
    try:
        if not isinstance(value, dict):
            raise InvalidInputError(
                "The item is no object.",
                where="item",
                expected="an object with prediction_id, and value, expected or both",
                received=describe(value),
            )
        body = validated(FeedbackItem, value)
    except SlipwayError as error:
        return Item(index, error=error)
    try:
        check(body)
    except SlipwayError as error:
        return Item(index, body, error=error)
    return Item(index, body)


def _check_count(count: int) -> None:
    if count > MOST_ITEMS:
        raise PayloadTooLargeError(
            "There are too many items.",
            where="body",
            expected=_EXPECTED,
            received=counted(count, "item"),
        )


def _id(item: Item) -> str:
    assert item.body is not None
    return item.body.prediction_id.lower()


def _records(connection: "Connection", ids: Sequence[str]) -> dict[str, Record]:
    from services.ledger.database.lookup import records

    return {id: parse_record(payload) for id, payload in records(connection, ids).items()}
