"""What operators and supervisors want of single sessions and dead instances: move it, bring it back, this one is gone.

Each is entered as a wish, which any gateway carries out; what cannot be done is refused here, with what would help.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from homing.decide import leases, movable, placement
from homing.decide.leases import NotFenced
from homing.decide.placement import Load, NoRoom
from homing.decide.rehome import Cause, Wish
from homing.flows.drain import HEALTH_TIMEOUT_S
from homing.flows.keeper import Wishes
from homing.model.errors import Code, Problem
from homing.model.faults import Fault
from homing.model.fleet import Account, Instance, InstanceUrl, Placed, SessionId, Takeover
from homing.model.leases import Ended, IncarnationId
from homing.model.vault import SessionHolding
from homing.ports import Directory, Fleet, Grants, Leases

log = structlog.get_logger("homing")

ROOM_AGAIN_S = 10.0


class Outlook(Protocol):
    """What is known of the instances at this moment."""

    def down(self) -> frozenset[InstanceUrl]: ...

    def unfit(self) -> frozenset[InstanceUrl]:
        """The instances that nothing should be placed on."""
        ...

    def loads_now(self, loads: Sequence[Load]) -> list[Load]:
        """The loads, with what the instances last said of themselves."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """A session is to move. Without `to_url`, to wherever there is most room. Not `new`: it was to move already."""

    account: Account
    to_url: InstanceUrl | None
    new: bool


@dataclass(frozen=True, slots=True)
class Exited:
    """An instance is said to have exited: how many of its boots, how many sessions are on their way, and which stay."""

    url: InstanceUrl
    boots: int
    sessions: int
    wanted: int
    staying: Mapping[str, int]
    """By reason."""


class Migrations:
    """Enters wishes for people."""

    def __init__(
        self, directory: Directory, fleet: Fleet, grants: Grants, boots: Leases, outlook: Outlook, wishes: Wishes
    ) -> None:
        self._directory, self._fleet, self._grants = directory, fleet, grants
        self._boots, self._outlook, self._wishes = boots, outlook, wishes

    async def migrate(self, account: Account, to: InstanceUrl | None) -> Wanted:
        """The session is to leave where it is, for `to` or for wherever there is room. Raises Problem."""
        url = _home(account)
        if to == url:
            raise Problem(Code.ALREADY_THERE, f"Account {account.uuid} lives on {url} already")
        await self._check_leaves(account, url)
        await self._check_room(account, url, to)
        where = f"to {to}" if to is not None else "away"
        return await self._enter(account, Cause.REQUEST, f"an operator moves it {where}", to)

    async def rehome(self, account: Account, *, force: bool = False) -> Wanted:
        """The session is to be brought back from an instance that does not serve it. Raises Problem.

        `force`: although its takeover is `never`.
        """
        url = _home(account)
        if account.takeover is Takeover.NEVER and not force:
            detail = f"Account {account.uuid} is never taken over (takeover: never); change that, or force it"
            raise Problem(Code.NOT_MOVABLE, detail)
        lost = url in self._outlook.unfit()
        if lost:
            await self._check_fenced(account, url)
        else:
            await self._check_leaves(account, url)
        await self._check_room(account, url if not lost else None, None)
        cause = Cause.LOST if lost else Cause.REQUEST
        return await self._enter(account, cause, f"an operator wants it back from {url}", None)

    async def exited(self, url: InstanceUrl, incarnation: IncarnationId | None = None) -> Exited:
        """No process of the instance (of that boot) runs any more: its sessions are to live elsewhere at once.

        To be said only by whoever supervises the whole process group. Raises Problem.
        """
        await self._instance(url)
        ended = await self._boots.end(url, Ended.EXITED, incarnation=incarnation)
        placed = await self._directory.placed_on(url)
        holdings = await self._grants.fenced([each.session_id for each in placed])
        staying = {each.session_id: why for each in placed if (why := _stays(holdings.get(each.session_id)))}
        wishes = [_lost_with(url, each) for each in placed if each.session_id not in staying]
        wanted = await self._wishes.want(wishes) if wishes else 0
        log.warning("Instance exited", url=url, boots=ended, sessions=len(placed), new_jobs=wanted)
        return Exited(url, ended, len(placed), wanted, _counted(staying))

    # --- what must hold first -----------------------------------------------------------------------------------

    async def _check_leaves(self, account: Account, url: InstanceUrl) -> None:
        can = await self._fleet.capabilities(url, timeout_s=HEALTH_TIMEOUT_S)
        if isinstance(can, Fault):
            return await self._check_fenced(account, url)
        if (needed := movable.cannot_leave(can)) is not None:
            raise Problem(Code.NOT_SUPPORTED, f"Account {account.uuid} cannot leave {url}: {needed}")
        return None

    async def _check_fenced(self, account: Account, url: InstanceUrl) -> None:
        """Of a holder that does not answer: whether anything proves that it cannot act any more."""
        holding = (await self._grants.fenced([account.session_id])).get(account.session_id)
        if holding is not None and not holding.has_login:
            detail = f"Account {account.uuid} has no login in the vault: there is nothing to open elsewhere; pair it"
            raise Problem(Code.NOT_MOVABLE, detail)
        fence = leases.fence(holding)
        if isinstance(fence, NotFenced):
            detail = f"Nothing proves that {url} cannot act for account {account.uuid}: {fence.reason}"
            raise Problem(Code.NOT_FENCED, f"{detail}. {movable.reaching(url)}")

    async def _check_room(self, account: Account, leaving: InstanceUrl | None, to: InstanceUrl | None) -> None:
        if to is not None:
            instance = await self._instance(to)
            if (problem := movable.unfit(instance, account)) is not None:
                raise problem
            await self._check_takes(to)
        loads = [Load(load.instance, load.sessions) for load in await self._directory.loads()]
        fit = [load for load in loads if load.instance.url != leaving and to in (None, load.instance.url)]
        choice = placement.choose(
            self._outlook.loads_now(fit), requires=account.requires, current=None, unhealthy=self._outlook.unfit()
        )
        if isinstance(choice, NoRoom):
            detail = f"No instance can take account {account.uuid}: {choice.reason}"
            raise Problem(Code.NO_CAPACITY, detail, retry_after_s=ROOM_AGAIN_S)

    async def _check_takes(self, to: InstanceUrl) -> None:
        can = await self._fleet.capabilities(to, timeout_s=HEALTH_TIMEOUT_S)
        why = None if isinstance(can, Fault) else movable.cannot_take(can)
        if why is not None:
            raise Problem(Code.NOT_SUPPORTED, f"{to} cannot take a session from another instance: {why}")

    async def _instance(self, url: InstanceUrl) -> Instance:
        known = next((each for each in await self._directory.instances() if each.url == url), None)
        if known is None:
            raise Problem(Code.INSTANCE_NOT_FOUND, f"There is no instance {url}")
        return known

    async def _enter(self, account: Account, cause: Cause, reason: str, to: InstanceUrl | None) -> Wanted:
        placed = account.placement
        wish = Wish(account.session_id, cause, reason, placed.instance_url, placed.epoch, to, urgent=True)
        return Wanted(account, to, new=await self._wishes.want([wish]) > 0)


def _home(account: Account) -> InstanceUrl:
    """Where a session that can be moved lives."""
    if (problem := movable.resting(account)) is not None:
        raise problem
    assert account.placement.instance_url is not None
    return account.placement.instance_url


def _stays(holding: SessionHolding | None) -> str | None:
    """Why a session is not to leave an instance that is said to have exited."""
    if holding is None:
        return "the vault does not know it: its login is on that machine, and only there can it be started again"
    if not holding.has_login:
        return "no phone is linked to it"
    if holding.holder is not None and not holding.holder_ended:
        return "another boot holds it, which was not said to have exited"
    return None


def _lost_with(url: InstanceUrl, placed: Placed) -> Wish:
    return Wish(placed.session_id, Cause.EXITED, f"{url} exited", url, placed.epoch)


def _counted(staying: Mapping[SessionId, str]) -> dict[str, int]:
    return {reason: sum(1 for each in staying.values() if each == reason) for reason in dict.fromkeys(staying.values())}
