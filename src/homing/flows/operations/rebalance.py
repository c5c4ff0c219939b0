"""Spreading the sessions evenly: what is known of the fleet is gathered, the plan is judged, and perhaps begun."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import structlog

from homing.decide.fleet.capacity import Load, rooms
from homing.decide.moves import movable, rebalance
from homing.decide.moves.next_step import MoveCause, MoveRequest
from homing.decide.moves.rebalance import Plan, PlannedMove, RebalancePolicy
from homing.decide.moves.rules import Resident
from homing.flows.moves.prospects import Outlook
from homing.flows.moves.requests import MoveRequests
from homing.flows.operations.drain import HEALTH_TIMEOUT_S, LIST_TIMEOUT_S
from homing.model.errors import Code, Problem
from homing.model.fleet import Account, InstanceMode, InstanceUrl, MoveKind, SessionId, SessionList
from homing.model.sends.faults import Fault
from homing.ports import Directory, Fleet, Grants, Page

log = structlog.get_logger("homing")

_READ_AT_ONCE = 1_000
_RECENT = Page(limit=200)


@dataclass(frozen=True, slots=True)
class Balanced:
    """A plan, whose sessions they are, and how many of its moves were begun; None for a plan that was only shown."""

    plan: Plan
    accounts: Mapping[SessionId, Account]
    begun: int | None


class Balance:
    """Plans, and begins plans. `braked` says why nothing is to be moved at the moment."""

    def __init__(
        self,
        directory: Directory,
        fleet: Fleet,
        grants: Grants,
        outlook: Outlook,
        wishes: MoveRequests,
        policy: RebalancePolicy,
        braked: Callable[[], str | None],
    ) -> None:
        self._directory, self._fleet, self._grants = directory, fleet, grants
        self._outlook, self._wishes, self._policy, self._braked = outlook, wishes, policy, braked

    async def rebalance(self, *, dry_run: bool) -> Balanced:
        """What should move; unless `dry_run`, it is wished for in that order. Raises Problem."""
        why = self._braked()
        if why is not None and not dry_run:
            raise Problem(Code.BRAKE_ENGAGED, f"Nothing is moved to balance at the moment: {why}", retry_after_s=10)
        known = [load for load in await self._directory.loads() if load.instance.mode is InstanceMode.ROUTE]
        placed = [Load(load.instance, load.sessions) for load in known]
        loads, unfit = self._outlook.loads_now(placed), self._outlook.unfit()
        accounts: dict[SessionId, Account] = {}
        residents: list[Resident] = []
        for url in _above_their_share(loads, unfit):
            found = await self._accounts_on(url)
            accounts |= found
            residents += await self._residents(url, found)
        plan = rebalance.rebalance(loads, residents, self._policy, unfit=unfit, gaps_ms=await self.gaps_ms())
        begun = None if dry_run else await self._begin(plan, accounts)
        log.info("Rebalancing", dry_run=dry_run, moves=len(plan.moves), begun=begun, reason=plan.reason)
        return Balanced(plan, accounts, begun)

    async def _begin(self, plan: Plan, accounts: Mapping[SessionId, Account]) -> int:
        wishes = [_wish(move, accounts[move.session_id]) for move in plan.moves]
        return await self._wishes.want(wishes) if wishes else 0

    async def _accounts_on(self, url: InstanceUrl) -> dict[SessionId, Account]:
        sessions = [placed.session_id for placed in await self._directory.placed_on(url)]
        found: dict[SessionId, Account] = {}
        for start in range(0, len(sessions), _READ_AT_ONCE):
            accounts = await self._directory.accounts_of(sessions[start : start + _READ_AT_ONCE])
            found |= {account.session_id: account for account in accounts if account.placement.instance_url == url}
        return found

    async def _residents(self, url: InstanceUrl, accounts: Mapping[SessionId, Account]) -> list[Resident]:
        listed = await self._fleet.driver(url).sessions(url, timeout_s=LIST_TIMEOUT_S)
        rows = listed.sessions if isinstance(listed, SessionList) else {}
        can = await self._fleet.capabilities(url, timeout_s=HEALTH_TIMEOUT_S)
        shares = isinstance(can, Fault) or movable.cannot_leave(can) is None
        today = await self._grants.moves_today(list(accounts))
        return [
            _resident(
                account,
                url,
                idle_s=rows[session].idle_s if session in rows else None,
                moves_today=today.get(session, 0),
                shares=shares,
            )
            for session, account in accounts.items()
        ]

    async def gaps_ms(self) -> dict[InstanceUrl, int]:
        """For how long sessions that moved lately could not send, by where they went."""
        gaps: dict[InstanceUrl, list[int]] = defaultdict(list)
        for move in await self._directory.moves(None, _RECENT, kind=MoveKind.MIGRATION):
            if move.to_url is not None and move.duration_ms is not None:
                gaps[move.to_url].append(max(0, move.duration_ms - move.steps.get("waited", 0)))
        return {url: round(median(known)) for url, known in gaps.items()}


def _above_their_share(loads: Sequence[Load], unfit: Mapping[InstanceUrl, str]) -> list[InstanceUrl]:
    """The instances that may have to give: of the others the sessions need not be read."""
    found = list(rooms([load for load in loads if load.instance.url not in unfit]))
    total, capacity = sum(room.sessions for room in found), sum(room.capacity for room in found)
    return [room.instance.url for room in found if room.sessions * capacity > total * room.capacity]


def _resident(account: Account, url: InstanceUrl, *, idle_s: float | None, moves_today: int, shares: bool) -> Resident:
    return Resident(
        session_id=account.session_id,
        instance_url=url,
        status=account.status,
        takeover=account.takeover,
        requires=account.requires,
        idle_s=idle_s,
        moves_today=moves_today,
        state=account.placement.state,
        shares_credentials=shares,
    )


def _wish(move: PlannedMove, account: Account) -> MoveRequest:
    epoch = account.placement.epoch
    return MoveRequest(move.session_id, MoveCause.BALANCE, move.why, move.from_url, epoch, move.to_url)
