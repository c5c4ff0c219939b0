"""How many sessions may be started on an instance within a minute, and whose turn has come?

Many gateways need seconds for each session that they start: one that is told to start ninety at once starts none of
them in time. So a family has a rate, which an instance's label changes; whoever starts sessions keeps to it, after an
instance was started anew, in a recycle, after a loss, and when people ask for many at once.
"""

from collections.abc import Mapping, Sequence

from homing.model.fleet import Instance
from homing.model.instances.gateways import Traits

WINDOW_S = 60.0
LABEL = "starts_per_min"
"""An instance's label: how many sessions may be started there within a minute; `none`: as many as come."""
NO_RATE = "none"
PER_MIN_MAX = 6_000
TURN = "its turn to be started has not come: "
"""What the reasons of those begin with that wait for it."""


def of(instance: Instance | None, traits: Traits) -> int | None:
    """The rate of an instance: its own, else its family's; None: it has none."""
    said = instance.labels.get(LABEL) if instance is not None else None
    if said is None or wrong_with({LABEL: said}) is not None:
        return traits.starts_per_min
    return None if said == NO_RATE else int(said)


def wrong_with(labels: Mapping[str, str]) -> str | None:
    """What is wrong with the rate that these labels say; None if they say none, or one that can be kept."""
    said = labels.get(LABEL, NO_RATE)
    is_number = said.isascii() and said.isdecimal() and len(said) <= len(str(PER_MIN_MAX))
    if said == NO_RATE or (is_number and 1 <= int(said) <= PER_MIN_MAX):
        return None
    return f"the label {LABEL} is a whole number from 1 to {PER_MIN_MAX}, or {NO_RATE}"


def wait_s(started_ago_s: Sequence[float], per_min: int) -> float:
    """In how many seconds one more may be started where these were; 0.0: now."""
    lately = sorted(ago_s for ago_s in started_ago_s if ago_s < WINDOW_S)
    return WINDOW_S - lately[per_min - 1] if len(lately) >= per_min else 0.0


def waits(url: str, per_min: int) -> str:
    """Why one waits."""
    return f"{TURN}{per_min} a minute are started on {url}"
