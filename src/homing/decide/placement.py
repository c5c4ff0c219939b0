"""Where should a session live?"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from homing.model.fleet import Instance, InstanceLoad, InstanceState, InstanceUrl


@dataclass(frozen=True, slots=True)
class Chosen:
    """The instance to start the session on, and why that one."""

    instance: Instance
    reason: str


@dataclass(frozen=True, slots=True)
class NoRoom:
    """No instance can take it; the reason names each and what is wrong with it."""

    reason: str


def choose(loads: Sequence[InstanceLoad], *, unhealthy: Collection[InstanceUrl] = ()) -> Chosen | NoRoom:
    """The least loaded instance that is healthy, active and below its capacity; the older one where two are equal."""
    refused = {load.instance.url: why for load in loads if (why := _why_not(load, unhealthy))}
    fit = [load for load in loads if load.instance.url not in refused]
    if not fit:
        named = "; ".join(f"{url} {why}" for url, why in refused.items())
        return NoRoom(named or "no instance is known")
    best = min(fit, key=lambda load: (load.sessions, load.instance.id))
    return Chosen(
        best.instance, f"{best.instance.url} has the fewest sessions ({best.sessions}) of {len(fit)} fit instances"
    )


def _why_not(load: InstanceLoad, unhealthy: Collection[InstanceUrl]) -> str | None:
    instance = load.instance
    if instance.state is InstanceState.DRAINING:
        return "is draining"
    if instance.url in unhealthy:
        return "does not answer"
    if instance.capacity is not None and load.sessions >= instance.capacity:
        return f"is full ({load.sessions} of {instance.capacity})"
    return None
