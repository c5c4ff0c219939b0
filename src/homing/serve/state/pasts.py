"""How sessions did of late, by the downtime ledger and the log of moves: for rows that are in sight, not for all."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from homing.decide.knowledge import downtime
from homing.decide.knowledge.heartbeat import begins, heartbeat
from homing.model.fleet import Move, MoveKind, SessionId
from homing.model.sessions.downtime import Outage
from homing.ports import StoreUnavailable
from homing.serve.gateway import Gateway
from homing.serve.state.live import LiveState

_STAYED = frozenset({MoveKind.PLACEMENT, MoveKind.REDISCOVERY})


class Past(msgspec.Struct, frozen=True):
    """`beats` has a letter for each half hour of the last 24 hours: `.` well, `m` moved, `d` in doubt, `x` could not
    send, `-` not there yet. The rest is of this month.
    """

    beats: str = ""
    minutes_down: float = 0.0
    outages: int = 0


UNKNOWN = Past()


async def pasts(gateway: Gateway, live: LiveState, sessions: Sequence[SessionId]) -> Mapping[SessionId, Past]:
    """The past of each of these; none of any while the database is away."""
    now = gateway.clock.now()
    month = downtime.month_of(now)
    try:
        found = await gateway.stores.downtime.of_sessions(sessions, since=min(month.begins, begins(now)))
    except StoreUnavailable:
        return {}
    outages: dict[SessionId, list[Outage]] = defaultdict(list)
    for each in found:
        outages[each.session_id].append(each)
    in_month = [each for each in found if each.ended_at is None or each.ended_at > month.begins]
    down = {each.session_id: each for each in downtime.summed(in_month, {}, month, now)}
    moved = _moved(live.moves, begins(now), frozenset(sessions))
    past = {}
    for session in sessions:
        account, month_of_it = live.book.account(session), down.get(session)
        if account is not None:
            beats = heartbeat(outages[session], moved[session], account.created_at, now)
            minutes, times = (round(month_of_it.down_s / 60, 4), month_of_it.outages) if month_of_it else (0.0, 0)
            past[session] = Past(beats, minutes, times)
    return past


def _moved(moves: Sequence[Move], since: datetime, sessions: frozenset[SessionId]) -> dict[SessionId, list[datetime]]:
    moved: dict[SessionId, list[datetime]] = defaultdict(list)
    for move in moves:
        if move.at >= since and move.session_id in sessions and move.kind not in _STAYED:
            moved[SessionId(move.session_id)].append(move.at)
    return moved
