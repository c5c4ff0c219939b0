"""The one thread that writes to a SQLite file, and shares each commit among all who wait for it."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from homing.ports import StoreUnavailable
from homing.store.db.failures import DRIVER_ERRORS
from homing.store.db.prepared import PreparedConnection

T = TypeVar("T")

_LARGEST_GROUP = 500
_BEGIN_WITHIN_S = 5.0

log = structlog.get_logger("homing")


@dataclass(slots=True)
class _QueuedWrite:
    """One write, and who waits for it."""

    fn: Callable[[Connection], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    value: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.value)


class GroupWriter:
    """Runs writes in the order of their coming. Nobody is answered before the commit that holds their write."""

    def __init__(self, opens: Callable[[], PreparedConnection]) -> None:
        """`opens` makes the connection to write on, here and whenever the one in use can be trusted no more."""
        self._opens = opens
        self._opened: PreparedConnection | None = opens()
        self._waiting: queue.SimpleQueue[_QueuedWrite | None] = queue.SimpleQueue()
        self._closed = False
        self.commits = 0
        self._thread = threading.Thread(target=self._run, name="homing-sqlite-writer", daemon=True)
        self._thread.start()

    async def write(self, fn: Callable[[Connection], T]) -> T:
        if self._closed:
            raise StoreUnavailable("the database is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.put(_QueuedWrite(fn, loop, future))
        return await future

    async def close(self) -> None:
        """Write what waits, then end the thread."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while True:
            group, last = self._next_group()
            if group:
                self._write_group(group)
            if last:
                self._throw_away()
                return

    def _next_group(self) -> tuple[list[_QueuedWrite], bool]:
        group: list[_QueuedWrite] = []
        item = self._waiting.get()
        while item is not None:
            if not item.future.cancelled():
                group.append(item)
            if len(group) >= _LARGEST_GROUP or self._waiting.empty():
                return group, False
            item = self._waiting.get()
        return group, True

    def _write_group(self, group: Sequence[_QueuedWrite]) -> None:
        try:
            self._commit_group(group)
        except BaseException as error:  # noqa: BLE001 - whatever it was, everybody in the group must hear of it
            self._tidy_up()
            for item in group:
                item.value, item.error = None, error
        _answer(group)

    def _commit_group(self, group: Sequence[_QueuedWrite]) -> None:
        connection = self._opened = self._opened or self._opens()
        _begin(connection)
        for item in group:
            # Our turn may have come after the patience of some: what they gave up must not happen behind their backs.
            if not item.future.cancelled():
                _write_one(connection, item)
        connection.commit()
        self.commits += 1

    def _tidy_up(self) -> None:
        """Undo what a failed group left. A connection that is not provably clean afterwards is thrown away."""
        if self._opened is None:
            return
        try:
            self._opened.rollback()
            clean = self._opened.is_clean
        except (*DRIVER_ERRORS, SQLAlchemyError):
            log.warning("A transaction could not be rolled back; its connection is replaced", exc_info=True)
            clean = False
        if not clean:
            self._throw_away()

    def _throw_away(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            with suppress(*DRIVER_ERRORS, SQLAlchemyError):
                opened.close()


def _begin(connection: PreparedConnection) -> None:
    """Wait for the turns of other processes, and ask often: SQLite's own patience grows with every step, to a tenth
    of a second, so that those who came first starve while many write."""
    give_up_s = time.monotonic() + _BEGIN_WITHIN_S
    while True:
        try:
            connection.command("BEGIN IMMEDIATE")
            return
        except OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= give_up_s:
                raise


def _write_one(connection: PreparedConnection, item: _QueuedWrite) -> None:
    connection.command("SAVEPOINT one")
    try:
        item.value = item.fn(connection)
    except BaseException as error:
        if not connection.in_driver_transaction:
            raise  # A full or failing disk made SQLite undo the whole transaction, and with it the whole group.
        connection.command("ROLLBACK TO one")
        item.error = error
    connection.command("RELEASE one")


def _answer(group: Sequence[_QueuedWrite]) -> None:
    """Wake all who waited, with one call into each of their event loops."""
    for loop in {item.loop for item in group}:
        mine = [item for item in group if item.loop is loop]
        try:
            loop.call_soon_threadsafe(_settle, mine)
        except RuntimeError:
            continue  # That loop was closed: nobody waits any more.


def _settle(items: Sequence[_QueuedWrite]) -> None:
    for item in items:
        item.settle()
