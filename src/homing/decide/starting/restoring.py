"""Which sessions that an instance does not have may be started on it, which have to wait, and which must not be?

For gateways that hold no lease and keep their logins on a disk: nothing there refuses a second start of one login. The
Node service starts a second browser beside the first one, whatever it has open already, and WhatsApp then knows two
clients of one device. It restores in sequence what it was handed out at its boot, so that a session which it will
restore soon is not in its list yet. Both as recorded from ltmoerdani/blazz 5d71136, whatsapp-service.

So a session is started only if everything says that it is open nowhere and that nobody is about to open it. What
cannot be known counts against it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from homing.decide.moves import rules
from homing.model.fleet import Instance, InstanceMode, InstanceUrl, PlacementState, SessionId, SessionStatus
from homing.model.instances.restoring import Answered, Look, Looks, Offered, Recorded, Silent
from homing.model.sends.faults import Fault, Phase

UNANSWERED_LOOK_S = 5.0
_ANSWERED = frozenset({
    Phase.SERVER_ERROR, Phase.REQUEST_REJECTED, Phase.SESSION_NOT_READY, Phase.SESSION_LOGGED_OUT, Phase.UNAUTHORISED,
    Phase.UNLICENSED, Phase.OUTCOME_UNKNOWN,
    Phase.THROTTLED, Phase.PATH_NOT_FOUND, Phase.SESSION_NOT_FOUND, Phase.EPOCH_STALE, Phase.MISDIRECTED,
})  # fmt: skip
"""A start that was answered so has ended."""


@dataclass(frozen=True, slots=True)
class RestoringPolicy:
    """Times in seconds.

    `restore_s` is what an instance may take to restore one session. `settled_s` is for how long a process that just
    began is left alone: the Node service asks for its sessions 0, 1 and 3 s after its start. A start that did not
    bring the session up is repeated after `again_after_s`, one without an answer not before `unanswered_s`: the Node
    service itself gives up a start after 60 s (middleware/TimeoutHandler.js). `skew_s` is what clocks may be off.
    """

    restore_s: float = 60.0
    settled_s: float = 10.0
    again_after_s: float = 120.0
    unanswered_s: float = 75.0
    skew_s: float = 5.0
    starts_at_once: int = 2


@dataclass(frozen=True, slots=True)
class Present:
    """Its instance has it."""

    reason: str


@dataclass(frozen=True, slots=True)
class LeaveAlone:
    """It is none of those that are started by themselves."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """It is missing, and may be started once this has passed. `after_s`: the soonest that may be."""

    after_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """It is missing, and somebody who may have it cannot be asked: no time alone unblocks it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Vanished:
    """It is gone from a process that lives on: somebody ended it there, or it broke. A person has to look."""

    reason: str


@dataclass(frozen=True, slots=True)
class StartAgain:
    """It is open nowhere, and nobody is about to open it."""

    reason: str


Verdict = Present | LeaveAlone | Wait | Blocked | Vanished | StartAgain


def judge(
    session: Recorded, home: Instance, looks: Looks, placed: Collection[Recorded], policy: RestoringPolicy
) -> Verdict:
    """What becomes of a session that is placed on `home`.

    `looks` are what all that could hold it (see `could_hold`) just said, `placed` all that is recorded on `home`.
    """
    if (kept := not_ours_to_start(session, home)) is not None:
        return LeaveAlone(kept)
    look = looks.get(home.url)
    if not isinstance(look, Answered):
        why = look.reason if look is not None else "it was not asked"
        return LeaveAlone(f"{home.url} gave no list ({why}): whether it has it is not known")
    if session.session_id in look.sessions:
        return Present(f"{home.url} has it")
    if (rival := _listed_elsewhere(session.session_id, home.url, looks)) is not None:
        return LeaveAlone(f"{home.url} does not have it, and {rival} does: where it belongs is settled by a sync")
    began = _began_anew(session, look, placed, policy)
    if began is None:
        return Vanished(
            f"it is gone from {home.url}, whose process runs on: it ended there, or somebody stopped it there"
        )
    return _startable(session, look, looks, placed, began, policy)


