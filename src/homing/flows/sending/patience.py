"""One limit on many waits at once, with one timer for all of them."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


class Patience:
    """What `asyncio.timeout` is to one wait, without a timer for each: most waits are over long before."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._until: dict[asyncio.Task[Any], float] = {}
        """The tasks that wait, in the order in which they began, and by which time of the loop it is enough."""
        self._given_up: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, answer: Awaitable[T]) -> T:
        """The answer. Raises TimeoutError, with the answer cancelled, if that takes too long. A task waits once."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        before = task.cancelling()
        self._until[task] = until = loop.time() + self._within_s
        if self._timer is None:
            self._timer = loop.call_at(until, self._look)
        try:
            return await answer
        except asyncio.CancelledError as error:
            if task in self._given_up and task.cancelling() - 1 <= before:
                raise TimeoutError from error
            raise
        finally:
            del self._until[task]
            if task in self._given_up:
                self._given_up.discard(task)
                task.uncancel()

    def _look(self) -> None:
        """Give up what is overdue, and look again when the next one will be."""
        loop = asyncio.get_running_loop()
        now_s, self._timer = loop.time(), None
        for task, until in self._until.items():
            if until > now_s:
                self._timer = loop.call_at(until, self._look)
                return
            if task not in self._given_up:
                self._given_up.add(task)
                task.cancel()
