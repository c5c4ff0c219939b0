"""The life of an account's session: placed, started, stopped, restarted, paired, logged out.

An epoch is taken from the credentials' store by the instance itself when it opens them; the directory then follows by
compare-and-set. The other order would leave a record of a grant that nobody has.
"""

from collections.abc import Callable, Mapping
from math import ceil
from typing import assert_never

import structlog

from homing.decide.fleet import placement
from homing.decide.fleet.capacity import Load
from homing.decide.fleet.placement import Chosen, NoRoom
from homing.decide.phones.aliases import person
from homing.decide.starting import first_place, linking
from homing.decide.starting.first_place import Here, StartRefused, TryElsewhere, Unclear
from homing.flows.background.link_alerts import LinkAlerts
from homing.flows.discovery.corrections import correct
from homing.flows.failover.restore_queue import RestoreQueue
from homing.flows.operations.routed import check_routed
from homing.flows.operations.start_turns import WAITS_S, StartTurns
from homing.model.directory.phones import PhoneNumber
from homing.model.errors import Code, Problem
from homing.model.fleet import (
    Account,
    AccountUuid,
    Epoch,
    Instance,
    InstanceUrl,
    ListedSession,
    MoveKind,
    Rebinding,
    SessionId,
    SessionList,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.model.sends.faults import Fault, Phase
from homing.ports import (
    Directory,
    Entropy,
    Fleet,
    Meters,
    NewAccount,
    NewNames,
    SessionStart,
)

log = structlog.get_logger("homing")

HEALTH_TIMEOUT_S = 2.0
CALL_TIMEOUT_S = 15.0
START_TIMEOUT_S = 60.0
"""The Node service answers a start only when its browser is up, which it allows a minute for."""

NO_NAMES = NewNames()

_SET_ASIDE = {SessionStatus.LOGGED_OUT, SessionStatus.QUARANTINED}
"""Starting these takes opening them anew, whatever their instance says."""
_PASSING = {SessionStatus.PAIRING, SessionStatus.STARTING, SessionStatus.UNKNOWN}


class Accounts:
    """Creates accounts and speaks to the instance that holds each."""

    def __init__(
        self,
        directory: Directory,
        fleet: Fleet,
        entropy: Entropy,
        meters: Meters,
        unfit: Callable[[], Mapping[InstanceUrl, str]] = dict,
        met: Callable[[InstanceUrl, Phase], None] | None = None,
        alerts: LinkAlerts | None = None,
        queue: RestoreQueue | None = None,
        *,
        turns: StartTurns,
    ) -> None:
        """`unfit` tells what is wrong with instances that must not be chosen; `met` hears how starts failed."""
        self._directory, self._fleet, self._entropy = directory, fleet, entropy
        self._meters, self._unfit, self._met = meters, unfit, met
        self._alerts, self._queue, self._turns = alerts or LinkAlerts(), queue, turns

    async def create(
        self,
        workspace: WorkspaceId,
        number: PhoneNumber,
        name: str,
        takeover: Takeover | None,
        requires: Mapping[str, str],
        names: NewNames = NO_NAMES,
        *,
        any_owner: bool = False,
    ) -> Account:
        """A new account, not started yet, under names of its own where none are given. Raises NameTaken.

        `any_owner`: its session may be one that another workspace's deleted account had.
        """
        uuid = names.uuid or self._entropy.uuid()
        return await self._directory.create_account(
            NewAccount(
                uuid=AccountUuid(uuid),
                workspace_id=workspace,
                session_id=names.session_id or SessionId(f"webjs_{workspace}_{uuid.replace('-', '')}"),
                phone=number.written,
                person=person(number.digits),
                name=name,
                takeover=takeover or Takeover.AUTO,
                requires=requires,
                id=names.id,
                any_owner=any_owner,
                native_id=names.native_id,
            )
        )

    async def shown(self, account: Account) -> Account:
        """The account, with a status that was about to change asked for anew."""
        url = account.placement.instance_url
        if url is None or account.status not in _PASSING:
            return account
        row = await self._fleet.driver(url).session(url, account.session_id, timeout_s=HEALTH_TIMEOUT_S)
        if isinstance(row, Fault) or linking.meant(row, account.linking) is account.status:
            return account
        await self._note(account, url, row)
        return await self._again(account)

    async def start(self, account: Account) -> Account:
        """Open the session where it is placed; where it has no place, on the least loaded healthy instance."""
        url = account.placement.instance_url
        if url is None:
            return await self._started_anywhere(account)
        check_routed(self._fleet.roster, url, "no session is started there")
        if account.status not in _SET_ASIDE and await self._can_send(account, url):
            return account
        epoch = Epoch(account.placement.epoch + 1)
        started = await self._open_there(account, url)
        if started is None:
            await self._after_its_queue(account, url)
        if started is None or (account.status is SessionStatus.LOGGED_OUT and not started.can_send):
            await self._turns.take(account.session_id, url)
            started = await self._opened(account, url, epoch, anew=started is not None)
        return await self._bound(account, url, started, "started by request")

    async def restart(
        self, account: Account, why: str = "restarted by request", *, waits_s: float = WAITS_S
    ) -> Account:
        """Close and open the session where it is; `waits_s` is for how long its turn to be started is waited for."""
        url = placed(account)
        check_routed(self._fleet.roster, url, "no session is restarted there")
        await self._turns.take(account.session_id, url, waits_s=waits_s)
        started = await self._opened(account, url, Epoch(account.placement.epoch + 1), anew=True)
        return await self._bound(account, url, started, why)

    async def stop(self, account: Account) -> Account:
        """Close the session and keep its login. Of one that is stopped already there is nothing to close."""
        url = placed(account)
        check_routed(self._fleet.roster, url, "no session is stopped there")
        fault = await self._fleet.driver(url).stop(url, as_start(account), timeout_s=CALL_TIMEOUT_S)
        if account.status is SessionStatus.STOPPED and fault is not None and fault.phase is Phase.SESSION_NOT_FOUND:
            return account
        return await self._ended(account, url, fault, SessionStatus.STOPPED)

    async def logout(self, account: Account) -> Account:
        """End the link with WhatsApp. Afterwards only pairing anew helps."""
        url = running(account)
        check_routed(self._fleet.roster, url, "no session is logged out there")
        fault = await self._fleet.driver(url).logout(url, as_start(account), timeout_s=CALL_TIMEOUT_S)
        return await self._ended(account, url, fault, SessionStatus.LOGGED_OUT)

    async def started_or_forgotten(self, account: Account) -> Account:
        """Start a new account's session; if nobody can, there is no account. Raises Problem that says why.

        One that may have been started is kept, with the place where that was.
        """
        try:
            return await self.start(account)
        except Problem as problem:
            if (await self._again(account)).placement.instance_url is not None:
                raise
            await self._directory.delete_account(account)
            detail = f"{problem.detail}; no account was made"
            raise Problem(problem.code, detail, retry_after_s=problem.retry_after_s) from problem

    async def _started_anywhere(self, account: Account) -> Account:
        """Open it on the least used instance that is fit and takes it.

        What one of a gateway family refuses, all of that family would.
        """
        unfit = dict(self._unfit())
        refused: Problem | None = None
        while True:
            try:
                chosen = await self._choose(account, unfit)
            except Problem as problem:
                raise refused or problem from None
            url = chosen.instance.url
            await self._turns.take(account.session_id, url)
            answer = await self._answered(account, url, Epoch(account.placement.epoch + 1), anew=False)
            if not isinstance(answer, Fault):
                return await self._bound(account, url, answer, chosen.reason)
            came_to = await self._came_to(account, url, answer)
            match came_to:
                case TryElsewhere(reason=reason):
                    log.warning("Session not started; another instance is tried", url=url, reason=reason)
                    unfit[url] = reason
                case Here(row=row):
                    return await self._bound(account, url, row, f"{chosen.reason}; its list shows it, after {answer}")
                case Unclear(reason=reason):
                    raise await self._kept_where_it_may_be(account, url, reason)
                case StartRefused():
                    refused = refused or instance_fault(url, answer)
                    unfit |= dict.fromkeys(self._of_its_family(chosen.instance), f"refused it: {answer}")
                case _:
                    assert_never(came_to)

    def _of_its_family(self, instance: Instance) -> list[InstanceUrl]:
        others = self._fleet.roster.instances.values()
        return [instance.url, *(each.url for each in others if each.driver == instance.driver)]

    async def _came_to(self, account: Account, url: InstanceUrl, fault: Fault) -> first_place.After:
        if self._met is not None:
            self._met(url, fault.phase)
        listing = None
        if first_place.needs_its_list(fault):
            listing = await self._fleet.driver(url).sessions(url, timeout_s=CALL_TIMEOUT_S)
        return first_place.after(account.session_id, fault, listing)

    async def _kept_where_it_may_be(self, account: Account, url: InstanceUrl, reason: str) -> Problem:
        """The record names the place, so that nobody starts it elsewhere as well."""
        row = ListedSession(account.session_id, SessionStatus.UNKNOWN)
        await self._bound(account, url, row, f"told to start there, and not known whether it did: {reason}")
        detail = (
            f"Whether {url} started the session is not known: {reason}. Account {account.id} is kept there;"
            f" see `homing accounts show {account.id}`, then start it again or delete it"
        )
        return Problem(Code.INSTANCE_FAULT, detail, retry_after_s=5)

    async def _choose(self, account: Account, unfit: dict[InstanceUrl, str]) -> Chosen:
        loads = [Load(load.instance, load.sessions) for load in await self._directory.loads()]
        while True:
            choice = placement.choose(loads, requires=account.requires, unfit=unfit)
            if isinstance(choice, NoRoom):
                raise Problem(Code.NO_CAPACITY, f"No instance can take the session: {choice.reason}", retry_after_s=10)
            url = choice.instance.url
            health = await self._fleet.driver(url).health(url, timeout_s=HEALTH_TIMEOUT_S)
            if not isinstance(health, Fault):
                return choice
            unfit[url] = "was not asked" if health.phase is Phase.NOT_ATTEMPTED else "does not answer"

    async def _can_send(self, account: Account, url: InstanceUrl) -> bool:
        if account.placement.instance_url != url:
            return False
        row = await self._fleet.driver(url).session(url, account.session_id, timeout_s=CALL_TIMEOUT_S)
        return isinstance(row, ListedSession) and row.can_send

    async def _after_its_queue(self, account: Account, url: InstanceUrl) -> None:
        """Raises Problem where the instance was handed the session to restore, and will come to it by itself."""
        turn = await self._queue.turn_of(account, url) if self._queue is not None else None
        if turn is not None:
            detail = f"Account {account.uuid} is not started a second time: {turn.reason}. Its turn comes by itself"
            raise Problem(Code.SESSION_NOT_READY, detail, retry_after_s=min(ceil(turn.after_s) or 1, 60))

    async def _open_there(self, account: Account, url: InstanceUrl) -> ListedSession | None:
        """The session as a gateway without epochs has it open: it would not be started there once more.

        To be logged out helps no start: it is closed and opened again.
        """
        driver = self._fleet.driver(url)
        row = await driver.session(url, account.session_id, timeout_s=CALL_TIMEOUT_S)
        if isinstance(row, Fault) or row.epoch is not None:
            return None
        listing = await driver.sessions(url, timeout_s=CALL_TIMEOUT_S)
        return listing.sessions.get(account.session_id) if isinstance(listing, SessionList) else None

    async def _opened(self, account: Account, url: InstanceUrl, epoch: Epoch, *, anew: bool) -> ListedSession:
        answer = await self._answered(account, url, epoch, anew=anew)
        if isinstance(answer, Fault):
            raise instance_fault(url, answer)
        return answer

    async def _answered(self, account: Account, url: InstanceUrl, epoch: Epoch, *, anew: bool) -> ListedSession | Fault:
        """Opened under `epoch`, or under the one after that which the credentials turn out to be at."""
        answer = await self._open(account, url, epoch, anew=anew)
        if isinstance(answer, Fault) and answer.phase is Phase.EPOCH_STALE and answer.epoch is not None:
            answer = await self._open(account, url, Epoch(answer.epoch + 1), anew=anew)
        return answer

    async def _open(self, account: Account, url: InstanceUrl, epoch: Epoch, *, anew: bool) -> ListedSession | Fault:
        driver = self._fleet.driver(url)
        opening = driver.restart if anew else driver.start
        return await opening(url, as_start(account, epoch), timeout_s=START_TIMEOUT_S)

    async def _bound(self, account: Account, url: InstanceUrl, row: ListedSession, why: str) -> Account:
        epoch = row.epoch if row.epoch is not None else Epoch(account.placement.epoch + 1)
        claimed = row.epoch is not None
        change = Rebinding(account.placement, url, epoch, MoveKind.PLACEMENT, why, claimed=claimed)
        if not await correct(self._directory, self._meters, [change]):
            log.warning("Placement changed while the session was started", session_id=account.session_id, url=url)
        await self._note(await self._again(account), url, row)
        return await self._again(account)

    async def _note(self, account: Account, url: InstanceUrl, row: ListedSession) -> None:
        """What the instance says of the session becomes its status."""
        status = linking.meant(row, account.linking)
        await self._directory.set_status(account.session_id, status, ready=status is SessionStatus.CONNECTED)
        self._alerts.note(account.session_id, status, f"{url} says that the link with its phone has ended")

    async def _ended(self, account: Account, url: InstanceUrl, fault: Fault | None, status: SessionStatus) -> Account:
        if fault is not None:
            raise instance_fault(url, fault)
        await self._directory.set_status(account.session_id, status)
        if status is SessionStatus.LOGGED_OUT:
            self._alerts.logged_out_by_request(account.session_id)
        return await self._again(account)

    async def _again(self, account: Account) -> Account:
        return await self._directory.account(account.workspace_id, uuid=account.uuid) or account


def as_start(account: Account, epoch: Epoch | None = None) -> SessionStart:
    return SessionStart(account.session_id, account.workspace_id, account.id, epoch or account.placement.epoch)


def running(account: Account) -> InstanceUrl:
    """Where a session is that is to do something now. Raises Problem for one that was stopped, and is nowhere open."""
    if account.status is SessionStatus.STOPPED:
        raise Problem(Code.SESSION_STOPPED, f"Account {account.uuid} is stopped; start it first")
    return placed(account)


def placed(account: Account) -> InstanceUrl:
    if account.placement.instance_url is None:
        raise Problem(Code.ACCOUNT_NOT_PLACED, f"Account {account.uuid} is on no instance; start it first")
    return account.placement.instance_url


def instance_fault(url: InstanceUrl, fault: Fault) -> Problem:
    """What whoever asked hears of it; what the instance said is for the log."""
    if fault.quoted:
        log.info("An instance did not do what it was asked", url=url, fault=str(fault))
    match fault.phase:
        case Phase.NOT_ATTEMPTED | Phase.CUT_SHORT:
            return Problem(Code.OVERLOADED, f"{url} was not asked: {fault.detail}; try again soon", retry_after_s=1)
        case Phase.UNAUTHORISED:
            return Problem(
                Code.INSTANCE_MISCONFIGURED,
                f"{url} does not accept our API key; check WHATSAPP_API_KEY",
                retry_after_s=30,
            )
        case Phase.UNLICENSED:
            detail = f"{url} does nothing before its licence is activated: {fault}"
            return Problem(Code.INSTANCE_MISCONFIGURED, detail, retry_after_s=30)
        case Phase.MISDIRECTED:
            return Problem(
                Code.INSTANCE_MISCONFIGURED,
                f"{url} is not the gateway's own address: {fault.category}",
                retry_after_s=30,
            )
        case Phase.SESSION_NOT_FOUND:
            return Problem(
                Code.SESSION_UNREACHABLE, f"{url} does not have the session; start it first", retry_after_s=5
            )
        case Phase.REQUEST_REJECTED:
            return Problem(Code.NOT_SUPPORTED, f"{url} refused: {fault.category}")
        case _:
            return Problem(Code.INSTANCE_FAULT, f"{url} could not do it: {fault.category}", retry_after_s=5)
