"""What we know of how an instance is: what calls to it met, its heartbeat, and what was made of both."""

from dataclasses import dataclass
from enum import StrEnum
from math import inf

from homing.model.instances.leases import Incarnation

GATEWAY_AGENT = "homing"
"""What a gateway of ours calls itself (`User-Agent`) to an instance, which tells it from other callers by that."""


class HealthState(StrEnum):
    """Whether an instance can be relied on. Only a healthy one is given anything new."""

    HEALTHY = "healthy"
    SUSPECT = "suspect"
    DOWN = "down"


MISCONFIGURED = "misconfigured"
"""Shown in place of a state: it answers, and does not work as it is set up. It never counts as gone."""


class Signal(StrEnum):
    """What one call tells of the instance as a whole."""

    ANSWERED = "answered"
    REFUSED = "refused"
    """Nobody listens at its address."""
    SILENT = "silent"
    BROKEN = "broken"
    """The connection broke, or what came back was not from a working instance."""


class Gone(StrEnum):
    """Why the boot of an instance that we knew does not come back."""

    REFUSED = "refused"
    """Nobody listens, and its heartbeat is overdue."""
    LAPSED = "lapsed"
    EXITED = "exited"
    UNANSWERING = "unanswering"
    """It keeps its lease, and has answered no gateway for long: of no use to anyone, whatever it does."""


@dataclass(frozen=True, slots=True)
class CallObservation:
    """What one call met. `by_traffic`: it was a send, not a probe."""

    at_s: float
    signal: Signal
    by_traffic: bool = False


@dataclass(frozen=True, slots=True)
class Beat:
    """The newest boot at an address, by a reading that was asked for at `read_at_s`. It does not age by itself: what
    was not overdue when it was read may have been renewed since."""

    incarnation: Incarnation
    read_at_s: float

    @property
    def began_at_s(self) -> float:
        return self.read_at_s - self.incarnation.began_ago_s


@dataclass(frozen=True, slots=True)
class Stall:
    """A time in which our own loop did not run."""

    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Local:
    """How well we are ourselves.

    `store_lag_s` is how long the database took for its newest answer, or how long we wait for one by now.
    `store_steady_s` is for how long it has been answering us without a break, in one history of its own.
    """

    stalls: tuple[Stall, ...] = ()
    store_lag_s: float = 0.0
    store_steady_s: float = inf


@dataclass(frozen=True, slots=True)
class HealthHistory:
    """What we know of one instance: what was met since it last answered, and what we made of it."""

    observed: tuple[CallObservation, ...] = ()
    state: HealthState = HealthState.HEALTHY
    since_s: float = 0.0
    unwell_since_s: float | None = None


@dataclass(frozen=True, slots=True)
class HealthJudgment:
    """What an instance is, since when, and why.

    `gone` says what proves that this boot does not come back; None while nothing does. `unwell_since_s` is when it was
    last healthy. `look_again_s`: in so many seconds a probe and a reading of its heartbeat could settle the doubt.
    """

    state: HealthState
    since_s: float
    reason: str
    gone: Gone | None = None
    unwell_since_s: float | None = None
    look_again_s: float | None = None


def shown_state(judged: HealthJudgment, misconfigured: bool) -> str:
    """The word for how an instance is. That it is gone outweighs that it did not work while it was there."""
    return MISCONFIGURED if misconfigured and judged.state is not HealthState.DOWN else judged.state.value
