"""What becomes of sessions that their instances lost, as it is told to operators."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from homing.decide.starting.restoring import Blocked, LeaveAlone, Present, StartAgain, Vanished, Verdict, Wait
from homing.flows.failover.restoring import RestoreJudgment

_WORDS: dict[type[Verdict], str] = {
    StartAgain: "start",
    Wait: "wait",
    Blocked: "blocked",
    Vanished: "alert",
    LeaveAlone: "leave",
    Present: "present",
}


class MissingView(msgspec.Struct):
    """One session that its instance does not have, or that is none to be started. `verdict` is `start`, `wait`,
    `blocked`, `alert` or `leave`; `after_s` is the soonest that one which waits may be started."""

    account_id: int
    session_id: str
    instance_url: str
    verdict: str
    reason: str
    after_s: float | None


class StartedAllView(msgspec.Struct):
    """How many sessions there were of each verdict, those that are `present` too, and all others by name."""

    counts: dict[str, int]
    sessions: list[MissingView]


def started_all(judged: Sequence[RestoreJudgment]) -> StartedAllView:
    counts = Counter(_WORDS[type(each.verdict)] for each in judged)
    return StartedAllView(dict(counts), [_missing(each) for each in judged if not isinstance(each.verdict, Present)])


def _missing(judged: RestoreJudgment) -> MissingView:
    verdict, session = judged.verdict, judged.recorded
    after_s = round(verdict.after_s, 1) if isinstance(verdict, Wait) else None
    word = _WORDS[type(verdict)]
    return MissingView(session.account_id, session.session_id, judged.url, word, verdict.reason, after_s)
