"""Work that a session has in hand beside what its callers wait for."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)


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
            log.error("session %s: %s", self._session_id, task.exception(), exc_info=task.exception())
