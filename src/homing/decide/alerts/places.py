"""What do alerts that come together have in common: an instance, a machine, a version of an engine?"""

from collections import Counter
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from homing.model.deliveries.receivers import AlertPlace
from homing.model.fleet import Instance, InstanceUrl

HOST_LABEL = "host"
_NAMED = 5
_ASPECTS = ("instance", "host", "engine")


def place_of(url: InstanceUrl, instance: Instance | None, engine: str) -> AlertPlace:
    """The machine is what the label `host` says, else the host of the address."""
    labelled = instance.labels.get(HOST_LABEL) if instance is not None else None
    return AlertPlace(url, labelled or urlsplit(url).hostname or "", engine)


def counted(places: Iterable[AlertPlace | None]) -> Mapping[str, Mapping[str, int]]:
    """How many are of each instance, host and engine, the most first; of what is not known nothing is said."""
    known = [each for each in places if each is not None]
    counts = {aspect: Counter(getattr(each, aspect) for each in known) for aspect in _ASPECTS}
    return {
        aspect: {name: number for name, number in sorted(of.items(), key=_most_first) if name}
        for aspect, of in counts.items()
    }


def where(places: Iterable[AlertPlace | None]) -> str:
    """In words: the narrowest thing that all of them share, else where how many are; empty if nothing is known."""
    seen = list(places)
    counts = counted(seen)
    for aspect, says in (("instance", "all on {}"), ("host", "all on the machine {}"), ("engine", "all of {}")):
        if len(counts[aspect]) == 1 and sum(counts[aspect].values()) == len(seen):
            return says.format(next(iter(counts[aspect])))
    named = [f"{number} on {name}" for name, number in list(counts["instance"].items())[:_NAMED]]
    left = len(counts["instance"]) - len(named)
    return ", ".join([*named, *([f"others on {left} more"] if left > 0 else [])])


def _most_first(of: tuple[str, int]) -> tuple[int, str]:
    return -of[1], of[0]
