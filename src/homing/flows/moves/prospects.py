"""Which sessions of an instance can be opened elsewhere, and which cannot, before anything is moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from homing.decide.fleet import leases, placement
from homing.decide.fleet.capacity import Load
from homing.decide.fleet.leases import NotFenced
from homing.decide.fleet.placement import Chosen, NoRoom, PlacementRequest
from homing.decide.moves import movable
from homing.decide.moves.rules import MovePolicy, MoveWish, Resident, may_move
from homing.flows.operations.drain import Stuck
from homing.model.fleet import Account, Capabilities, Epoch, InstanceUrl, SessionId
from homing.model.sends.faults import Fault
from homing.ports import Directory, Fleet, Grants

HEALTH_TIMEOUT_S = 1.0
TOLD_MAX = 100
"""Sessions that cannot leave that are named; beyond, they are only counted."""
_READ_AT_ONCE = 1_000


class Outlook(Protocol):
    """What is known of the instances at this moment."""

    def unfit(self) -> Mapping[InstanceUrl, str]:
        """The instances that nothing should be placed on, each with what is wrong with it."""
        ...

    def loads_now(self, loads: Sequence[Load]) -> list[Load]:
        """The loads, with what the instances last said of themselves."""
        ...


@dataclass(frozen=True, slots=True)
class Going:
    """A session that can leave, and where it would go as things stand."""

    session_id: SessionId
    account_id: int
    epoch: Epoch
    to_url: InstanceUrl
    why: str


@dataclass(frozen=True, slots=True)
class Prospect:
    """How many sessions of an instance can leave it as things stand, and how many cannot; some of these are `told`."""

    leaving: int
    staying: int
    told: tuple[Stuck, ...] = ()
    going: tuple[Going, ...] = ()


class Prospects:
    """Judges by what is known now. What is in the way may pass, and room may be taken by somebody else."""

    def __init__(self, directory: Directory, fleet: Fleet, grants: Grants, outlook: Outlook) -> None:
        self._directory, self._fleet, self._grants, self._outlook = directory, fleet, grants, outlook

    async def of(self, url: InstanceUrl) -> Prospect:
        """What would become of each session of the instance if it were emptied now. Raises StoreUnavailable."""
        accounts = await self._accounts_on(url)
        can = await self._fleet.capabilities(url, timeout_s=HEALTH_TIMEOUT_S)
        why = {account.session_id: _why_not(account, can) for account in accounts}
        if isinstance(can, Fault):
            why |= await self._unfenced([session for session, reason in why.items() if reason is None], url)
        places = await self._places([each for each in accounts if why[each.session_id] is None], url)
        why |= {
            session: f"no instance can take it: {place.reason}"
            for session, place in places.items()
            if isinstance(place, NoRoom)
        }
        staying = [
            Stuck(account.session_id, account.id, account.phone, reason)
            for account in accounts
            if (reason := why[account.session_id]) is not None
        ]
        going = tuple(
            Going(
                account.session_id,
                account.id,
                account.placement.epoch,
                place.instance.url,
                place.reason,
            )
            for account in accounts
            if isinstance(place := places.get(account.session_id), Chosen)
        )
        return Prospect(len(going), len(staying), tuple(staying[:TOLD_MAX]), going)

    async def _accounts_on(self, url: InstanceUrl) -> list[Account]:
        sessions = [placed.session_id for placed in await self._directory.placed_on(url)]
        found: list[Account] = []
        for start in range(0, len(sessions), _READ_AT_ONCE):
            found += await self._directory.accounts_of(sessions[start : start + _READ_AT_ONCE])
        return [account for account in found if account.placement.instance_url == url]

    async def _unfenced(self, sessions: Sequence[SessionId], url: InstanceUrl) -> dict[SessionId, str | None]:
        """Of a holder that does not answer: those for which nothing proves that it cannot act any more."""
        holdings = await self._grants.fenced(list(sessions))
        fences = {session: leases.fence(holdings.get(session)) for session in sessions}
        return {
            session: f"{url} does not answer, and {fence.reason}" if isinstance(fence, NotFenced) else None
            for session, fence in fences.items()
        }

    async def _places(self, accounts: Sequence[Account], url: InstanceUrl) -> dict[SessionId, Chosen | NoRoom]:
        placed = [Load(load.instance, load.sessions) for load in await self._directory.loads()]
        loads = [load for load in self._outlook.loads_now(placed) if load.instance.url != url]
        wanted = [PlacementRequest(account.session_id, account.requires, url, leaves=True) for account in accounts]
        return placement.choose_all(wanted, loads, unfit=self._outlook.unfit())


def _why_not(account: Account, can: Capabilities | Fault) -> str | None:
    if not isinstance(can, Fault) and (needed := movable.cannot_leave(can)) is not None:
        return needed
    resident = Resident(
        account.session_id,
        account.placement.instance_url or InstanceUrl(""),
        status=account.status,
        takeover=account.takeover,
        state=account.placement.state,
    )
    held_back = may_move(resident, MoveWish.DRAIN, MovePolicy())
    return held_back.reason if held_back is not None else None
