"""Sessions carried from one vault to another, or out of another program: each has one holder all the way.

An export takes the session under an epoch of its own, so that nobody here can go on with it, and forgets it once it is
safe elsewhere. An import takes a login in only once whoever used it is proven stopped.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from homing.decide.importing.carrying import (
    CarryingRefused,
    LoginOrigin,
    OldHolder,
    ProvenStopped,
    may_enter,
    may_leave,
    old_holder_stopped,
    whose,
)
from homing.decide.moves import movable
from homing.model.fleet import (
    Account,
    Epoch,
    InstanceUrl,
    ListedSession,
    Listing,
    MoveKind,
    Rebinding,
    SessionId,
    SessionStatus,
)
from homing.model.instances.vault import Holder
from homing.model.sends.faults import Fault
from homing.model.sessions.carried import CarriedSession
from homing.ports import Audit, Clock, Directory, Entropy, Fleet, Grants
from homing.ports.sessions.carrying import CarriesSessions

EXPORTER = "homing sessions export"
"""Who holds a session while it is taken out; no instance is called so."""
HEALTH_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 5.0
WATCHED_S = 5.0
"""A gateway is asked a second time so much later: one that lost a connection makes it anew within seconds."""
_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}")


class ReadsLists(Protocol):
    """Every instance's list, each read once."""

    async def read_all(self) -> dict[InstanceUrl, Listing]: ...


class NotCarried(Exception):
    """The session stays as it is; `code` is stable, the sentence says why and what to do."""

    def __init__(self, refused: CarryingRefused) -> None:
        super().__init__(refused.reason)
        self.code = refused.code


@dataclass(frozen=True, slots=True)
class CarryTarget:
    """Which session a login is to be. `account` is None for one that nobody has an account for yet."""

    session_id: SessionId
    account: Account | None


@dataclass(frozen=True, slots=True)
class LoginImport:
    """How a login is to come in. `to_url` is where its account is to live, where that has to change."""

    origin: LoginOrigin
    to_url: InstanceUrl | None = None
    stopped: bool = False
    replace: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class BroughtIn:
    """What became of an import, or would. `proof` is what shows that nobody else uses the login."""

    target: CarryTarget
    proof: str
    placed_on: InstanceUrl | None


