"""The vault and the leases: who may act for a session, as instances and gateways each need to know it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from homing.model.fleet import InstanceUrl, Placement, SessionId
from homing.model.instances.leases import Ended, Heartbeats, Incarnation, IncarnationId, Renewed
from homing.model.instances.vault import (
    Arrival,
    AskedLately,
    Committed,
    Grant,
    Granted,
    Granting,
    Holder,
    Holding,
    Left,
    Login,
    RatchetStep,
    Reservation,
    SessionHolding,
    SessionKey,
    StaleEpoch,
    Unsent,
    VaultSealed,
)


class Credentials(Protocol):
    """The vault, as an instance uses it. Raises StoreUnavailable; VaultSealed where credentials cannot be opened.

    Every write names its grant and is refused with StaleEpoch unless the session's epoch and its holder's boot are
    still those of the grant. Writes that wait at the same time share a transaction.
    """

    async def open(self, session_id: str, *, epoch: int | None, holder: Holder) -> Grant | StaleEpoch:
        """Take the session. `epoch` is above the stored one, or is the stored one and was granted to this very holder;
        None takes the next one, whoever had it."""
        ...

    async def open_many(
        self, wanted: Mapping[str, int | None], *, holder: Holder
    ) -> dict[str, Grant | StaleEpoch | VaultSealed]:
        """The same for many, by id with their epochs, in one transaction. One that is sealed harms no other."""
        ...

    async def reserve(self, grant: Grant, wanted: Sequence[Unsent]) -> list[Reservation] | StaleEpoch:
        """A counter for each message, in order, durably the grant's own before this returns.

        None is below the grant's `next_counter`, whatever the store may have lost since that was given.
        """
        ...

    async def commit(self, grant: Grant, step: RatchetStep) -> Committed | StaleEpoch:
        """Keep all of the step durably, or nothing. Its messages get counters as by `reserve`."""
        ...

    async def keys(self, session_id: str, kind: str, ids: Collection[str]) -> dict[str, bytes]:
        """Those of these that are kept, by their ids."""
        ...

    async def had(self, session_id: str, message_id: str, digest: str) -> bool:
        """Whether this very message came in before, and was kept."""
        ...

    async def told(self, grant: Grant, messages: Collection[tuple[str, str]]) -> None:
        """The listener has these messages, by id and digest. Noted soon; a lost note costs that it hears them again."""
        ...

    async def acknowledge(self, grant: Grant, counters: Collection[int]) -> None:
        """WhatsApp has these messages. Noted soon; a lost note costs a repetition under the same id."""
        ...

    async def drop(self, grant: Grant, counters: Collection[int]) -> StaleEpoch | None:
        """These messages will not be repeated, durably: WhatsApp refused them, or they are too old.

        Refused, they stay as they were, and the session's next holder repeats them.
        """
        ...

    async def save(self, grant: Grant, login: Login) -> Grant | StaleEpoch:
        """Keep the login durably, as the grant's holder got it from WhatsApp; the grant with its new version."""
        ...

    async def forget(self, grant: Grant) -> StaleEpoch | None:
        """Delete the login, its keys and what was reserved. The epoch, the counters and what came in stay."""
        ...

    async def release(self, grants: Sequence[Grant]) -> dict[str, StaleEpoch]:
        """The holder stopped these sessions: nobody holds them, their logins stay. Answers which were refused."""
        ...

    async def held_by(self, instance_url: str) -> list[Holding]:
        """Sessions with a login whose last holder is the instance at this address, whichever boot of it."""
        ...

    async def held_by_boot(self, holder: Holder) -> dict[str, int]:
        """The sessions, with their epochs, that this very boot holds."""
        ...

    async def unheld(self, session_ids: Collection[str]) -> list[Holding]:
        """Those of these sessions that have a login and no holder, at the epoch of their last grant."""
        ...

    async def epoch(self, session_id: str) -> int:
        """The epoch of the last grant; 0 if there never was one."""
        ...

    async def redeclare(self, grants: Sequence[Grant]) -> dict[str, StaleEpoch]:
        """Say again what the holder holds, after the store may have lost its newest commits.

        A stored epoch below the grant's is raised to it and the holder entered, and so are counters below its
        `next_counter` and a login older than its own; a higher epoch stands, and its grant is in the answer.
        """
        ...

    async def adopt(self, logins: Mapping[str, Login], keys: Mapping[str, Sequence[SessionKey]] | None = None) -> None:
        """Take in logins that were made elsewhere, with their keys, held by nobody: whoever opens the session next uses
        them. Keys of an earlier login are gone."""
        ...


