"""Messages that arrive while something happens."""

import asyncio
import time
from collections.abc import Sequence
from itertools import count
from types import TracebackType
from typing import Self

from bench.fleet import Fleet
from homing.demo.population import DemoAccount


class Load:
    """Sends at a steady rate from the block's begin to its end, which waits for the last answer.

    Open loop: a send begins when its time has come, whether or not the ones before have ended. Accounts and gateways
    take turns; every second send has an `Idempotency-Key`.
    """

    def __init__(self, fleet: Fleet, rate: float, senders: Sequence[DemoAccount] | None = None) -> None:
        self._fleet, self._rate, self._senders = fleet, rate, senders or fleet.residents
        self._sends: set[asyncio.Task[object]] = set()
        self._arriving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._arriving = asyncio.create_task(self._arrive())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._arriving is not None
        self._arriving.cancel()
        await asyncio.gather(self._arriving, return_exceptions=True)
        if self._sends:
            await asyncio.wait(self._sends)

    async def _arrive(self) -> None:
        began_s = time.monotonic()
        for number in count():
            await asyncio.sleep(max(0.0, began_s + number / self._rate - time.monotonic()))
            send = asyncio.create_task(self._send(number))
            self._sends.add(send)
            send.add_done_callback(self._sends.discard)

    async def _send(self, number: int) -> None:
        fleet = self._fleet
        resident = self._senders[number * 7 % len(self._senders)]
        text = fleet.text()
        await fleet.send(resident, text, gateway=number, key=text if number % 2 else None, contact=number)
