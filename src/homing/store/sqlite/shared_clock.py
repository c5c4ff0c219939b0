"""The time of a SQLite file, the same for every process that has it open.

Each machine has one clock that nobody sets and that runs on in suspend: the time since its boot. The file says by how
much the store's time is ahead of it in this boot, so that processes agree although somebody sets the wall clock in
between. A new boot begins at the wall clock's time, or at the newest moment that the file knows, if that is later.
"""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, func, select, update
from sqlalchemy.exc import OperationalError

from homing.store.db.history import store_id
from homing.store.db.schema.tables import credentials, incarnations, jobs, store_clock

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Of each store operation that leaves a time behind, where the newest is found.
_WRITTEN = (incarnations.c.renewed_at, credentials.c.updated_at, jobs.c.created_at)


class SharedClock:
    """The store's time, once it was read from the file or set in it; until then this process's own."""

    def __init__(self) -> None:
        self._boot_id = _boot_id()
        self._offset_us = _microseconds(wall()) - since_boot_us()
        self.is_shared = False

    def now(self) -> datetime:
        return _EPOCH + timedelta(microseconds=since_boot_us() + self._offset_us)

    def read(self, connection: Connection) -> bool:
        """Take up the file's time if it is that of this boot. A file without the tables of today has none: true."""
        try:
            row = connection.execute(select(store_clock)).one_or_none()
        except OperationalError as error:
            if "no such table" in str(error):
                return True
            raise
        if row is None or row.boot_id != self._boot_id:
            return False
        self._offset_us, self.is_shared = row.offset_us, True
        return True

    def set(self, connection: Connection) -> None:
        """In a writing operation: begin the file's time of this boot, unless somebody has done so."""
        if self.read(connection):
            return
        store_id(connection)
        newest = [connection.scalar(select(func.max(column))) for column in _WRITTEN]
        begun_at = max([wall(), *(moment for moment in newest if moment is not None)])
        offset_us = _microseconds(begun_at) - since_boot_us()
        connection.execute(update(store_clock).values(boot_id=self._boot_id, offset_us=offset_us))
        self._offset_us = offset_us


def wall() -> datetime:
    """What the machine thinks the time is."""
    return datetime.now(UTC)


def since_boot_us() -> int:
    return time.clock_gettime_ns(_SINCE_BOOT) // 1_000


def _boot_id() -> str:
    """The machine's present boot by name; where the system gives none, by when it was, roughly."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return f"booted in hour {(_microseconds(wall()) - since_boot_us()) // 3_600_000_000}"


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
