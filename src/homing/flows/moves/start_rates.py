"""How many sessions may still be told to start on instances that have a rate."""

from collections.abc import Collection, Mapping

from homing.decide.starting import start_rate
from homing.flows.moves.batch import Means
from homing.model.fleet import InstanceUrl
from homing.ports import Fleet


def rates(fleet: Fleet, urls: Collection[InstanceUrl]) -> dict[InstanceUrl, int]:
    """The rates of those of these instances that have one, in starts within a minute."""
    known = fleet.roster.instances
    found = {url: start_rate.of(known.get(url), fleet.traits(url)) for url in urls}
    return {url: per_min for url, per_min in found.items() if per_min is not None}


async def turns_left(means: Means, urls: Collection[InstanceUrl]) -> Mapping[InstanceUrl, int]:
    """How many more may be started now on those of these that have a rate. Raises StoreUnavailable."""
    rated = rates(means.fleet, urls)
    lately = await means.grants.started_lately(list(rated))
    return {url: per_min - lately.get(url, 0) for url, per_min in rated.items()}
