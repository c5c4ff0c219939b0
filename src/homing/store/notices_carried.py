"""What is common to all notices that travel: being heard here first, and owning up to what may have been missed."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any
from uuid import uuid4

import structlog

from homing.ports import CacheCleared, Notice, StoreUnavailable
from homing.store.failures import said
from homing.store.notice_wire import Letter, read, written
from homing.store.notices import Subscribers

_REMEMBERED_BATCHES = 10_000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 3.0

log = structlog.get_logger("homing")


class CarriedNotices(ABC):
    """Notices over a connection that can be lost: afterwards the subscribers hear CacheCleared.

    Our own word comes back to us as well. It is told here once, whichever comes first: so a change whose commit was
    never confirmed to us is heard of all the same, if it was made.
    """

    def __init__(self, carrier: str, errors: Sequence[type[Exception]], *, start_timeout_s: float) -> None:
        self._carrier = carrier
        self._errors: tuple[type[Exception], ...] = (*errors, StoreUnavailable)
        self._start_timeout_s = start_timeout_s
        self._sender = uuid4().hex
        self._numbers = count(1)
        self._told: dict[int, None] = {}
        self._back_early: dict[int, int] = {}
        self._subscribers = Subscribers()
        self._missed = False
        self._owing = False
        self._tried = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    @abstractmethod
    async def _listen(self, ready: Callable[[], None]) -> None:
        """Connect, call `ready` when nothing said from then on can be missed, and hear until the connection is lost."""

    @abstractmethod
    async def _send(self, payloads: Sequence[str]) -> None:
        """Put the payloads on their way to every gateway."""

    def subscribe(self, hear: Callable[[Notice], None]) -> None:
        self._subscribers.add(hear)

    async def start(self) -> None:
        self._listening = asyncio.create_task(self._keep_listening(), name=f"homing notices over {self._carrier}")
        with suppress(TimeoutError):
            async with asyncio.timeout(self._start_timeout_s):
                await self._tried.wait()

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])

    async def publish(self, notices: Sequence[Notice]) -> None:
        letter = self._letter(notices)
        self._tell_here(letter)
        try:
            await self._send(written(letter))
        except self._errors as error:
            self._owing = True
            log.warning("notices could not be sent", carrier=self._carrier, error=said(error))

    def _letter(self, notices: Sequence[Notice]) -> Letter:
        return Letter(self._sender, next(self._numbers), notices)

    def _tell_here(self, letter: Letter) -> None:
        """Tell the subscribers here what of it did not come back to us already, quicker than we knew of our commit."""
        early = self._back_early.pop(letter.number, 0)
        self._told[letter.number] = None
        _forget_oldest(self._told)
        self._subscribers.tell(letter.notices[early:])

    def _received(self, payload: str) -> None:
        letter = read(payload)
        if letter.sender == self._sender:
            if letter.number in self._told:
                return
            self._back_early[letter.number] = self._back_early.get(letter.number, 0) + len(letter.notices)
            _forget_oldest(self._back_early)
        self._subscribers.tell(letter.notices)

    async def _settle_debt(self) -> None:
        """What could not be sent is lost; let the others doubt all they have."""
        if self._owing:
            self._owing = False
            await self.publish([CacheCleared(f"notices were lost while a gateway could not reach {self._carrier}")])

    async def _keep_listening(self) -> None:
        pause_s = _FIRST_PAUSE_S

        def ready() -> None:
            nonlocal pause_s
            pause_s = _FIRST_PAUSE_S
            self._ready()

        while True:
            try:
                await self._listen(ready)
            except self._errors as error:
                log.warning("no notices are heard; connecting again", carrier=self._carrier, error=said(error))
            except Exception:
                log.exception("listening for notices failed; connecting again", carrier=self._carrier)
            self._missed = True
            self._tried.set()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _ready(self) -> None:
        if self._missed:
            log.info("notices are heard again", carrier=self._carrier)
            self._subscribers.tell([CacheCleared(f"notices may have been missed while {self._carrier} was away")])
        self._missed = False
        self._tried.set()


def _forget_oldest(batches: dict[int, Any]) -> None:
    if len(batches) > _REMEMBERED_BATCHES:
        del batches[next(iter(batches))]
