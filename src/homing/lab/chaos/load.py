"""Messages that arrive all the time, whatever happens."""

import asyncio
import time
from itertools import count
from types import TracebackType
from typing import Self

from homing.lab.chaos.stage import Stage

UNKEYED_EVERY = 5


class MessageLoad:
    """Messages at a steady rate from the block's begin to its end, which waits until each is over.

    Open loop: one begins when its time has come, whether or not those before have ended. Accounts take turns; each
    fifth message has no `Idempotency-Key`, and so is asked for once.
    """

    def __init__(self, stage: Stage, rate: float) -> None:
        self._stage, self._rate = stage, rate
        self._said: set[asyncio.Task[object]] = set()
        self._arriving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._rate > 0:
            self._arriving = asyncio.create_task(self._arrive())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._arriving is None:
            return
        self._arriving.cancel()
        await asyncio.gather(self._arriving, return_exceptions=True)
        if kind is None and self._said:
            await asyncio.wait(self._said)
        for said in self._said:
            said.cancel()

    async def _arrive(self) -> None:
        began_s = time.monotonic()
        residents = self._stage.residents
        for number in count():
            await asyncio.sleep(max(0.0, began_s + number / self._rate - time.monotonic()))
            sender = residents[number * 7 % len(residents)]
            keyed = number % UNKEYED_EVERY > 0
            said = asyncio.create_task(self._stage.client.say(sender, "load", keyed=keyed))
            self._said.add(said)
            said.add_done_callback(self._said.discard)