class Reservations(Protocol):
    """What is kept of messages, as those see it who keep house. Raises StoreUnavailable."""

    async def prune(self, *, keep_s: float, limit: int) -> int:
        """Forget messages that were acknowledged longer ago than that, at most so many; returns how many.

        So too what came in and was told, as many again, but not before WhatsApp stops offering it again.

        Of one that was forgotten nobody knows any more that it was sent: keep them as long as anybody may ask for it
        again under the same id.
        """
        ...

    async def forget_sent(self, *, keep_s: float, limit: int) -> int:
        """Forget what engines keep of what they sent longer ago than that, at most so many; returns how many."""
        ...


class Leases(Protocol):
    """Who may act, by the store's clock. Raises StoreUnavailable."""

    async def begin(self, holder: Holder, *, expiry_s: float) -> Renewed:
        """A boot of an instance takes up its lease."""
        ...

    async def renew(self, holder: Holder, *, expiry_s: float, answered_ago_s: float | None = None) -> Renewed | None:
        """Hold the lease for `expiry_s` from now on; None if the boot was declared ended, or was never begun.

        `answered_ago_s`: since when the holder has answered no gateway's call; None if none ever called it.
        """
        ...

    async def end(self, instance_url: InstanceUrl, how: Ended, *, incarnation: IncarnationId | None = None) -> int:
        """This boot, or without `incarnation` every boot at the address, has ended; answers how many had not before."""
        ...

    async def incarnations(self) -> list[Incarnation]:
        """The newest boot at each address, in one SELECT."""
        ...

    async def heartbeats(self) -> Heartbeats:
        """The same, and which store says so, with one connection."""
        ...

    async def prune(self, *, keep_s: float) -> int:
        """Forget boots that hold nothing and ended, or were last heard of, longer ago than that."""
        ...


class Grants(Protocol):
    """Granting sessions to other instances. Raises StoreUnavailable."""

    async def grant(
        self,
        wanted: Sequence[Granting],
        *,
        fleet_logins_per_s: float,
        instance_logins_per_s: float,
        run_id: str,
        starts_per_min: Mapping[InstanceUrl, int] | None = None,
    ) -> list[Granted]:
        """The next epoch for each of these whose record still stands, in one transaction; those that held.

        The vault refuses the older epoch from here on, the placement is `moving` to the target, the move is logged,
        and every gateway hears of it. No more are granted than the fleet, and each target, may log in per second,
        counted over all gateways by what was granted within the last second, and on no target more than its capacity:
        the first of `wanted` go first. On targets that `starts_per_min` names, no more than that were told to start
        within any minute.
        """
        ...

    async def started_lately(self, instances: Collection[InstanceUrl]) -> Mapping[InstanceUrl, int]:
        """How many sessions were told to start on each of these within the last minute."""
        ...

    async def leave(self, expected: Sequence[Placement]) -> list[Placement]:
        """These sessions are about to be stopped where they are: their placements are `moving`, at the same epoch.

        Those whose record still stands, or is marked so already; messages for them wait from here on.
        """
        ...

    async def leave_all(self, instance: InstanceUrl, *, quiet_s: float, shared: bool) -> Left | AskedLately:
        """No process of the instance runs, so that others with its storage may take over what is placed there.

        Not `shared`: nobody can, and the exit is all that is noted.

        In one transaction: the exit is noted, and its sessions are `moving`, at their epochs; but for those in the
        vault and those that nobody may take over. Refused if a process there asked for them within `quiet_s`.
        """
        ...

    async def stay(self, moving: Sequence[Placement]) -> list[Placement]:
        """These stay where their placements say after all; those whose record still stood."""
        ...

    async def arrive(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """These sessions can send where they went: their placements are held. Those that still stood so."""
        ...

    async def fenced(self, sessions: Collection[SessionId]) -> Mapping[SessionId, SessionHolding]:
        """What the vault knows of who holds these sessions, in one SELECT. A session unknown to it is absent."""
        ...

    async def moves_today(self, sessions: Collection[SessionId]) -> Mapping[SessionId, int]:
        """How often each of these was moved by us (rehome, migration) within the last 24 hours."""
        ...