class Carrying:
    """Carries sessions out of a vault and into it."""

    def __init__(
        self,
        vault: CarriesSessions,
        directory: Directory,
        grants: Grants,
        fleet: Fleet,
        lists: ReadsLists,
        audit: Audit,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._vault, self._directory, self._grants = vault, directory, grants
        self._fleet, self._lists, self._audit = fleet, lists, audit
        self._clock, self._entropy = clock, entropy

    async def target(self, ref: str) -> CarryTarget:
        """The account of this number, uuid or session; else the session itself. Raises NotCarried where a number or a
        uuid is nobody's."""
        account = await self._account(ref)
        if account is None and (ref.isdecimal() or _UUID.fullmatch(ref)):
            raise NotCarried(CarryingRefused("account_not_found", f"There is no account {ref}"))
        return CarryTarget(SessionId(ref) if account is None else account.session_id, account)

    @asynccontextmanager
    async def leaving(self, target: CarryTarget) -> AsyncIterator[CarriedSession]:
        """The session, which is forgotten here when the block ends well, and is as it was when it does not.

        Raises NotCarried.
        """
        session = target.session_id
        if (refused := may_leave((await self._grants.fenced([session])).get(session))) is not None:
            raise NotCarried(refused)
        await self._audit.note("session.export", _subject(target))
        taken = await self._vault.take_out(session, holder=Holder(EXPORTER, self._entropy.token(8).hex()))
        if taken is None:
            raise NotCarried(CarryingRefused("no_login", "The session's login was removed at this moment"))
        grant, carried = taken
        try:
            yield replace(carried, phone=target.account.person if target.account is not None else None)
        except BaseException:
            await self._vault.put_back(grant)
            raise
        stale = await self._vault.forget(grant)
        if stale is not None:
            detail = f"The session was opened here meanwhile, at epoch {stale.current}: throw the export away"
            raise NotCarried(CarryingRefused("session_in_use", detail))
        if target.account is not None:
            await self._directory.set_status(session, SessionStatus.LOGGED_OUT)

    async def bring_in(self, carried: CarriedSession, target: CarryTarget, wanted: LoginImport) -> BroughtIn:
        """Take the login in, for the target's session. Raises NotCarried, and then nothing was changed."""
        session, account = target.session_id, target.account
        holding = (await self._grants.fenced([session])).get(session)
        for refused in (whose(account, carried.phone), may_enter(holding, replace=wanted.replace)):
            if refused is not None:
                raise NotCarried(refused)
        proof = await self._proof(carried, target, wanted)
        place = await self._place(target, wanted)
        if wanted.dry_run:
            return BroughtIn(target, proof.how, place)
        await self._audit.note("session.import", _subject(target), {"proof": proof.how})
        kept = await self._vault.take_in(replace(carried, session_id=session), replace=wanted.replace)
        if kept is not None:
            raise NotCarried(CarryingRefused("login_exists", "A login of this session came in at this moment"))
        if account is not None:
            await self._to_be_started(account, place)
        return BroughtIn(target, proof.how, place)

    async def _account(self, ref: str) -> Account | None:
        if _UUID.fullmatch(ref):
            return await self._directory.account(None, uuid=ref.lower())
        numbered = ref.isdecimal() and len(ref) < 16
        found = await self._directory.account(None, id=int(ref)) if numbered else None
        return found or await self._directory.account(None, session_id=SessionId(ref))

    async def _proof(self, carried: CarriedSession, target: CarryTarget, wanted: LoginImport) -> ProvenStopped:
        """What shows that the login is used by nobody. A gateway's word for that is asked for twice."""
        proven = await self._look(carried, target, wanted)
        if not proven.may_pass:
            return proven
        await self._clock.sleep(WATCHED_S)
        again = await self._look(carried, target, wanted)
        return replace(again, how=f"{again.how}, and said so {WATCHED_S:g} s before")

    async def _look(self, carried: CarriedSession, target: CarryTarget, wanted: LoginImport) -> ProvenStopped:
        """Raises NotCarried while it is used, or while nothing shows that it is not."""
        session, foreign = target.session_id, await self._gateway_of(target.account)
        lists = await self._lists.read_all()
        answered = await self._answered(foreign, session) if foreign is not None else None
        known = OldHolder(wanted.origin, session, carried.phone, foreign, lists, answered, said=wanted.stopped)
        proven = old_holder_stopped(known)
        if isinstance(proven, CarryingRefused):
            raise NotCarried(proven)
        return proven

    async def _gateway_of(self, account: Account | None) -> InstanceUrl | None:
        """Where the account is, if on a gateway that keeps logins to itself. What an instance of ours has is in the
        vault, and says nothing of a program beside it."""
        here = account.placement.instance_url if account is not None else None
        if here is None:
            return None
        can = await self._fleet.capabilities(here, timeout_s=HEALTH_TIMEOUT_S, fresh=True)
        return here if isinstance(can, Fault) or not can.share_credentials else None

    async def _answered(self, url: InstanceUrl, session: SessionId) -> ListedSession | Fault:
        return await self._fleet.driver(url).session(url, session, timeout_s=ANSWER_TIMEOUT_S)

    async def _place(self, target: CarryTarget, wanted: LoginImport) -> InstanceUrl | None:
        """Where the account is from now on; None: nowhere yet."""
        if target.account is None:
            return None
        here = target.account.placement.instance_url
        if wanted.to_url is None:
            if here is not None and (why := await self._cannot_take(here)) is not None:
                detail = f"The account is on {here}, and {why}: name an instance of ours with --to"
                raise NotCarried(CarryingRefused("instance_unfit", detail))
            return here
        if wanted.to_url not in self._fleet.roster.instances:
            raise NotCarried(CarryingRefused("instance_not_found", f"There is no instance {wanted.to_url}"))
        if (why := await self._cannot_take(wanted.to_url)) is not None:
            raise NotCarried(CarryingRefused("instance_unfit", f"{wanted.to_url} cannot have it: {why}"))
        return wanted.to_url

    async def _cannot_take(self, url: InstanceUrl) -> str | None:
        can = await self._fleet.capabilities(url, timeout_s=HEALTH_TIMEOUT_S, fresh=True)
        return f"it does not answer ({can})" if isinstance(can, Fault) else movable.cannot_take(can)

    async def _to_be_started(self, account: Account, place: InstanceUrl | None) -> None:
        """Placed where it is to live, and stopped: `homing accounts start` begins it."""
        placement = account.placement
        if place is not None and place != placement.instance_url:
            why = "its login was brought into the vault"
            change = Rebinding(placement, place, Epoch(placement.epoch + 1), MoveKind.PLACEMENT, why)
            if not await self._directory.rebind([change]):
                detail = (
                    "The login is in the vault, but the account's place changed meanwhile: see"
                    f" `homing accounts show {account.id}`"
                )
                raise NotCarried(CarryingRefused("placement_changed", detail))
        await self._directory.set_status(account.session_id, SessionStatus.STOPPED)


def _subject(target: CarryTarget) -> str:
    return f"account {target.account.id}" if target.account is not None else f"session {target.session_id}"
