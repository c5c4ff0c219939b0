"""A driver for an address where a gateway of another family answers: it asks for its health, and does nothing else.

What one family's words do to another family's gateway nobody promises: WAHA logs a session out at the DELETE that
closes one in the webjs protocol. And a list is asked for with our key, which WPPConnect takes in the path.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from homing.model.fleet import InstanceUrl, Listing, NoList
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.inbound import FileStream
from homing.ports import Driver, InstanceHealth


class Withheld:
    """`ports.Driver` of which only `health` reaches the address; all else is answered by a Fault."""

    def __init__(self, inner: Driver, why: str) -> None:
        self._inner = inner
        self.family, self.base = inner.family, inner.base
        self._fault = Fault(Phase.PATH_NOT_FOUND, f"nothing was sent to it: {why}")

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        return await self._inner.health(instance, timeout_s=timeout_s)

    async def sessions(self, instance: InstanceUrl, *, timeout_s: float) -> Listing:  # noqa: ARG002
        return NoList(instance, self._fault.detail, self._fault)

    async def _refuse(self, *_: Any, **__: Any) -> Fault:
        return self._fault

    session = send = start = start_many = stop = restart = logout = pairing = renew_pairing = _refuse
    check_number = show = history = _refuse

    @asynccontextmanager
    async def file(self, *_: Any, **__: Any) -> AsyncIterator[FileStream | Fault]:
        yield self._fault
