"""What operators want of single sessions: move it there, bring it back.

Each is entered as a wish, which any gateway carries out; what cannot be done is refused here, with what would help.
"""

from dataclasses import dataclass

import structlog

from homing.decide.fleet import leases, placement
from homing.decide.fleet.capacity import Load
from homing.decide.fleet.leases import NotFenced
from homing.decide.fleet.placement import NoRoom
from homing.decide.moves import movable, rules
from homing.decide.moves.next_step import MoveCause, MoveRequest
from homing.flows.moves.prospects import Outlook
from homing.flows.moves.requests import MoveRequests
from homing.flows.operations.drain import HEALTH_TIMEOUT_S
from homing.flows.operations.routed import check_routed
from homing.model.errors import Code, Problem
from homing.model.fleet import Account, Instance, InstanceUrl, Takeover
from homing.model.sends.faults import Fault
from homing.ports import Directory, Fleet, Grants

log = structlog.get_logger("homing")

ROOM_AGAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class MigrationRequest:
    """A session is to move. Without `to_url`, to wherever there is most room. Not `new`: it was to move already."""

    account: Account
    to_url: InstanceUrl | None
    new: bool


class Migrations:
    """Enters wishes for people."""

    def __init__(
        self, directory: Directory, fleet: Fleet, grants: Grants, outlook: Outlook, wishes: MoveRequests
    ) -> None:
        self._directory, self._fleet, self._grants = directory, fleet, grants
        self._outlook, self._wishes = outlook, wishes

    async def migrate(self, account: Account, to: InstanceUrl | None, *, force: bool = False) -> MigrationRequest:
        """The session is to leave where it is, for `to` or for wherever there is room. Raises Problem.

        `force`: although its takeover is `never`.
        """
        url = _home(account, force=force)
        check_routed(self._fleet.roster, url, "nothing is moved away from it")
        if to == url:
            raise Problem(Code.ALREADY_THERE, f"Account {account.uuid} lives on {url} already")
        await self._check_leaves(account, url)
        await self._check_room(account, url, to)
        where = f"to {to}" if to is not None else "away"
        return await self._enter(account, MoveCause.REQUEST, f"an operator moves it {where}", to, force)

    async def rehome(self, account: Account, *, force: bool = False) -> MigrationRequest:
        """The session is to be brought back from an instance that does not serve it. Raises Problem.

        `force`: although its takeover is `never`.
        """
        url = _home(account, force=force)
        check_routed(self._fleet.roster, url, "nothing is moved away from it")
        lost = url in self._outlook.unfit()
        if lost:
            await self._check_fenced(account, url)
        else:
            await self._check_leaves(account, url)
        await self._check_room(account, url if not lost else None, None)
        cause = MoveCause.LOST if lost else MoveCause.REQUEST
        return await self._enter(account, cause, f"an operator wants it back from {url}", None, force)

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
        if isinstance(fence, NotFenced) and not await self._has_exited(url):
            detail = f"Nothing proves that {url} cannot act for account {account.uuid}: {fence.reason}"
            advice = movable.alone(url)
            raise Problem(Code.NOT_FENCED, f"{detail}. {advice[:1].upper()}{advice[1:]}")

    async def _has_exited(self, url: InstanceUrl) -> bool:
        """Whether it is gone by the word of its supervisor, and others can read its logins."""
        known = next((each for each in await self._directory.instances() if each.url == url), None)
        return known is not None and known.storage is not None and known.exited_at is not None

    async def _check_room(self, account: Account, leaving: InstanceUrl | None, to: InstanceUrl | None) -> None:
        if to is not None:
            instance = await self._instance(to)
            if (problem := movable.unfit(instance, account)) is not None:
                raise problem
            await self._check_takes(to)
        loads = [Load(load.instance, load.sessions) for load in await self._directory.loads()]
        fit = [load for load in loads if load.instance.url != leaving and to in (None, load.instance.url)]
        choice = placement.choose(self._outlook.loads_now(fit), requires=account.requires, unfit=self._outlook.unfit())
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

    async def _enter(
        self, account: Account, cause: MoveCause, reason: str, to: InstanceUrl | None, force: bool
    ) -> MigrationRequest:
        at = account.placement
        wish = MoveRequest(account.session_id, cause, reason, at.instance_url, at.epoch, to, urgent=True, forced=force)
        return MigrationRequest(account, to, new=await self._wishes.want([wish]) > 0)


def _home(account: Account, *, force: bool) -> InstanceUrl:
    """Where a session that can be moved lives."""
    if (problem := movable.resting(account)) is not None:
        raise problem
    if account.takeover is Takeover.NEVER and not force:
        detail = f"Account {account.uuid} is not moved: {rules.NEVER}; change that, or force it"
        raise Problem(Code.NOT_MOVABLE, detail)
    assert account.placement.instance_url is not None
    return account.placement.instance_url
