"""What comes next for an instance that is to be started anew by whoever supervises it?

It is emptied, its supervisor is told, a new process is waited for, and then it takes sessions again; one instance after
the other. Whether the process that answers is a new one is seen by its incarnation; where there is none, because its
address was away in between, or because it says that it runs for less long than its supervisor knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from homing.model.fleet import InstanceUrl
from homing.model.instances.recycling import Recycle, RecycleState

COMES_UP_WITHIN = timedelta(hours=1)
LABEL = "recycle"
"""An instance's label: `no` keeps it from being recycled by itself, `gap` lets sessions be away that cannot leave."""


@dataclass(frozen=True, slots=True)
class SeenInstance:
    """An instance as it is now: whether it answers and is well, which boot, and what is left on it."""

    healthy: bool
    incarnation: str | None = None
    uptime_s: float | None = None
    remaining: int = 0
    stuck: int = 0


@dataclass(frozen=True, slots=True)
class Empty:
    """Begin to empty it."""

    after: Recycle


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell its supervisor that it can be started anew."""

    after: Recycle


@dataclass(frozen=True, slots=True)
class Fill:
    """A new process is up: let it take sessions again."""

    after: Recycle


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It cannot go on. `fill`: the instance takes sessions again all the same."""

    after: Recycle
    fill: bool


@dataclass(frozen=True, slots=True)
class KeepWaiting:
    """Nothing to do yet; what was seen is remembered."""

    after: Recycle
    reason: str


RecycleStep = Empty | Tell | Fill | GiveUp | KeepWaiting


def next_step(now_is: Recycle, seen: SeenInstance, now: datetime, *, is_first: bool) -> RecycleStep:
    """The next step of one that is not over; `is_first`: its turn has come."""
    match now_is.state:
        case RecycleState.ASKED:
            if not is_first:
                return KeepWaiting(now_is, "another instance is started anew first")
            return Empty(replace(now_is, state=RecycleState.EMPTYING, incarnation=seen.incarnation))
        case RecycleState.EMPTYING:
            return _emptying(now_is, seen, now)
        case RecycleState.WAITING:
            return _waiting(now_is, seen, now)
        case RecycleState.DONE | RecycleState.FAILED:
            return KeepWaiting(now_is, "it is over")


def _emptying(now_is: Recycle, seen: SeenInstance, now: datetime) -> RecycleStep:
    if seen.remaining > seen.stuck:
        return KeepWaiting(now_is, f"{seen.remaining - seen.stuck} sessions are on their way elsewhere")
    if seen.stuck and not now_is.with_gap:
        why = f"{seen.stuck} sessions cannot leave it, and may not be away"
        return GiveUp(_over(now_is, RecycleState.FAILED, why, now), fill=True)
    return Tell(replace(now_is, state=RecycleState.WAITING, told_at=now, stayed=seen.stuck))


def _waiting(now_is: Recycle, seen: SeenInstance, now: datetime) -> RecycleStep:
    assert now_is.told_at is not None
    since = now - now_is.told_at
    if seen.healthy and _is_new(now_is, seen, since):
        return Fill(_over(now_is, RecycleState.DONE, "a new process is up", now))
    if since >= COMES_UP_WITHIN:
        why = f"no new process has come up within {COMES_UP_WITHIN.total_seconds() / 60:.0f} min; it is still draining"
        return GiveUp(_over(now_is, RecycleState.FAILED, why, now), fill=False)
    return KeepWaiting(replace(now_is, was_away=now_is.was_away or not seen.healthy), "its new process is waited for")


def _is_new(now_is: Recycle, seen: SeenInstance, since: timedelta) -> bool:
    if now_is.incarnation is not None:
        return seen.incarnation is not None and seen.incarnation != now_is.incarnation
    # No margin: a process may be back within a second of that word, and one from before it is older by far.
    is_young = seen.uptime_s is not None and seen.uptime_s < since.total_seconds()
    return now_is.was_away or is_young


def failed(now_is: Recycle, why: str, now: datetime) -> Recycle:
    """The same, given up for this reason."""
    return _over(now_is, RecycleState.FAILED, why, now)


def _over(now_is: Recycle, state: RecycleState, result: str, now: datetime) -> Recycle:
    return replace(now_is, state=state, ended_at=now, result=result)


def may_by_itself(labels: Mapping[str, str]) -> bool:
    """Whether an instance with these labels is started anew without a person asking."""
    return labels.get(LABEL) not in ("no", "false")


def with_gap(labels: Mapping[str, str]) -> bool:
    """Whether its sessions may be away where they cannot leave."""
    return labels.get(LABEL) == "gap"


def too_old(uptimes_s: Mapping[InstanceUrl, float | None], *, after_h: float) -> list[InstanceUrl]:
    """The instances whose process runs for longer than that, the oldest first. Those that do not tell are left out."""
    known = {url: uptime_s for url, uptime_s in uptimes_s.items() if uptime_s is not None}
    old = [url for url, uptime_s in known.items() if uptime_s > after_h * 3600]
    return sorted(old, key=lambda url: -known[url])
