"""Does an endpoint want to be told of an event?"""

from collections.abc import Sequence

from homing.model.deliveries.endpoints import EventType

_GROUPS = frozenset({"message.*", "session.*", "batch.*"})


def wanted(events: Sequence[str], type: str) -> bool:
    """Whether a filter lets events of the type pass. An empty filter lets all pass."""
    return not events or type in events or f"{type.partition('.')[0]}.*" in events


def unknown_words(events: Sequence[str]) -> list[str]:
    """What in a filter names no type that there is: a misspelt filter would be silent for ever."""
    known = {each.value for each in EventType} - {EventType.ENDPOINT_TEST.value} | _GROUPS
    return [each for each in events if each not in known]
