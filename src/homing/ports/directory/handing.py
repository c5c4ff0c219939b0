"""What instances without leases are handed out to restore, and what is recorded of it. A part of the directory."""

from collections.abc import Collection
from typing import Protocol

from homing.model.fleet import Account, InstanceUrl, SessionId
from homing.model.instances.restoring import Recorded


class HandedOut(Protocol):
    """Sessions that instances open again after their boot. Raises StoreUnavailable."""

    async def hand_out(self, instance: InstanceUrl) -> list[Account]:
        """The sessions that the process asking at this address is to restore, in the order in which it should.

        Those placed there that are meant to run; not what is on its way, which whoever moves it starts. To whom each
        was given, when, and at which place of the queue is remembered in the same transaction. Whoever asks runs: that
        its instance was said to have exited holds no more.
        """
        ...

    async def came_back(self, instance: InstanceUrl) -> None:
        """A process of the instance was heard of: that it exited holds no more."""
        ...

    async def recorded(
        self, *, instances: Collection[InstanceUrl] = (), sessions: Collection[SessionId] = ()
    ) -> list[Recorded]:
        """What is recorded of the sessions placed on these instances that are meant to run, and of these sessions, by
        account; their ages by the store's clock at this moment."""
        ...
