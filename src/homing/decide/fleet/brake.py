"""When everything looks sick, distrust yourself: are so many instances in doubt at once that nothing may be moved?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from homing.model.fleet import InstanceUrl
from homing.model.instances.health import HealthState


@dataclass(frozen=True, slots=True)
class JudgedInstance:
    """One instance as it was judged. `emptied`: nothing is placed on it, so that nothing depends on it.

    `unwell_since_s` is when it was last healthy; None while it is.
    """

    url: InstanceUrl
    state: HealthState
    unwell_since_s: float | None
    emptied: bool = False
    engine_version: str | None = None


@dataclass(frozen=True, slots=True)
class BrakePolicy:
    """How many are too many, how fast, and how long it must be over before moves go on. Times in seconds."""

    share: float = 0.5
    at_least: int = 3
    within_s: float = 30.0
    calm_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Clear:
    """Moves may go on."""

    reason: str


@dataclass(frozen=True, slots=True)
class Engaged:
    """Nothing is moved. `held_at_s` is when `why` was last true, and `calm_s` for how long it has not been since."""

    why: str
    since_s: float
    held_at_s: float
    calm_s: float = 0.0

    @property
    def reason(self) -> str:
        return f"{self.why} (not so for {self.calm_s:.0f} s)" if self.calm_s else self.why


Brake = Clear | Engaged

OPEN = Clear("nothing was looked at yet")


def brake(seen: Sequence[JudgedInstance], now_s: float, policy: BrakePolicy, before: Brake = OPEN) -> Brake:
    """Whether moves must stop.

    It engages by how many fell ill within a short time. Once engaged it holds for as long as so many *are* ill, however
    long ago they fell: that half the fleet is still gone after the time is over is no reason to begin.
    """
    counted = [each for each in seen if not each.emptied]
    engaged = isinstance(before, Engaged)
    ill = [each for each in counted if _ill(each, now_s, policy, however_long=engaged)]
    why = _too_many(ill, counted, policy) or _one_version(ill, counted, policy)
    if why is not None:
        return Engaged(why, before.since_s if isinstance(before, Engaged) else now_s, now_s)
    if isinstance(before, Engaged) and now_s - before.held_at_s < policy.calm_s:
        return replace(before, calm_s=now_s - before.held_at_s)
    return Clear(_calm(ill, counted))


def _ill(seen: JudgedInstance, now_s: float, policy: BrakePolicy, *, however_long: bool) -> bool:
    if seen.state is HealthState.HEALTHY:
        return False
    return however_long or seen.unwell_since_s is None or now_s - seen.unwell_since_s <= policy.within_s


def _too_many(ill: Sequence[JudgedInstance], counted: Sequence[JudgedInstance], policy: BrakePolicy) -> str | None:
    if len(ill) < policy.at_least or len(ill) <= policy.share * len(counted):
        return None
    return (
        f"{len(ill)} of {len(counted)} instances are suspect or down at once:"
        " more likely it is us, or something they share"
    )


def _one_version(ill: Sequence[JudgedInstance], counted: Sequence[JudgedInstance], policy: BrakePolicy) -> str | None:
    """All instances of one engine version, while another version is well: the version is sick, and so would be the
    next instance of it that its sessions are moved to."""
    well = {each.engine_version for each in counted if each.state is HealthState.HEALTHY and each.engine_version}
    for version in sorted({each.engine_version for each in ill if each.engine_version}):
        sick = sum(each.engine_version == version for each in ill)
        of_it = sum(each.engine_version == version for each in counted)
        if well and sick == of_it and sick >= policy.at_least:
            return f"all {sick} instances of engine version {version} are suspect or down, and others are well"
    return None


def _calm(ill: Sequence[JudgedInstance], counted: Sequence[JudgedInstance]) -> str:
    if not counted:
        return "no instance holds a session"
    return f"{len(ill)} of {len(counted)} instances became suspect or down lately"
