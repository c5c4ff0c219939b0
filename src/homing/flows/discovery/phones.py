"""The phone that instances report for sessions, held against the accounts'.

A session that was linked with somebody else's phone would send in that person's name. Until an operator accepts the
phone, nothing is sent through it. Where the session is does not follow from any phone.
"""

from collections.abc import Iterable, Mapping

import structlog

from homing.decide.knowledge import identity
from homing.flows.background.alerts import AlertBook
from homing.model.alerts import AlertKind, Subject
from homing.model.errors import Code, Problem
from homing.model.fleet import Account, InstanceUrl, Placed, SessionId, SessionList
from homing.ports import Directory

log = structlog.get_logger("homing")

_AT_ONCE = 1_000
STANDING_MAX = 10_000

Reported = Mapping[SessionId, tuple[InstanceUrl, str]]
"""By session, which instance reported which phone."""


class Identity:
    """Notes strangers' phones, and when they are gone."""

    def __init__(self, directory: Directory, alerts: AlertBook) -> None:
        self._directory, self._alerts = directory, alerts

    async def standing(self) -> frozenset[SessionId]:
        """The sessions for which a stranger's phone stands."""
        return frozenset(await self._directory.mismatched(limit=STANDING_MAX))

    async def compare(self, reported: Reported) -> None:
        """Reports of instances: those of the one that a session is placed on count."""
        sessions = sorted(reported)
        for start in range(0, len(sessions), _AT_ONCE):
            for account in await self._directory.accounts_of(sessions[start : start + _AT_ONCE]):
                url, phone = reported[account.session_id]
                if url == account.placement.instance_url:
                    await self.reported(account, phone)

    async def reported(self, account: Account, phone: str | None) -> None:
        """Its own instance reports this phone for the account's session."""
        stands = identity.mismatch(account, phone)
        if stands != account.mismatched_phone:
            await self._directory.set_mismatch(account, stands)
        self.tell(account, stands)

    async def accept(self, account: Account) -> Account:
        """The reported phone is the account's from now on. Raises Problem, and NameTaken if another account has it."""
        phone = account.mismatched_phone
        if phone is None:
            detail = f"No other phone is reported for account {account.uuid}: there is nothing to accept"
            raise Problem(Code.NOTHING_TO_ACCEPT, detail)
        if not await self._directory.accept_phone(account, phone):
            detail = f"What is reported for account {account.uuid} has changed; look at it again"
            raise Problem(Code.NOTHING_TO_ACCEPT, detail)
        log.warning("Phone accepted", account_id=account.id, phone=phone, instead_of=account.phone)
        self.tell(account, None)
        return await self._directory.account(account.workspace_id, uuid=account.uuid) or account

    def tell(self, account: Account, stands: str | None) -> None:
        """Raise the alert, or resolve it."""
        subject = Subject.session(account.session_id)
        if stands is None:
            self._alerts.resolved(AlertKind.PHONE_MISMATCH, subject)
            return
        reason = f"{account.placement.instance_url} reports the phone {stands}, and the account's is {account.phone}"
        self._alerts.raised(AlertKind.PHONE_MISMATCH, subject, reason, account_id=account.id)


def worth_a_look(placed: Iterable[Placed], listing: SessionList, standing: frozenset[SessionId]) -> Reported:
    """The phones of a list that are not the accounts' own digits, or where another one stood until now."""
    rows = ((each, listing.sessions.get(each.session_id)) for each in placed)
    return {
        each.session_id: (listing.instance_url, row.phone)
        for each, row in rows
        if row is not None and row.phone and (each.session_id in standing or identity.differs(each.phone, row.phone))
    }
