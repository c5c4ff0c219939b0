"""May an instance that was only observed be routed, by what was seen of it?"""

from collections.abc import Mapping
from dataclasses import dataclass

from homing.model.fleet import InstanceMode, InstanceUrl
from homing.model.instances.observing import Agreement, WouldKind

LISTS_MIN = 3
"""Fewer lists than these say little: one alone agrees with the record that was made of it."""
FAILED_MAX = 0.05


@dataclass(frozen=True, slots=True)
class Advice:
    """Whether to route, and why."""

    ready: bool
    reason: str


def advise(
    url: InstanceUrl,
    mode: InstanceMode,
    agreement: Agreement,
    would_haves: Mapping[WouldKind, int],
) -> Advice:
    """What was seen of the instance, and what that means for routing it."""
    if mode is InstanceMode.ROUTE:
        return Advice(True, "it is routed")
    asked = agreement.lists + agreement.lists_failed
    if agreement.lists < LISTS_MIN and agreement.lists_failed == 0:
        return Advice(False, f"it was listed {_times(agreement.lists)}; after {LISTS_MIN} times there is more to say")
    if agreement.lists_failed > FAILED_MAX * asked:
        return Advice(False, f"{agreement.lists_failed} of {asked} lists could not be read")
    if agreement.recorded == 0:
        return Advice(False, "no session is recorded on it: adopt it once it runs some")
    if agreement.seen < agreement.recorded:
        missed = agreement.recorded - agreement.seen
        return Advice(False, f"sessions were missing {_times(missed)} in {agreement.lists} lists; see what it would do")
    moved = would_haves.get(WouldKind.CORRECTION, 0)
    found = f"; {moved} were found elsewhere than recorded, and the record has followed" if moved else ""
    told = f"all sessions were where they are recorded in {agreement.lists} lists{found}"
    return Advice(True, f"{told}: homing instances set {url} --mode route")


def _times(count: int) -> str:
    match count:
        case 0:
            return "not yet"
        case 1:
            return "once"
        case _:
            return f"{count} times"
