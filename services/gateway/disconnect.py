"""Stop working for a caller who has hung up."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from services.core.errors import ClientGoneError
from services.engine.messages import PredictRequest, PredictResult
from services.gateway.dependencies import get_engine

T = TypeVar("T")

# What is answered sooner needs nobody to watch the line.
_PATIENCE = 0.02


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; cancel it as soon as the caller disconnects.

    The request's body must have been read to its end.

    Raises:
        ClientGoneError: the caller left first.
    """
    watch = _Watch(request)
    try:
        return await work
    except asyncio.CancelledError:
        if not watch.hung_up or watch.task.uncancel() > 0:
            # Somebody else's too, such as the end of a shutdown's grace.
            raise
        raise ClientGoneError("The caller hung up before the answer was ready.") from None
    finally:
        watch.end()


async def predicted(request: Request, asked: PredictRequest) -> PredictResult:
    """Return a prediction; it is dropped as soon as the caller disconnects.

    Raises:
        ClientGoneError: the caller left first.
        SlipwayError: as `Engine.predict`.
    """
    engine = get_engine(request)
    work = engine.predict(asked)
    # A light model has answered before anybody could notice that the caller is gone.
    if asked.version is None and asked.stage is None and engine.is_light(asked.model):
        return await work
    return await unless_gone(request, work)


class _Watch:
    """Cancels the current task when the caller disconnects."""

    def __init__(self, request: Request) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task: asyncio.Task[Any] = task
        self.hung_up = False
        self._over = False
        self._request = request
        self._watcher: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._begin)

    def end(self) -> None:
        """Watch no more."""
        self._over = True
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _begin(self) -> None:
        self._watcher = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        if not self._over:
            self.hung_up = True
            self.task.cancel()
