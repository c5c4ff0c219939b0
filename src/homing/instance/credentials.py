"""Who may open a session: the credentials of every session, guarded by its epoch.

The store is the authority on epochs. Each grant to open a session's credentials takes a new epoch, and every
write names the grant it is made under, so that a holder whose grant was superseded can change nothing. Ratchet
counters are reserved here before they are used: a new holder starts past every counter that an earlier one may
have used, whether or not it lived to use them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

Login = Mapping[str, Any]
"""What an engine needs to log in again; only that engine reads it."""


@dataclass(frozen=True, slots=True)
class Holder:
    """One boot of an instance: the address it is reached at, and the random id of this boot."""

    instance_url: str
    incarnation: str


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to act for a session until a higher epoch is granted.

    ``login`` is None for a session that no phone has linked yet. ``next_counter`` is past every counter
    reserved so far.
    """

    session_id: str
    epoch: int
    holder: Holder
    login: Login | None
    next_counter: int


@dataclass(frozen=True, slots=True)
class StaleEpoch:
    """Refused: the session's epoch is ``current`` now."""

    current: int


@dataclass(frozen=True, slots=True)
class Holding:
    """A session that an instance held when it last wrote, at this epoch."""

    session_id: str
    epoch: int


class Credentials(Protocol):
    """The store of credentials. Every method may raise ``OSError`` when the store cannot be read or written."""

    async def open(self, session_id: str, *, epoch: int | None, holder: Holder) -> Grant | StaleEpoch:
        """Grant the session to the holder. ``epoch`` must be above the stored one; None takes the next one."""

    async def reserve(self, grant: Grant, count: int) -> range | StaleEpoch:
        """The next ``count`` ratchet counters, durably the grant's own before this returns."""

    async def save(self, grant: Grant, login: Login) -> StaleEpoch | None:
        """Keep the login durably, as the grant's holder got it from WhatsApp."""

    async def forget(self, grant: Grant) -> StaleEpoch | None:
        """Delete the login. The epoch and the reserved counters stay."""

    async def release(self, grant: Grant) -> StaleEpoch | None:
        """The holder stopped the session: nobody holds it, the login stays."""

    async def held_by(self, instance_url: str) -> list[Holding]:
        """Sessions with a login whose last holder is the instance at this address, whichever boot of it."""

    async def unheld(self, session_ids: Collection[str]) -> list[Holding]:
        """Those of these sessions that have a login and no holder, at the epoch of their last grant."""

    async def epoch(self, session_id: str) -> int:
        """The epoch of the last grant; 0 if there never was one."""


@dataclass(frozen=True, slots=True)
class Record:
    """All that is stored for a session. ``reserved_to`` is the highest ratchet counter ever reserved."""

    session_id: str
    epoch: int = 0
    holder: Holder | None = None
    login: Login | None = None
    reserved_to: int = 0

    def granted(self, epoch: int | None, holder: Holder) -> "Record | StaleEpoch":
        """The record after a grant to the holder."""
        if epoch is not None and epoch <= self.epoch:
            return StaleEpoch(self.epoch)
        return replace(self, epoch=self.epoch + 1 if epoch is None else epoch, holder=holder)

    def reserved(self, grant: Grant, count: int) -> "Record | StaleEpoch":
        """The record with ``count`` more counters taken."""
        return self._under(grant, reserved_to=self.reserved_to + count)

    def saved(self, grant: Grant, login: Login) -> "Record | StaleEpoch":
        return self._under(grant, login=login)

    def forgotten(self, grant: Grant) -> "Record | StaleEpoch":
        return self._under(grant, login=None)

    def released(self, grant: Grant) -> "Record | StaleEpoch":
        return self._under(grant, holder=None)

    def grant(self) -> Grant:
        """The grant that this record's present holder has."""
        assert self.holder is not None
        return Grant(self.session_id, self.epoch, self.holder, self.login, self.reserved_to + 1)

    def _under(self, grant: Grant, **changes: Any) -> "Record | StaleEpoch":
        if grant.epoch != self.epoch or grant.holder != self.holder:
            return StaleEpoch(self.epoch)
        return replace(self, **changes)
