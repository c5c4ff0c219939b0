"""Messages that flow while something else happens, and what became of each."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import count, cycle
from pathlib import Path
from types import TracebackType
from typing import Self

from homing.demo.calls import DemoCaller, SendAnswer
from homing.demo.population import DemoAccount
from simulated_whatsapp import ledger

EVERY_S = 0.02


class Traffic:
    """Sends one message after another from the given accounts in turn, from the block's begin to its end."""

    def __init__(self, gateway: DemoCaller, senders: Sequence[DemoAccount], contact_uuid: str, about: str) -> None:
        self._gateway, self._senders, self._contact_uuid, self._about = gateway, senders, contact_uuid, about
        self._sends: list[asyncio.Task[SendAnswer]] = []
        self._flow: asyncio.Task[None] | None = None
        self.answers: list[SendAnswer] = []
        """Complete once the block is over."""

    async def __aenter__(self) -> Self:
        self._flow = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._flow is not None
        self._flow.cancel()
        await asyncio.gather(self._flow, return_exceptions=True)
        self.answers = list(await asyncio.gather(*self._sends))

    async def _run(self) -> None:
        for number, sender in zip(count(1), cycle(self._senders), strict=False):
            text = f"{self._about} {number}, from account {sender.id}"
            send = self._gateway.send(sender.uuid, self._contact_uuid, text)
            self._sends.append(asyncio.create_task(send))
            await asyncio.sleep(EVERY_S)


def said(path: Path, answers: Sequence[SendAnswer]) -> dict[str, int]:
    """How often each of these messages reached a recipient, by the ledger."""
    reached = Counter(delivery.text for delivery in ledger.read(path))
    return {answer.text: reached[answer.text] for answer in answers}