def not_ours_to_start(session: Recorded, home: Instance) -> str | None:
    """Why a session is not one to be started by itself, wherever it is seen; None if it is."""
    if session.in_vault:
        return "its login is in the vault: it is brought back by its leases"
    if home.mode is InstanceMode.OBSERVE:
        return f"{home.url} is only observed: nothing is started there"
    if session.placement.state is PlacementState.MOVING:
        return "it is on its way already"
    if (why := rules.not_running(session.status)) is not None:
        return why
    if session.seen_ago_s is None:
        return "it was never connected: its phone has to be linked first"
    return None


def could_hold(home: Instance, instances: Iterable[Instance], leased: Collection[InstanceUrl]) -> list[InstanceUrl]:
    """Every instance that may have opened the logins of `home`: of the same storage; without one, all of its family.

    Those that hold a lease open the vault and no disk. `home` comes first.
    """
    others = [each for each in instances if each.url != home.url and each.url not in leased]
    if home.storage is not None:
        sharing = [each.url for each in others if each.storage == home.storage]
    else:
        sharing = [each.url for each in others if each.driver == home.driver]
    return [home.url, *sharing]


def may_open(session: Recorded, target: InstanceUrl, looks: Looks, policy: RestoringPolicy, *, first: bool) -> Verdict:
    """The last word before a session that is on its way to `target` is opened there.

    `first`: it was granted in this very attempt, so that nobody can have told `target` to open it. Otherwise whoever
    had it before us may have, and the answer may be lost.
    """
    look = looks.get(target)
    if not isinstance(look, Answered):
        return Blocked(f"{target} gave no list ({'it was not asked' if look is None else look.reason})")
    if session.session_id in look.sessions:
        return Present(f"{target} has it")
    if (rival := _listed_elsewhere(session.session_id, target, looks)) is not None:
        return LeaveAlone(f"{rival} has it")
    if (wait := _its_queue(session, look, looks, (), policy)) is not None:
        return wait
    if (blocked := _blocked(looks)) is not None:
        return blocked
    ago_s = session.started_ago_s
    if not first and ago_s is not None and ago_s < policy.unanswered_s and not _younger(look, ago_s, policy):
        left_s = policy.unanswered_s - ago_s
        return Wait(left_s, f"{target} may have been told to start it, and has not answered yet")
    return StartAgain(f"nobody of {len(looks)} that could hold it lists it")


def turn_in_queue(
    session: Recorded, look: Answered, placed: Collection[Recorded], policy: RestoringPolicy
) -> Wait | None:
    """Why an operator's start of a session that `look` does not list has to wait; None if it may go on.

    What comes after it in the same queue and is listed already shows that its turn is over.
    """
    if session.session_id in look.sessions:
        return None
    if any(_restored_after(each, session, look, policy) for each in placed):
        return None
    return _its_queue(session, look, {look.url: look}, placed, policy)


def _restored_after(each: Recorded, session: Recorded, look: Answered, policy: RestoringPolicy) -> bool:
    mine, its = session.offered, each.offered
    if mine is None or its is None or its.to_url != mine.to_url or its.place <= mine.place:
        return False
    return abs(its.ago_s - mine.ago_s) < policy.skew_s and each.session_id in look.sessions


def after_failure(session: SessionId, look: Look, fault: Fault) -> Present | Wait | LeaveAlone:
    """What a start that went wrong came to, by the list read after it.

    A gateway that answered that it could not will not open it later; one that did not answer may be at it still.
    """
    url = look.url
    if isinstance(look, Answered) and session in look.sessions:
        return Present(f"{url} has it, whatever became of its answer ({fault})")
    if isinstance(look, Answered) and fault.phase in _ANSWERED:
        return LeaveAlone(f"{url} could not open it: {fault}")
    return Wait(UNANSWERED_LOOK_S, f"{url} did not answer whether it opened it ({fault}), and does not list it yet")


