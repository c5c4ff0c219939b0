"""How surely is a message that went out acknowledged, by those before it, and which of them are remembered?

Only those that lie before an acknowledgement count: while nothing is acknowledged any more, that must not come to look
usual.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

KEPT = 16
SPACED = timedelta(seconds=30)
"""Of messages that go out closer to each other one is remembered: what befalls one befalls the other."""
SETTLED_AT_ONCE = 3
"""So many are counted at one acknowledgement, however many went out before it: most were sent while it was deaf."""
SETTLED_MIN = 5
COUNTED_MAX = 1_000
"""Counts are halved beyond, so that what was long ago fades."""


def with_sent(pending: Sequence[datetime], at: datetime) -> tuple[datetime, ...]:
    """The moments of unacknowledged messages with one more, the newest ones."""
    if pending and at - pending[-1] < SPACED:
        return tuple(pending)
    return (*pending, at)[-KEPT:]


def share(settled: int, acknowledged: int, of_family: float | None = None) -> float | None:
    """How many of `settled` messages were acknowledged, as a share that few of them do not make certain.

    Where too few are known it is `of_family`, that of other sessions of the same gateway family; None: not known.
    """
    return min((acknowledged + 9) / (settled + 10), 1.0) if settled >= SETTLED_MIN else of_family


def faded(settled: int, acknowledged: int) -> tuple[int, int]:
    """The counts, halved where they are large."""
    while settled > COUNTED_MAX or acknowledged > COUNTED_MAX:
        settled, acknowledged = settled // 2, acknowledged // 2
    return settled, acknowledged
