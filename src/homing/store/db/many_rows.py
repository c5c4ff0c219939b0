"""Reading very many rows without keeping others waiting.

On PostgreSQL a statement's rows become nouns on the loop itself, at ten to sixty microseconds each: a hundred thousand
in one go are seconds in which nothing else is done. On SQLite they do so in a thread.
"""

import asyncio
from collections.abc import Iterable, Iterator
from typing import TypeVar

from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

T = TypeVar("T")

AT_ONCE = 200
"""Rows before others have their turn: a few milliseconds' worth."""


def in_turns(rows: Iterable[T], of: int = AT_ONCE) -> Iterator[T]:
    """The same rows; after so many of them, everybody else on the loop has a turn, if it is the loop that we are on."""
    on_the_loop = in_greenlet()
    for number, row in enumerate(rows, start=1):
        yield row
        if on_the_loop and number % of == 0:
            await_only(asyncio.sleep(0))
