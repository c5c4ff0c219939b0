"""Customers' servers in virtual time: who is called where, and what each does with it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import NoReturn

from homing.decide.egress.rules import EgressRules
from homing.model.deliveries.egress import CallAnswer, CallFailed, CallFailure, CustomerUrl, UrlRefused
from homing.ports.deliveries.egress import FetchedBody
from homing.ports.deliveries.receivers import Mail, MailServer

Receiver = Callable[[bytes, Mapping[str, str]], Awaitable[CallAnswer | CallFailed]]
"""What a customer's server does with one call: its body and its headers, whose names are in lower case."""


@dataclass(eq=False)
class SimulatedEgress:
    """An `Egress` without a network: it calls the receivers that a trial put at names; at others is nobody."""

    rules: EgressRules = field(default_factory=EgressRules)
    receivers: dict[str, Receiver] = field(default_factory=dict)

    async def check(self, text: str) -> CustomerUrl:
        """See `Egress.check`."""
        url = self.rules.read(text)
        if url.host not in self.receivers:
            raise UrlRefused(f"{url.host} leads nowhere: there is no such name just now")
        return url

    async def post(
        self, text: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float, keep_bytes: int = 2_048
    ) -> CallAnswer | CallFailed:
        """See `Egress.post`."""
        try:
            receiver = self.receivers.get(self.rules.read(text).host)
        except UrlRefused as error:
            return CallFailed(CallFailure.REFUSED, str(error))
        if receiver is None:
            return CallFailed(CallFailure.UNRESOLVED, "there is no such name")
        try:
            async with asyncio.timeout(timeout_s):
                answer = await receiver(body, {name.lower(): value for name, value in headers.items()})
        except TimeoutError:
            return CallFailed(CallFailure.TIMED_OUT, f"no whole answer within {timeout_s:g} s")
        if isinstance(answer, CallFailed):
            return answer
        return CallAnswer(answer.status, answer.headers, answer.body[:keep_bytes])

    def fetch(
        self, text: str, *, most_bytes: int, timeout_s: float, redirects: int = 3
    ) -> AbstractAsyncContextManager[FetchedBody]:
        """Files are not simulated."""
        _no_files(text, most_bytes, timeout_s, redirects)


def _no_files(*_: object) -> NoReturn:
    raise NotImplementedError("the simulated network outside has no files")


@dataclass(eq=False)
class SimulatedMail:
    """A `MailCarrier` that keeps what was handed in; `refuses`: why it takes nothing just now."""

    taken: list[Mail] = field(default_factory=list)
    refuses: str | None = None

    async def send(self, server: MailServer, mail: Mail, *, timeout_s: float) -> str | None:  # noqa: ARG002 - no network
        """See `MailCarrier.send`."""
        if self.refuses is None:
            self.taken.append(mail)
        return self.refuses
