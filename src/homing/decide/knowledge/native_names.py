"""Which session does a gateway mean by a name that other gateways use too?

By name *and* phone. A gateway that tells no phone, or another one than is recorded, means the session that the record
has on it under that name: that its phone is another is said elsewhere (`decide.knowledge.identity`). A name that fits
neither way is nobody's that is known.
"""

from collections.abc import Iterable, Sequence

from homing.decide.knowledge.identity import phone_of
from homing.decide.phones.aliases import person
from homing.model.fleet import InstanceUrl
from homing.model.instances.native_names import NativeName


def meant(named: Sequence[NativeName], phone: str | None, url: InstanceUrl) -> NativeName | None:
    """Which of the sessions that bear this name the instance means; None: none of them. `phone` is what it tells."""
    digits = phone_of(phone) if phone else None
    if digits is not None:
        its = [each for each in named if each.person == person(digits)]
        if its:
            return _at_best(its, url)
    return next((each for each in named if each.instance_url == url), None)


def _at_best(its: Iterable[NativeName], url: InstanceUrl) -> NativeName:
    """One phone may have several devices, which two gateways call by one name: each means its own."""
    return min(its, key=lambda each: (each.instance_url != url, each.session_id))
