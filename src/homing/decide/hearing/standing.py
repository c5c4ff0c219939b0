"""How a session stands, from one judgment to the next: a deaf one stays deaf until it is heard of again.

What was tried with it ends the evidence, not the condition: that nothing speaks against it just after a restart does
not mean that it hears.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from homing.model.sessions.hearing import HeardOf, Hearing, HearingRecord, HearingVerdict, Rung, Shows, TriedRung

TRIED_KEPT = timedelta(hours=48)
_TRIED_MAX = 50
_ENDS_EVIDENCE = frozenset({Rung.RESUBSCRIBE, Rung.RECONNECT, Rung.RESTART, Rung.REHOME, Rung.RECYCLE})


def evidence_since(record: HearingRecord) -> datetime | None:
    """Before this moment nothing counts against the session: something was tried, or it was heard of again. None:
    all does."""
    moments = [each.ended_at or each.began_at for each in record.tried if each.rung in _ENDS_EVIDENCE]
    if record.hearing is Hearing.HEARING:
        moments.append(record.since_at)
    return max(moments, default=None)


def stands(before: HearingRecord, verdict: HearingVerdict, known: HeardOf, now: datetime) -> HearingRecord:
    """The record after this judgment; the same one if nothing changed."""
    if before.hearing is Hearing.DEAF:
        if (heard := heard_again(before, known)) is not None:
            return _changed(before, HearingVerdict(Hearing.HEARING, heard), now)
        return before
    if verdict.hearing is before.hearing:
        return before
    return _changed(before, verdict, now)


def heard_again(before: HearingRecord, known: HeardOf) -> str | None:
    """What shows that a deaf session hears, of the kind that was missing; None while nothing does."""
    since, out = before.since_at, known.outgoing
    acknowledged = out.acknowledged_at is not None and out.acknowledged_at > since
    if known.last_at is not None and known.last_at > since:
        if Shows.UNACKNOWLEDGED not in before.shows or acknowledged or Shows.SILENCE in before.shows:
            return "a message has come"
    elif acknowledged and before.shows & {Shows.UNACKNOWLEDGED, Shows.PROBE}:
        return "a message was acknowledged"
    looked = known.looked
    only_looked = before.shows <= {Shows.DEEP_LOOK}
    if only_looked and looked is not None and looked.failed == 0 and looked.at > since:
        return "asked deeper, its gateway says that it works"
    return None


def began(record: HearingRecord, rung: Rung, now: datetime) -> HearingRecord:
    """The record with a rung that is about to be gone up: it counts as used from here on."""
    kept = [each for each in record.tried if now - each.began_at < TRIED_KEPT][-_TRIED_MAX:]
    return replace(record, tried=(*kept, TriedRung(rung, now)))


def ended(record: HearingRecord, rung: Rung, now: datetime, result: str) -> HearingRecord:
    """The record with how the rung that is under way ended."""
    tried = list(record.tried)
    for place in range(len(tried) - 1, -1, -1):
        if tried[place].rung is rung and tried[place].ended_at is None:
            tried[place] = replace(tried[place], ended_at=now, result=result)
            break
    return replace(record, tried=tuple(tried))


def _changed(before: HearingRecord, verdict: HearingVerdict, now: datetime) -> HearingRecord:
    return replace(
        before,
        hearing=verdict.hearing,
        reason=verdict.reason,
        since_at=now,
        against=verdict.against,
        shows=verdict.shows,
    )
