"""Takes feedback to MLflow, onto the trace of its prediction: each once, in the order of arrival.

Before a feedback is sent it is marked so; one that is found marked may be there already, and is
looked for first. What belongs to one prediction waits for what came before it, and nothing else.
"""

import time
from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import func, select, text

from services.core.errors import (
    InvalidInputError,
    NotFoundError,
    RegistryUnavailableError,
)
from services.core.settings import Settings
from services.ledger.database import feedback as table
from services.ledger.database import index, lookup
from services.ledger.database.feedback import Feedback
from services.ledger.database.opening import Database
from services.ledger.database.tables import (
    ATTACHED,
    FAILED,
    OPEN,
    REFUSED,
    SENDING,
    SENT,
    THINNED,
    UNSENT,
    predictions,
)
from services.ledger.database.tables import feedback as rows
from services.ledger.places import Places
from services.ledger.records import parse
from services.ledger.shipping import deadletters, otlp
from services.ledger.shipping.assessments import Assessments, StumblesError
from services.ledger.shipping.destination import Destination
from services.ledger.shipping.posting import Posting, key_of

_STEP_SECONDS = 1.0
_PAGE = 200
# How often MLflow may break on one.
_ATTEMPTS = 20
# A prediction that the database does not have was deleted there, if it does not turn up so long.
_UNKNOWN_SECONDS = 600.0
_MOST_UNKNOWN = 100_000


class FeedbackStage:
    """The stage."""

    name = "feedback"

    def __init__(self, settings: Settings, database: Database, places: Places) -> None:
        self._settings = settings
        self._database = database
        self._places = places
        self._destination = Destination(settings)
        self._posting = Posting(settings, self._destination)
        self._assessments = Assessments(settings, self._destination)
        # Predictions that the database does not have, and since when that is known.
        self._unknown: dict[str, float] = {}

    def step(self) -> bool:
        """Attach what can be attached, for about a second; return whether there may be more.

        Raises:
            RegistryUnavailableError, httpx.TransportError: MLflow does not take it now.
            LedgerUnavailableError: the database does not answer.
            OSError: the disk takes no more.
        """
        if not (self._destination.exists and self._destination.http):
            return False
        until = time.monotonic() + _STEP_SECONDS
        after, held = 0, set[str]()
        settled = stumbled = False
        while page := self._page(after):
            states = self._states([one.prediction_id for one in page])
            for one in page:
                if one.prediction_id in held:
                    continue
                try:
                    done = self._one(one, states)
                except StumblesError as error:
                    done, stumbled = self._stumbled(one, error.message), True
                settled |= done
                if not done:
                    held.add(one.prediction_id)
                if time.monotonic() >= until:
                    return settled
            after = page[-1].number
        if stumbled and not settled:
            raise RegistryUnavailableError("MLflow breaks on feedback.", where="feedback")
        return False

    def status(self) -> dict[str, Any]:
        """Return how many wait, were attached and failed."""
        with self._database.reading() as connection:
            totals = index.totals(connection)
            waiting = connection.scalar(select(func.count()).select_from(rows).where(text(OPEN)))
        return {
            "feedback_pending": waiting or 0,
            "feedback_attached": totals.get("feedback_attached", 0),
            "feedback_failed": totals.get("feedback_failed", 0),
        }

    def close(self) -> None:
        """Hang up."""
        self._posting.close()
        self._assessments.close()

    def _page(self, after: int) -> list[Feedback]:
        with self._database.reading() as connection:
            return table.pending(connection, _PAGE, after=after)

    def _states(self, ids: list[str]) -> dict[str, int]:
        chosen = select(predictions.c.id, predictions.c.trace_state).where(
            predictions.c.id.in_(ids)
        )
        with self._database.reading() as connection:
            return {row.id: row.trace_state for row in connection.execute(chosen)}

    def _one(self, one: Feedback, states: dict[str, int]) -> bool:
        """Settle a feedback, unless it is too early; return whether it is settled."""
        state = states.get(one.prediction_id)
        if state == UNSENT or (state is None and not self._given_up(one)):
            return False
        if state == REFUSED:
            return self._fail(one, "MLflow refused the trace of this prediction.")
        if state == THINNED:
            reason = self._send_trace(one, first=True)
            if reason is not None:
                return self._fail(one, reason)
            states[one.prediction_id] = SENT
        try:
            return self._attach(one)
        except NotFoundError:
            # Deleted over there, or gone with MLflow's database.
            reason = self._send_trace(one, first=False)
        except InvalidInputError as error:
            if isinstance(error, StumblesError):
                raise
            reason = error.message
        return self._attach(one) if reason is None else self._fail(one, reason)

    def _attach(self, one: Feedback) -> bool:
        doubtful = one.state == SENDING or one.attempts
        if not doubtful:
            self._mark(one, SENDING)
        if not (doubtful and self._assessments.there(one)):
            self._assessments.attach(one)
        self._mark(one, ATTACHED, total="feedback_attached")
        return True

    def _stumbled(self, one: Feedback, reason: str) -> bool:
        """Look what became of a feedback that MLflow broke on; return whether it is settled."""
        if self._assessments.there(one):
            self._mark(one, ATTACHED, total="feedback_attached")
            return True
        if one.attempts + 1 >= _ATTEMPTS:
            return self._fail(one, reason)
        self._mark(one, SENDING, reason)
        return False

    def _fail(self, one: Feedback, reason: str) -> bool:
        letter = orjson.dumps(asdict(one))
        deadletters.append(self._places, deadletters.FEEDBACK, [(letter, reason)])
        self._mark(one, FAILED, reason, total="feedback_failed")
        return True

    def _send_trace(self, one: Feedback, *, first: bool) -> str | None:
        """Send the trace of a prediction from the database; return why it cannot be, or None."""
        if self._settings.ledger_trace_rate <= 0:
            return "No traces are sent: LEDGER_TRACE_RATE is 0."
        with self._database.reading() as connection:
            row = lookup.find(connection, one.prediction_id)
        if row is None:
            return "Its prediction is neither in the database nor in MLflow any more."
        try:
            record = parse(row.record)
            key = key_of(record)
            spans = [otlp.span(record, tags=self._settings.ledger_trace_tags)]
        except InvalidInputError as error:
            return error.message
        refused = self._posting.send(self._database, key, spans)
        deadletters.append(
            self._places, deadletters.TRACES, [(record.raw, reason) for reason in refused.values()]
        )
        with self._database.begin() as connection:
            index.mark_traces(connection, [record.id], REFUSED if refused else SENT)
            if refused or first:
                index.bump(connection, "traces_refused" if refused else "traces_sent", 1)
        return next(iter(refused.values()), None)

    def _given_up(self, one: Feedback) -> bool:
        """Return whether a prediction has been missing from the database for long."""
        if len(self._unknown) > _MOST_UNKNOWN:
            self._unknown.clear()
        now = time.monotonic()
        return now - self._unknown.setdefault(one.prediction_id, now) >= _UNKNOWN_SECONDS

    def _mark(
        self, one: Feedback, state: int, error: str | None = None, *, total: str | None = None
    ) -> None:
        with self._database.begin() as connection:
            table.set_state(connection, one.id, state, error)
            if total is not None:
                index.bump(connection, total, 1)
