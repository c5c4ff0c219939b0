"""Work that a session has in hand beside what its callers wait for."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger("homing")


class Tasks:
    """Tasks that belong to one session; one that fails is logged."""

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self._tasks: dict[asyncio.Task[Any], None] = {}  # in order, so that a replay cancels in that order

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._finished)
        return task

    def cancel(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            log.error(
                "Task of a session failed",
                session_id=self._session_id,
                error=str(task.exception()),
                exc_info=task.exception(),
            )
