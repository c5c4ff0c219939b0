"""The gateway families that a driver is there for: those of this package, and those that other packages bring.

A family is an entry point of the group `homing.drivers`: its name is the word that the family goes by, its object the
class of the driver. That is called with the wire, and with `api_keys` and `default_api_key`.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import structlog

from homing.model.instances.gateways import Traits
from homing.ports import Driver
from homing.ports.reports import FamilyReports

GROUP = "homing.drivers"
DriverClass = Callable[..., Driver]

log = structlog.get_logger("homing")


class NoDrivers(Exception):
    """Not even the families of this package are registered."""


@cache
def families() -> Mapping[str, DriverClass]:
    """The class of each family's driver. One that cannot be loaded is left out, with a warning.

    Raises NoDrivers where this package was not installed, or is older than its own files.
    """
    found: dict[str, DriverClass] = {}
    for entry in sorted(entry_points(group=GROUP), key=_of_ours_first):
        if entry.name in found:
            log.warning("A driver of this name is there already; the other one is not used", driver=entry.value)
        elif (loaded := _loaded(entry)) is not None:
            found[entry.name] = loaded
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


def _of_ours_first(entry: EntryPoint) -> tuple[bool, str, str]:
    return not entry.value.startswith("homing.drivers."), entry.name, entry.value


def _loaded(entry: EntryPoint) -> DriverClass | None:
    """Whatever somebody else's package raises, the others go on."""
    try:
        loaded: Any = entry.load()
    except Exception as error:  # noqa: BLE001
        log.warning("A driver could not be loaded", driver=entry.name, of=entry.value, error=repr(error))
        return None
    if not callable(loaded) or getattr(loaded, "family", None) != entry.name:
        log.warning("A driver is not used: it does not say that this is its family", driver=entry.name, of=entry.value)
        return None
    return loaded  # type: ignore[no-any-return]
