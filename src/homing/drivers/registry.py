"""The gateway families that a driver is there for: those of this package, and those that other packages bring.

A family is an entry point of the group `homing.drivers`: its name is the word that the family goes by, its object the
class of the driver. That is called with the wire, and with `api_keys` and `default_api_key`.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from homing.model.instances.gateways import Traits
from homing.plugins import brought
from homing.ports import Driver
from homing.ports.instances.reports import FamilyReports

GROUP = "homing.drivers"
DriverClass = Callable[..., Driver]


class NoDrivers(Exception):
    """Not even the families of this package are registered."""


@cache
def families() -> Mapping[str, DriverClass]:
    """The class of each family's driver. One that cannot be loaded is left out, with a warning.

    Raises NoDrivers where this package was not installed, or is older than its own files.
    """
    found: Mapping[str, DriverClass] = brought(GROUP, what="driver", fits=_wrong_with)
    if not found:
        raise NoDrivers(f"no driver is registered in {GROUP!r}: install Homing again (pip install .)")
    return found


def traits_of(family: str) -> Traits:
    """What is true of every gateway of the family, as its driver has it; of a family without a driver, no more than
    its name."""
    driver_class = families().get(family)
    traits = getattr(driver_class, "traits", None)
    if isinstance(traits, Traits):
        return traits
    return Traits(str(getattr(driver_class, "title", family)), checked=getattr(driver_class, "checked", None))


def reports_of(family: str) -> FamilyReports | None:
    """How the reports of a family are proven and read; None where nothing of it is taken in."""
    return getattr(families().get(family), "reports", None)


def unknown_driver(family: str) -> str:
    """The sentence that a name meets which no driver has."""
    return f"There is no driver {family!r}; known are {', '.join(sorted(families()))}"


def _wrong_with(name: str, loaded: Any) -> str | None:
    is_its_own = callable(loaded) and getattr(loaded, "family", None) == name
    return None if is_its_own else "it does not say that this is its family"
