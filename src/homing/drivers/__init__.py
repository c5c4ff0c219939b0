"""The code that speaks each gateway family's protocol, by the family's name."""

from collections.abc import Mapping

from homing.drivers.webjs import WebjsDriver
from homing.drivers.wire import Calls
from homing.model.fleet import InstanceUrl
from homing.ports import Driver

KNOWN_FAMILIES = frozenset({WebjsDriver.family})


class Drivers:
    """The drivers in use, one for each gateway family."""

    def __init__(self, drivers: Mapping[str, Driver]) -> None:
        self._drivers = dict(drivers)

    def families(self) -> frozenset[str]:
        """The families that a driver speaks for."""
        return frozenset(self._drivers)

    def of(self, family: str) -> Driver:
        """The family's driver. Raises ValueError, with a sentence, for a family that nothing here speaks."""
        driver = self._drivers.get(family)
        if driver is None:
            known = ", ".join(sorted(self._drivers))
            raise ValueError(f"{family!r} is not a gateway family that Homing speaks; it speaks {known}")
        return driver


def drivers_over(
    wire: Calls, *, api_keys: Mapping[InstanceUrl, str] | None = None, default_api_key: str = ""
) -> Drivers:
    """A driver for every known family, over one wire."""
    webjs = WebjsDriver(wire, api_keys=api_keys, default_api_key=default_api_key)
    return Drivers({webjs.family: webjs})