# --- what speaks against a start ------------------------------------------------------------------------------


def _startable(
    session: Recorded,
    look: Answered,
    looks: Looks,
    placed: Collection[Recorded],
    began: str,
    policy: RestoringPolicy,
) -> Verdict:
    for wait in (
        _settling(look, policy),
        _just_started(session, look, policy),
        _its_queue(session, look, looks, placed, policy),
        _its_own_queue(look, placed, policy),
    ):
        if wait is not None:
            return wait
    return _blocked(looks) or StartAgain(began)


def _listed_elsewhere(session: SessionId, home: InstanceUrl, looks: Looks) -> InstanceUrl | None:
    listed = (url for url, look in looks.items() if isinstance(look, Answered) and session in look.sessions)
    return next((url for url in listed if url != home), None)


def _began_anew(session: Recorded, look: Answered, placed: Collection[Recorded], policy: RestoringPolicy) -> str | None:
    """What shows that the process is another one than that which had the session; None if nothing does."""
    seen_ago_s, url = session.seen_ago_s, look.url
    assert seen_ago_s is not None
    if session.started_ago_s is not None and not _seen_since(session, session.started_ago_s):
        return f"{url} was told to start it, and it did not come up"
    emptied = not any(each.session_id in look.sessions for each in placed)
    if look.uptime_s is None:
        if look.refused_ago_s is not None and look.refused_ago_s < seen_ago_s:
            return f"{url} refused connections after it was last seen there"
        return f"{url} lists none of the {len(placed)} sessions that are placed there" if emptied else None
    if look.uptime_s < seen_ago_s:
        return f"the process of {url} began after it was last seen there"
    nearly = look.uptime_s < seen_ago_s + policy.skew_s
    if emptied and (nearly or len(placed) > 1):
        return f"{url} lists none of the {len(placed)} sessions that are placed there"
    return None


def _settling(look: Answered, policy: RestoringPolicy) -> Wait | None:
    if look.uptime_s is None or look.uptime_s >= policy.settled_s:
        return None
    return Wait(policy.settled_s - look.uptime_s, f"{look.url} has only just begun, and may ask for its sessions")


def _just_started(session: Recorded, look: Answered, policy: RestoringPolicy) -> Wait | None:
    ago_s = session.started_ago_s
    if ago_s is None or ago_s >= policy.again_after_s or _younger(look, ago_s, policy) or _seen_since(session, ago_s):
        return None
    return Wait(policy.again_after_s - ago_s, f"{look.url} was told to start it already, and may be at it")


def _its_queue(
    session: Recorded, look: Answered, looks: Looks, placed: Collection[Recorded], policy: RestoringPolicy
) -> Wait | None:
    """Whether a process that was handed the session may come to it yet."""
    offered = session.offered
    if offered is None or not _still_runs(offered, looks.get(offered.to_url), policy):
        return None
    left_s = policy.restore_s * offered.place - offered.ago_s
    told = f"{offered.to_url} was handed it to restore, as number {offered.place} of its queue"
    if left_s > 0:
        return Wait(left_s, told)
    under_way = (each for each in placed if _restores_before(each, offered, look, policy))
    busy = next(under_way, None)
    if busy is not None:
        return Wait(policy.restore_s, f"{told}, and is still busy with {busy.session_id}")
    return None


def _restores_before(each: Recorded, offered: Offered, look: Answered, policy: RestoringPolicy) -> bool:
    """Whether this one, earlier in the same queue, is still coming up."""
    mine = each.offered
    if mine is None or mine.to_url != offered.to_url or mine.place >= offered.place:
        return False
    together = abs(mine.ago_s - offered.ago_s) < policy.skew_s
    coming_up = look.sessions.get(each.session_id, SessionStatus.CONNECTED) is not SessionStatus.CONNECTED
    return together and coming_up and (each.seen_ago_s is None or each.seen_ago_s > offered.ago_s)


