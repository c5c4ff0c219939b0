"""Deleting accounts, so that no session runs on that belongs to nobody.

What the record says of the session may be old: its instance is asked at this moment, and what runs there is stopped
first. A session that can send is somebody's working line: that takes insisting.
"""

from homing.flows.background.alerts import AlertBook
from homing.flows.discovery.listings import Lists
from homing.flows.operations.accounts import instance_fault
from homing.model.alerts import Subject
from homing.model.errors import Code, Problem
from homing.model.fleet import Account, InstanceMode, InstanceUrl, PlacementState, SessionList, SessionStatus
from homing.model.sends.faults import Fault, Phase
from homing.ports import Directory, Fleet, SessionStart

CALL_TIMEOUT_S = 15.0


class Deleting:
    """Deletes accounts whose sessions run nowhere, and stops those that do."""

    def __init__(self, directory: Directory, fleet: Fleet, lists: Lists, alerts: AlertBook) -> None:
        self._directory, self._fleet, self._lists = directory, fleet, lists
        self._alerts = alerts

    async def delete(self, account: Account, *, force: bool = False) -> None:
        """Forget the account. Raises Problem while its session runs and is not stopped, or nobody knows whether."""
        url = account.placement.instance_url
        if account.placement.state is PlacementState.MOVING:
            raise _in_use(account, f"is on its way to {url}; try again when it has arrived")
        if url is None:
            await self._see_that_it_is_nowhere(account)
        elif self._is_observed(url):
            if not force:
                raise _in_use(account, f"is on {url}, which is only observed: it runs on there; insist with force")
        else:
            await self._stopped(account, url, force=force)
        await self._directory.delete_account(account)
        self._alerts.forget(Subject.session(account.session_id))

    async def _stopped(self, account: Account, url: InstanceUrl, *, force: bool) -> None:
        driver = self._fleet.driver(url)
        row = await driver.session(url, account.session_id, timeout_s=CALL_TIMEOUT_S)
        if isinstance(row, Fault):
            if row.phase is Phase.SESSION_NOT_FOUND:
                return
            if row.phase is Phase.NOT_ATTEMPTED:
                raise instance_fault(url, row)
            if force and self._has_exited(url):
                return
            raise _in_use(
                account, f"cannot be asked after on {url} ({row}), so it may run there; bring {url} back first"
            )
        if row.status is SessionStatus.STOPPED:
            return
        if row.can_send and not force:
            raise _in_use(account, f"is connected on {url}; stop it or log it out first, or insist with force")
        start = SessionStart(account.session_id, account.workspace_id, account.id, account.placement.epoch)
        fault = await driver.stop(url, start, timeout_s=CALL_TIMEOUT_S)
        if fault is not None and fault.phase is not Phase.SESSION_NOT_FOUND:
            raise _in_use(account, f"could not be stopped on {url}: {fault.category}")

    async def _see_that_it_is_nowhere(self, account: Account) -> None:
        """By the lists that can be read: it was never known to be on any of the others."""
        listings = await self._lists.read_all()
        holders = [
            url
            for url, listing in listings.items()
            if isinstance(listing, SessionList) and account.session_id in listing.sessions
        ]
        if holders:
            raise _in_use(account, f"is listed by {' and '.join(sorted(holders))}; stop it there first")

    def _has_exited(self, url: InstanceUrl) -> bool:
        """Whether no process of it runs, by somebody's word, or it is no instance any more."""
        known = self._fleet.roster.instances.get(url)
        return known is None or known.exited_at is not None

    def _is_observed(self, url: InstanceUrl) -> bool:
        known = self._fleet.roster.instances.get(url)
        return known is not None and known.mode is InstanceMode.OBSERVE


def _in_use(account: Account, why: str) -> Problem:
    return Problem(Code.INSTANCE_IN_USE, f"The session of account {account.uuid} {why}")
