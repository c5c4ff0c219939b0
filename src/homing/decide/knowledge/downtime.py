"""What does downtime come to, and when is a session down at all?"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from homing.decide.knowledge.standing import GROUPS, Group, Standing
from homing.model.fleet import Epoch, SessionStatus
from homing.model.ids import NEVER_GRANTED, SessionId
from homing.model.sessions.downtime import Downtime, Outage


@dataclass(frozen=True, slots=True)
class Month:
    """A month of UTC, from its first moment to that of the next one."""

    begins: datetime
    ends: datetime

    def __str__(self) -> str:
        return f"{self.begins:%Y-%m}"


def month_of(at: datetime) -> Month:
    """The month that a moment is in."""
    utc = at.astimezone(UTC)
    begins = datetime(utc.year, utc.month, 1, tzinfo=UTC)
    following = (utc.year + 1, 1) if utc.month == 12 else (utc.year, utc.month + 1)
    return Month(begins, datetime(*following, 1, tzinfo=UTC))


def month_named(text: str) -> Month:
    """The month that is written like `2026-01`. Raises ValueError with a sentence."""
    found = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])", text)
    if found is None or found[1] in ("0000", "9999"):
        raise ValueError(f"{text[:40]!r} is no month; write it as 2026-01")
    return month_of(datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC))


def reason_down(standing: Standing, status: SessionStatus, *, placed: bool, epoch: Epoch) -> str | None:
    """Why a session counts as down; None if it does not.

    Who stopped it wanted so, and one that was never up has nothing to fall from: it waits to be linked or placed.
    """
    if GROUPS[standing] in (Group.CAN_SEND, Group.STOPPED) or status is SessionStatus.PAIRING:
        return None
    return None if not placed and epoch == NEVER_GRANTED else standing.value


def summed(
    outages: Iterable[Outage], failed_sends: Mapping[SessionId, int], month: Month, now: datetime
) -> Sequence[Downtime]:
    """What the month came to for each session that was down in it, in the order of the accounts.

    What lasts still counts up to now.
    """
    of: dict[SessionId, list[Outage]] = defaultdict(list)
    for outage in outages:
        of[outage.session_id].append(outage)
    found = [_sum(sorted(own, key=lambda each: each.began_at), month, now) for own in of.values()]
    counted = [
        Downtime(
            each.session_id,
            each.account_id,
            each.workspace_id,
            each.down_s,
            each.outages,
            each.repairs_s,
            each.reasons_s,
            failed_sends.get(each.session_id, 0),
            each.down_now,
        )
        for each in found
    ]
    return sorted(counted, key=lambda each: each.account_id)


def _sum(segments: Sequence[Outage], month: Month, now: datetime) -> Downtime:
    reasons: dict[str, float] = defaultdict(float)
    repairs: list[float] = []
    outages, began = 0, segments[0].began_at
    until = min(month.ends, now)
    for place, segment in enumerate(segments):
        ended = segment.ended_at or now
        reasons[segment.reason] += max(0.0, (min(ended, until) - max(segment.began_at, month.begins)).total_seconds())
        if not segment.continues:
            began = segment.began_at
            outages += month.begins <= began < month.ends
        goes_on = place + 1 < len(segments) and segments[place + 1].continues
        if segment.ended_at is not None and not goes_on and month.begins <= segment.ended_at < month.ends:
            repairs.append((segment.ended_at - began).total_seconds())
    first = segments[0]
    return Downtime(
        first.session_id,
        first.account_id,
        first.workspace_id,
        sum(reasons.values()),
        outages,
        tuple(repairs),
        {reason: seconds for reason, seconds in reasons.items() if seconds},
        0,
        segments[-1].ended_at is None,
    )