def _its_own_queue(look: Answered, placed: Collection[Recorded], policy: RestoringPolicy) -> Wait | None:
    """A process that opened sessions which nobody of us gave it restores by itself: how far it is nobody knows."""
    if look.uptime_s is None or look.uptime_s >= policy.restore_s * len(placed):
        return None
    listed = (each for each in placed if each.session_id in look.sessions)
    unasked = next((each for each in listed if not _given(each, look, policy)), None)
    if unasked is None:
        return None
    left_s = policy.restore_s * len(placed) - look.uptime_s
    return Wait(left_s, f"{look.url} restores sessions that Homing did not hand it, such as {unasked.session_id}")


def _given(each: Recorded, look: Answered, policy: RestoringPolicy) -> bool:
    """Whether this very process was handed the session, or told to start it."""
    assert look.uptime_s is not None
    since_s = look.uptime_s + policy.skew_s
    handed = each.offered is not None and each.offered.to_url == look.url and each.offered.ago_s < since_s
    return handed or (each.started_ago_s is not None and each.started_ago_s < since_s)


def _still_runs(offered: Offered, look: Look | None, policy: RestoringPolicy) -> bool:
    """Whether the process that was handed a session may still be the one at that address."""
    match look:
        case Answered(uptime_s=uptime_s):
            return uptime_s is None or offered.ago_s <= uptime_s + policy.skew_s
        case Silent(exited=exited):
            return not exited
        case None:
            return False


def _seen_since(session: Recorded, ago_s: float) -> bool:
    """Whether what was begun so long ago came up: it could send afterwards."""
    return session.seen_ago_s is not None and session.seen_ago_s < ago_s


def _younger(look: Answered, ago_s: float, policy: RestoringPolicy) -> bool:
    """Whether the process certainly began after that."""
    return look.uptime_s is not None and look.uptime_s + policy.skew_s < ago_s


def _blocked(looks: Looks) -> Blocked | None:
    silent = [look for look in looks.values() if isinstance(look, Silent) and not look.exited]
    if not silent:
        return None
    named = "; ".join(f"{look.url} gave no list ({look.reason})" for look in silent[:3])
    more = f"; and {len(silent) - 3} more" if len(silent) > 3 else ""
    return Blocked(f"whether another instance has it cannot be asked: {named}{more}")


def is_opening(session: Recorded, look: Look, policy: RestoringPolicy) -> bool:
    """Whether its instance is busy with opening it, or soon will be."""
    if session.placement.state is PlacementState.MOVING:
        return True
    if not isinstance(look, Answered):
        return False
    status, ago_s = look.sessions.get(session.session_id), session.started_ago_s
    recently = ago_s is not None and ago_s < policy.restore_s
    return recently and status in (SessionStatus.STARTING, SessionStatus.PAIRING, SessionStatus.UNKNOWN)


def came_up(session: Recorded, look: Look) -> bool:
    """Whether it can send there, and nobody has noted that since it was started."""
    if not isinstance(look, Answered) or look.sessions.get(session.session_id) is not SessionStatus.CONNECTED:
        return False
    if session.seen_ago_s is None:
        return True
    return session.started_ago_s is not None and session.started_ago_s < session.seen_ago_s


# --- how many at a time ---------------------------------------------------------------------------------------


def in_turn(verdicts: Mapping[SessionId, Verdict], busy: int, policy: RestoringPolicy) -> dict[SessionId, Verdict]:
    """The verdicts of one instance's sessions, in the order given, with no more starts than it may open at once.

    `busy` is how many it is opening already.
    """
    free = max(0, policy.starts_at_once - busy)
    turned: dict[SessionId, Verdict] = {}
    for session, verdict in verdicts.items():
        if isinstance(verdict, StartAgain):
            free -= 1
            if free < 0:
                verdict = Wait(0.0, f"its turn has not come: {policy.starts_at_once} are opened there at a time")
        turned[session] = verdict
    return turned
