"""What do alerts that come together have in common: an instance, a machine, a version of an engine?"""

from collections import Counter
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from homing.model.deliveries.receivers import AlertPlace
from homing.model.fleet import Instance, InstanceUrl

HOST_LABEL = "host"
_NAMED = 5
_SHARES = (("instance", "all on {}"), ("host", "all on the machine {}"), ("engine", "all of {}"))
ASPECTS = tuple(aspect for aspect, _ in _SHARES)
"""The narrowest first."""


def place_of(url: InstanceUrl, instance: Instance | None, engine: str) -> AlertPlace:
    """The machine is what the label `host` says, else the host of the address."""
    labelled = instance.labels.get(HOST_LABEL) if instance is not None else None
    return AlertPlace(url, labelled or urlsplit(url).hostname or "", engine)


def counted(places: Iterable[AlertPlace | None]) -> Mapping[str, Mapping[str, int]]:
    """How many are of each instance, host and engine, the most first; of what is not known nothing is said."""
    known = [each for each in places if each is not None]
    counts = {aspect: Counter(getattr(each, aspect) for each in known) for aspect in ASPECTS}
    return {
        aspect: {name: number for name, number in sorted(of.items(), key=_most_first) if name}
        for aspect, of in counts.items()
    }


def shared(places: Iterable[AlertPlace | None], aspect: str) -> str | None:
    """The one instance, host or engine of all of them; None where they have none in common."""
    names = {getattr(each, aspect) if each is not None else "" for each in places}
    return names.pop() or None if len(names) == 1 else None


def on(aspect: str, name: str) -> str:
    """In words: what all of them share."""
    return dict(_SHARES)[aspect].format(name)


def where(places: Iterable[AlertPlace | None]) -> str:
    """In words: the narrowest thing that all of them share, else where how many are; empty if nothing is known."""
    seen = list(places)
    counts = counted(seen)
    for aspect in ASPECTS:
        if len(counts[aspect]) == 1 and sum(counts[aspect].values()) == len(seen):
            return on(aspect, next(iter(counts[aspect])))
    named = [f"{number} on {name}" for name, number in list(counts["instance"].items())[:_NAMED]]
    left = len(counts["instance"]) - len(named)
    return ", ".join([*named, *([f"others on {left} more"] if left > 0 else [])])


def _most_first(of: tuple[str, int]) -> tuple[int, str]:
    return -of[1], of[0]
