"""What is known now of a session, and not only what was once?

A session that was connected when it was last seen is connected as long as somebody would have noticed otherwise: its
instance can be reached, and the periodic sync has not missed it. After that nobody knows.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from homing.model.fleet import Account, InstanceUrl, SessionStatus

KNOWN_FOR = timedelta(minutes=15)
"""Three rounds of the sync, which sees each session every five minutes."""


def seen_at(account: Account) -> datetime:
    """When anything was last known of its session: it was verified, or its status was told."""
    seen = [at for at in (account.last_verified_at, account.status_at) if at is not None]
    return max(seen, default=account.created_at)


def status_now(account: Account, now: datetime, away: Collection[InstanceUrl]) -> tuple[SessionStatus, str | None]:
    """The status to show, and why it is not the one that was last seen. `away`: instances that cannot be reached."""
    if account.status is not SessionStatus.CONNECTED:
        return account.status, None
    age_s = max(0.0, (now - seen_at(account)).total_seconds())
    if account.placement.instance_url in away:
        reason = f"it was connected {age_s:.0f} s ago, and {account.placement.instance_url} cannot be reached now"
        return SessionStatus.UNKNOWN, reason
    if age_s > KNOWN_FOR.total_seconds():
        return SessionStatus.UNKNOWN, f"it was connected {age_s:.0f} s ago, and was not seen since"
    return SessionStatus.CONNECTED, None
