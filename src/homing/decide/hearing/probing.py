"""Is a session to be sent a message to itself, to see whether it is acknowledged?"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from homing.model.fleet import InstanceMode
from homing.model.sessions.hearing import Hearing

APART = timedelta(minutes=10)
A_DAY = timedelta(hours=24)
KEPT = 24


def is_due(hearing: Hearing, probes: Sequence[datetime], now: datetime, *, mode: InstanceMode, per_day: int) -> bool:
    """Only of one that is doubted, so often a day at most, and with time for each to be acknowledged."""
    if hearing is not Hearing.DOUBTFUL or mode is not InstanceMode.ROUTE:
        return False
    lately = [at for at in probes if now - at < A_DAY]
    return len(lately) < per_day and (not lately or now - lately[-1] >= APART)


def with_probe(probes: Sequence[datetime], at: datetime) -> tuple[datetime, ...]:
    """The moments that are remembered, with one more."""
    return (*probes, at)[-KEPT:]
