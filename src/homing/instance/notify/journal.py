"""The notifications that the gateway does not have yet, on disk: what is in here survives the process.

Lines added while the file is being synchronised share the next synchronisation. A notification's end needs none: if
a crash forgets it, the notification is delivered twice, under the same id.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import msgspec
import structlog

from homing.instance.notify.journal_file import JournalFile
from homing.instance.notify.notifications import Notification

log = structlog.get_logger("homing")
PENDING_MAX_BYTES = 64 * 1024 * 1024
COMPACT_ABOVE_BYTES = 1024 * 1024
ROOM_AGAIN_BELOW = 0.9


class JournalFull(OSError):
    """As much waits for the gateway as may."""


class _JournalEntry(msgspec.Struct, frozen=True, tag_field="line", tag="kept"):
    id: str
    session_id: str
    at: float
    body: msgspec.Raw


class _JournalEnd(msgspec.Struct, frozen=True, tag_field="line", tag="over"):
    id: str


_decoder = msgspec.json.Decoder(_JournalEntry | _JournalEnd)


class Journal:
    """What waits for the gateway, in the order of its arrival; at most ``pending_max_bytes`` of it."""

    def __init__(
        self, file: JournalFile, pending: dict[str, Notification], pending_max_bytes: int, compact_above_bytes: int
    ) -> None:
        self._file = file
        self._pending = pending
        self._pending_bytes = sum(len(_line(note)) for note in pending.values())
        self._pending_max_bytes = pending_max_bytes
        self._compact_above_bytes = compact_above_bytes
        self._compact_at_bytes = max(compact_above_bytes, 2 * file.size)
        self._full = self._closed = False
        self._unwritten: list[bytes] = []
        self._must_synchronise = False
        self._next_written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._being_written: asyncio.Future[None] | None = None
        self._writing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        pending_max_bytes: int = PENDING_MAX_BYTES,
        compact_above_bytes: int = COMPACT_ABOVE_BYTES,
    ) -> "Journal":
        """Take up what an earlier boot left. Raises ``JournalInUse``, ``NotAJournal`` or ``OSError``."""
        file, pending = await asyncio.to_thread(_opened, path)
        return cls(file, pending, pending_max_bytes, compact_above_bytes)

    def pending(self) -> list[Notification]:
        """What the gateway does not have yet, oldest first."""
        return list(self._pending.values())

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, note: Notification) -> bool:
        """Take it in, durably once ``durable`` returned; False if it is in here already.

        Raises ``JournalFull``, or ``OSError`` after ``close``.
        """
        if self._closed:
            raise OSError(f"the journal {self._file.path} is closed")
        if note.id in self._pending:
            return False
        line = _line(note)
        if self._pending_bytes + len(line) > self._pending_max_bytes:
            raise self._no_room()
        self._pending[note.id] = note
        self._pending_bytes += len(line)
        self._must_synchronise = True
        self._append(line)
        return True

    async def durable(self) -> None:
        """Returns once all that was added before is on disk. Raises ``OSError`` if it cannot be written."""
        if self._unwritten:
            self._write_soon()
            await asyncio.shield(self._next_written)
        elif self._being_written is not None:
            await asyncio.shield(self._being_written)

    def finish(self, note: Notification) -> None:
        """It needs no further attempt."""
        if self._pending.pop(note.id, None) is None:
            return
        self._pending_bytes -= len(_line(note))
        if self._full and self._pending_bytes < ROOM_AGAIN_BELOW * self._pending_max_bytes:
            self._full = False
            log.warning("Journal has room again", path=str(self._file.path))
        self._append(msgspec.json.encode(_JournalEnd(note.id)) + b"\n")

    async def close(self) -> None:
        """Write what can be written, and leave the file to the next boot."""
        self._closed = True
        while self._writing is not None and not self._writing.done():
            await asyncio.wait([self._writing])
        await asyncio.to_thread(self._file.close)

    def _no_room(self) -> JournalFull:
        if not self._full:
            self._full = True
            log.error(
                "Journal is full; inbound messages stay with WhatsApp until the gateway takes some of it",
                path=str(self._file.path),
                notifications=len(self._pending),
                bytes=self._pending_bytes,
            )
        return JournalFull(f"the journal {self._file.path} is full")

    # Writing

    def _append(self, line: bytes) -> None:
        self._unwritten.append(line)
        self._write_soon()

    def _write_soon(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        while self._unwritten:
            if not await self._write_batch():
                return
            if self._file.size > self._compact_at_bytes:
                await self._compact()

    async def _write_batch(self) -> bool:
        """Write what has gathered. What could not be written is written first the next time."""
        lines, self._unwritten = self._unwritten, []
        synchronise, self._must_synchronise = self._must_synchronise, False
        written, self._next_written = self._next_written, asyncio.get_running_loop().create_future()
        self._being_written = written
        try:
            await asyncio.to_thread(self._file.append, lines, synchronise=synchronise)
        except OSError as problem:
            log.error(
                "Journal cannot be written; its lines are written with the next ones",
                path=str(self._file.path),
                error=str(problem),
            )
            self._unwritten = lines + self._unwritten
            self._must_synchronise |= synchronise
            waiting, self._next_written = self._next_written, asyncio.get_running_loop().create_future()
            for each in (written, waiting):
                each.set_exception(problem)
                each.exception()  # whoever waits hears of it; often nobody does
            return False
        finally:
            self._being_written = None
        written.set_result(None)
        return True

    async def _compact(self) -> None:
        """Leave out what is over. Lines not written yet may come twice, which changes nothing."""
        try:
            await asyncio.to_thread(self._file.rewrite, map(_line, self.pending()))
        except OSError as problem:
            log.warning(
                "Journal cannot be compacted; it goes on growing", path=str(self._file.path), error=str(problem)
            )
        self._compact_at_bytes = max(self._compact_above_bytes, 2 * self._file.size)


def _opened(path: Path) -> tuple[JournalFile, dict[str, Notification]]:
    file = JournalFile(path)
    try:
        pending = _replayed(file.lines(), path)
        file.rewrite(map(_line, pending.values()))
    except BaseException:
        file.close()
        raise
    return file, pending


def _replayed(lines: Iterable[bytes], path: Path) -> dict[str, Notification]:
    pending: dict[str, Notification] = {}
    unreadable = 0
    for line in lines:
        try:
            read = _decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            unreadable += 1
            continue
        if isinstance(read, _JournalEnd):
            pending.pop(read.id, None)
        else:
            pending[read.id] = Notification(read.id, read.session_id, read.at, bytes(read.body))
    if unreadable:
        log.warning("Journal has incomplete lines, left by a crash or a full disk", path=str(path), lines=unreadable)
    return pending


def _line(note: Notification) -> bytes:
    return msgspec.json.encode(_JournalEntry(note.id, note.session_id, note.at, msgspec.Raw(note.body))) + b"\n"
