"""Waiting for what a gateway does by itself, with a bar for the person who waits."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from homing.cli.terminal.stops import RequestRefused, Stopped

if TYPE_CHECKING:
    from rich.progress import Progress

ASK_EVERY_S = 0.5

Wait = Annotated[bool, Parameter(help="Stay until it is over, and say how it went.")]
Timeout = Annotated[float, Parameter(validator=Number(gt=0), help="Seconds to wait at most. What was begun goes on.")]
Advance = Callable[[int, int], None]
"""Shows how many of how many are done."""


def bars() -> "Progress":
    """Bars that are seen on a terminal only, and gone when it is over."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def bar(doing: str) -> Iterator[Advance]:
    """One bar."""
    with bars() as progress:
        task = progress.add_task(doing, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def until(over: Callable[[], Any | None], timeout_s: float) -> Any | None:
    """What `over` comes to say, asked again and again; None if the time is over first.

    A gateway that is away for a while, perhaps because it is being upgraded, is waited for.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        if (said := _tried(over)) is not None:
            return said
        if time.monotonic() + ASK_EVERY_S >= deadline_s:
            return None
        time.sleep(ASK_EVERY_S)


def _tried(over: Callable[[], Any | None]) -> Any | None:
    try:
        return over()
    except RequestRefused as refused:
        if refused.status < 500:
            raise
        return None
    except Stopped:
        return None


def move_ended(account: Mapping[str, Any], from_url: str | None, from_epoch: int | None) -> str | None:
    """Why the account's session did not move; empty if it did; None while it is on its way."""
    gone = account["instance_url"] != from_url or (from_epoch is not None and account["epoch"] != from_epoch)
    if gone and account["state"] == "held":
        return ""
    move = account["move"]
    if move is not None:
        return str(move["reason"]) if move["state"] == "dead" else None
    return None if account["state"] == "moving" else "it was found to be well where it is"
