"""Calls that wait at the same time, done together; and notes that nobody waits for."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from homing.ports import StoreUnavailable

Call = TypeVar("Call")
Answer = TypeVar("Answer")
Key = TypeVar("Key")
Note = TypeVar("Note")

_LONGEST_PAUSE_S = 2.0


class Batches(Generic[Call, Answer]):
    """Does calls in the order of their coming: while one batch is under way, the next one gathers.

    `do` answers each call of a batch in its place; what it raises, everybody in the batch hears.
    """

    def __init__(self, do: Callable[[Sequence[Call]], Awaitable[Sequence[Answer]]], *, largest: int) -> None:
        self._do, self._largest = do, largest
        self._waiting: list[tuple[Call, asyncio.Future[Answer]]] = []
        self._working: asyncio.Task[None] | None = None
        self._closed = False

    async def call(self, call: Call) -> Answer:
        if self._closed:
            raise StoreUnavailable("the vault is closed")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        if self._working is None:
            self._working = asyncio.ensure_future(self._work())
        return await future

    async def close(self) -> None:
        """Take nothing more, and do what waits."""
        self._closed = True
        if self._working is not None:
            await asyncio.wait([self._working])

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._largest], self._waiting[self._largest :]
                await self._work_off([(call, future) for call, future in batch if not future.cancelled()])
        finally:
            self._working = None

    async def _work_off(self, batch: Sequence[tuple[Call, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._do([call for call, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it was, everybody in the batch must hear of it
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)


class Notes(Generic[Key, Note]):
    """Notes that are written a little later, many at once, and once more if that failed.

    The oldest are given up when there are more than `kept`.
    """

    def __init__(self, write: Callable[[Sequence[Note]], Awaitable[None]], *, within_s: float, kept: int) -> None:
        self._write, self._within_s, self._kept = write, within_s, kept
        self._notes: dict[Key, Note] = {}
        self._writing = asyncio.Lock()
        self._later: asyncio.Task[None] | None = None
        self._closed = False

    def add(self, key: Key, note: Note) -> None:
        if self._closed:
            return
        self._notes[key] = note
        if len(self._notes) > self._kept:
            del self._notes[next(iter(self._notes))]
        if self._later is None:
            self._later = asyncio.ensure_future(self._write_later())

    def get(self, key: Key) -> Note | None:
        """What was noted of this and is not written yet."""
        return self._notes.get(key)

    async def write_now(self) -> None:
        """Write all that was noted until now. Raises what writing raises; the notes stay."""
        async with self._writing:
            written = dict(self._notes)
            if not written:
                return
            await self._write(list(written.values()))
            for key, note in written.items():
                if self._notes.get(key) is note:
                    del self._notes[key]

    async def close(self) -> None:
        """Take nothing more, and write what was noted. Raises what writing raises."""
        self._closed = True
        if self._later is not None:
            self._later.cancel()
            await asyncio.wait([self._later])
        await self.write_now()

    async def _write_later(self) -> None:
        pause_s = self._within_s
        try:
            while self._notes:
                await asyncio.sleep(pause_s)
                try:
                    await self.write_now()
                    pause_s = self._within_s
                except StoreUnavailable:
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        finally:
            self._later = None
