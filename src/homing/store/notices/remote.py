"""What is common to all notices that travel: being heard here first, and owning up to what may have been missed."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any
from uuid import uuid4

import structlog

from homing.ports import CacheCleared, Notice, StoreUnavailable, TellHearing
from homing.store.db.failures import said
from homing.store.notices.codec import Letter, proof, read, written
from homing.store.notices.notices import Subscribers

_REMEMBERED_BATCHES = 10_000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 3.0
PROVE_EVERY_S, PROVED_WITHIN_S = 60.0, 5.0

log = structlog.get_logger("homing")


class CarriedNotices(ABC):
    """Notices over a connection that can be lost: afterwards the subscribers hear CacheCleared.

    Our own word comes back to us as well. It is told here once, whichever comes first: so a change whose commit was
    never confirmed to us is heard of all the same, if it was made.

    A connection that lives may still carry nothing to us, as when a pooler gave what listens to somebody else. So we
    say something to ourselves at the start of each connection and every `prove_every_s` from then on; what is not back
    within `proved_within_s` was not heard, and neither may what others said.
    """

    deaf_because = "nothing that is sent comes back"
    """What a person may do about it, for the alert."""

    def __init__(
        self,
        carrier: str,
        errors: Sequence[type[Exception]],
        *,
        start_timeout_s: float,
        prove_every_s: float = PROVE_EVERY_S,
        proved_within_s: float = PROVED_WITHIN_S,
    ) -> None:
        self._carrier = carrier
        self._prove_every_s, self._proved_within_s = prove_every_s, proved_within_s
        self._connected_anew = asyncio.Event()
        self._proved: asyncio.Event = asyncio.Event()
        self._connections = 0
        self._closing = False
        self._deaf: str | None = None
        self._judged = False
        self._tell_hearing: TellHearing = lambda _: None
        self._proving: asyncio.Task[None] | None = None
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

    def watch_hearing(self, tell: TellHearing) -> None:
        self._tell_hearing = tell
        if self._judged:
            tell(self._deaf)

    async def start(self) -> None:
        self._proving = asyncio.create_task(self._keep_proving(), name=f"homing hearing over {self._carrier}")
        self._listening = asyncio.create_task(self._keep_listening(), name=f"homing notices over {self._carrier}")
        with suppress(TimeoutError):
            async with asyncio.timeout(self._start_timeout_s):
                await self._tried.wait()

    async def close(self) -> None:
        # A client library may take being cancelled in the middle of a call for an error of the call.
        self._closing = True
        tasks = [task for task in (self._listening, self._proving) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def publish(self, notices: Sequence[Notice]) -> None:
        letter = self._letter(notices)
        self._tell_here(letter)
        try:
            await self._send(written(letter))
        except self._errors as error:
            self._owing = True
            log.warning("Notices could not be sent", carrier=self._carrier, error=said(error))

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
            if not letter.notices:
                self._proved.set()
                self._judge(None)
                return
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

    async def _keep_proving(self) -> None:
        while not self._closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._prove_every_s):
                    await self._connected_anew.wait()
            self._connected_anew.clear()
            if not self._missed and self._connections:
                await self._prove()

    async def _prove(self) -> None:
        """Find out whether we hear ourselves. Says nothing of it while the carrier is away: that is known otherwise."""
        self._proved.clear()
        connections = self._connections
        try:
            await self._send([proof(self._sender, next(self._numbers))])
            async with asyncio.timeout(self._proved_within_s):
                await self._proved.wait()
        except TimeoutError:
            if connections == self._connections and not self._missed:
                self._judge(f"this gateway does not hear the notices that it sends over {self._carrier}")
        except self._errors:
            return

    def _judge(self, deaf: str | None) -> None:
        if deaf is not None:
            # Nobody knows what was said meanwhile.
            self._subscribers.tell([CacheCleared(deaf)])
            deaf = f"{deaf}: {self.deaf_because}"
        self._judged, self._deaf = True, deaf
        self._tell_hearing(deaf)

    async def _keep_listening(self) -> None:
        pause_s = _FIRST_PAUSE_S

        def ready() -> None:
            nonlocal pause_s
            pause_s = _FIRST_PAUSE_S
            self._ready()

        while not self._closing:
            try:
                await self._listen(ready)
            except self._errors as error:
                log.warning("Notices are not heard; connecting again", carrier=self._carrier, error=said(error))
            except Exception:
                log.exception("Listening for notices failed; connecting again", carrier=self._carrier)
            self._missed = True
            self._tried.set()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _ready(self) -> None:
        if self._missed:
            log.info("Notices are heard again", carrier=self._carrier)
            self._subscribers.tell([CacheCleared(f"notices may have been missed while {self._carrier} was away")])
        self._missed = False
        self._connections += 1
        self._connected_anew.set()
        self._tried.set()


def _forget_oldest(batches: dict[int, Any]) -> None:
    if len(batches) > _REMEMBERED_BATCHES:
        del batches[next(iter(batches))]
