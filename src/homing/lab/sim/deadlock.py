"""Who waits for what: the words for a run that cannot go on."""

import asyncio
from types import CoroutineType
from typing import Any

_SHOWN = 50


def waiting_tasks(loop: asyncio.AbstractEventLoop) -> str:
    """Every unfinished task with what it awaits, as one text."""
    tasks = sorted(asyncio.all_tasks(loop), key=hash)
    lines = [f"\n  {_line(task)}" for task in tasks[:_SHOWN]]
    more = f"\n  and {len(tasks) - _SHOWN} more" if len(tasks) > _SHOWN else ""
    return f"waiting are:{''.join(lines)}{more}" if tasks else "no task is waiting"


def _line(task: "asyncio.Task[Any]") -> str:
    coroutine = task.get_coro()
    if not isinstance(coroutine, CoroutineType):
        return f"{task.get_name()}: {coroutine!r}"
    return f"{task.get_name()}: {' > '.join(_calls(coroutine))} awaits {_said(getattr(task, '_fut_waiter', None))}"


def _calls(coroutine: "CoroutineType[Any, Any, Any]") -> list[str]:
    """The chain of calls down to the one that waits."""
    called: list[str] = []
    awaited: object = coroutine
    while isinstance(awaited, CoroutineType):
        frame = awaited.cr_frame
        line = f":{frame.f_lineno}" if frame is not None else ""
        called.append(f"{awaited.__qualname__}{line}")
        awaited = awaited.cr_await
    return called


def _said(awaited: object) -> str:
    if isinstance(awaited, asyncio.Task):
        return f"task {awaited.get_name()!r}"
    gathered = [_said(child) for child in getattr(awaited, "_children", ()) if not child.done()]
    if gathered:
        return f"all of {', '.join(gathered)}"
    return "its turn" if awaited is None else "a future"
