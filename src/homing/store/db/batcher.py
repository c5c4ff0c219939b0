"""Doing in one transaction what is asked for at the same time, where taking turns would cost a commit each."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from homing.ports import RowRefused, StoreUnavailable

Given = TypeVar("Given")
Made = TypeVar("Made")

_LARGEST_BATCH = 100


class _BatchEntry(msgspec.Struct, Generic[Given, Made], frozen=True):
    given: Given
    future: "asyncio.Future[Made]"


class Together(Generic[Given, Made]):
    """`do` makes something of each given thing, in their order, all or nothing. What comes meanwhile goes next.

    What one of them raises is raised to that one alone: the others are then done one by one. What nobody waits for
    any more when its turn comes is not done.
    """

    def __init__(
        self, do: Callable[[Sequence[Given]], Awaitable[Sequence[Made]]], *, largest: int = _LARGEST_BATCH
    ) -> None:
        self._do, self._largest = do, largest
        self._closed = False
        self._waiting: list[_BatchEntry[Given, Made]] = []
        self._doing: asyncio.Task[None] | None = None
        self._batch: asyncio.Future[None] | None = None

    async def __call__(self, given: Given) -> Made:
        if self._closed:
            raise StoreUnavailable("it is closed")
        loop = asyncio.get_running_loop()
        one: _BatchEntry[Given, Made] = _BatchEntry(given, loop.create_future())
        self._waiting.append(one)
        if self._doing is None or self._doing.done():
            self._doing = loop.create_task(self._run())
        return await one.future

    async def under_way(self) -> None:
        """Returns when what is being done at this moment is done."""
        if self._batch is not None:
            await asyncio.wait([self._batch])

    async def close(self) -> None:
        """Take nothing more, and do what waits."""
        self._closed = True
        if self._doing is not None:
            await asyncio.wait([self._doing])

    async def _run(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(0)  # what comes in the same turn of the loop comes along: fewer, larger batches
                await self._do_next()
        except BaseException as error:
            _fail(self._waiting, error)
            raise

    async def _do_next(self) -> None:
        batch, self._waiting = self._waiting[: self._largest], self._waiting[self._largest :]
        if wanted := [one for one in batch if not one.future.done()]:
            self._batch = asyncio.get_running_loop().create_future()
            try:
                await self._done(wanted)
            finally:
                self._batch.set_result(None)
                self._batch = None

    async def _done(self, batch: Sequence[_BatchEntry[Given, Made]]) -> None:
        try:
            made = await self._do([one.given for one in batch])
        except Exception as error:  # noqa: BLE001 - whatever it was, whoever waits must hear of it
            if len(batch) == 1 or _is_of_all(error):
                _fail(batch, error)
                return
            for one in batch:
                await self._done([one])
        except BaseException as error:
            _fail(batch, error)
            raise
        else:
            for one, result in zip(batch, made, strict=True):
                if not one.future.done():
                    one.future.set_result(result)


def _is_of_all(error: Exception) -> bool:
    """Whether each of them alone would meet the same: the store is away. One that it refuses is no fault of others."""
    return isinstance(error, StoreUnavailable) and not isinstance(error, RowRefused)


def _fail(batch: Sequence[_BatchEntry[Given, Made]], error: BaseException) -> None:
    for one in batch:
        if not one.future.done():
            one.future.set_exception(error)
