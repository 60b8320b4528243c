"""Looks at jobs: what many ask at the same time is one question to the database."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from services.core.errors import NotFoundError
from services.ledger.database.job_rows import Job

# Jobs by their ids; those that are not there are left out.
Look = Callable[[Sequence[str]], Awaitable[Mapping[str, Job]]]
_AT_ONCE = 200


class Reader:
    """Used from one event loop. Nobody is told what was read before they asked."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._asked: dict[str, list[asyncio.Future[Job | None]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def get(self, id: str) -> Job:
        """Return a job as it is now.

        Raises:
            NotFoundError: there is no such job (any more).
            LedgerUnavailableError: the database is away.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Job | None] = loop.create_future()
        self._asked.setdefault(id, []).append(answer)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run())
        found = await answer
        if found is None:
            raise NotFoundError(
                "There is no such job here (any more).", where="id", expected="the id of a job"
            )
        return found

    async def _run(self) -> None:
        while self._asked:
            ids = list(self._asked)[:_AT_ONCE]
            asked = {id: self._asked.pop(id) for id in ids}
            try:
                found = await self._look(ids)
            except BaseException as error:
                _fail(asked, error)
                if not isinstance(error, Exception):
                    _fail(self._asked, error)
                    self._asked.clear()
                    raise
                continue
            for id, waiting in asked.items():
                for one in waiting:
                    if not one.done():
                        one.set_result(found.get(id))


def _fail(asked: Mapping[str, list["asyncio.Future[Job | None]"]], error: BaseException) -> None:
    for waiting in asked.values():
        for one in waiting:
            if one.done():
                continue
            if isinstance(error, Exception):
                one.set_exception(error)
            else:
                one.cancel()
