"""The code that speaks each gateway family's protocol, by the family's name.

A folder for each family owns both directions: what is asked of it, and what it tells. They use the ports, and the
wire in `http`; the files beside them are what families share, `libraries` what gateways around one library say alike,
`around` what stands around every driver. Begin with `calling`, then `webjs`; `docs/writing-a-driver.md` leads through a
new one.
"""

from collections.abc import Callable, Mapping

import structlog

from homing.drivers.around.exit_proxies import KnownExitProxies
from homing.drivers.around.keys import ShownKeys
from homing.drivers.around.native_names import NativeNames
from homing.drivers.http.wire import Calls
from homing.drivers.recognition.asking import Recognition
from homing.drivers.recognition.fingerprints import RECOGNISED
from homing.drivers.registry import families, reports_of, traits_of, unknown_driver
from homing.model.fleet import InstanceUrl
from homing.model.instances.gateways import Recognised, Traits
from homing.model.sends.faults import Fault
from homing.ports import Driver
from homing.ports.instances.reports import FamilyReports, WebhookCalls

log = structlog.get_logger("homing")


Trying = Callable[[str, InstanceUrl, str | None], Driver]


class Drivers:
    """The drivers in use, one for each gateway family."""

    def __init__(
        self,
        drivers: Mapping[str, Driver],
        recognition: Recognition | None = None,
        keys: ShownKeys | None = None,
        names: NativeNames | None = None,
        trying: "Trying | None" = None,
        proxies: KnownExitProxies | None = None,
    ) -> None:
        """`names` are what gateways call sessions; `trying` opens a driver that shows another key to one address;
        `proxies` is where the drivers ask by which proxy a session goes out."""
        self._drivers, self.recognition = dict(drivers), recognition
        self.keys = keys if keys is not None else ShownKeys({}, "")
        self.names = names if names is not None else NativeNames()
        self._trying = trying
        self.proxies = proxies if proxies is not None else KnownExitProxies()

    async def recognise(self, url: InstanceUrl, *, timeout_s: float) -> Recognised | Fault | None:
        """What answers at an address; None where these drivers have no way to ask."""
        if self.recognition is None:
            return None
        return await self.recognition.recognise(url, timeout_s=timeout_s)

    def trying(self, family: str, url: InstanceUrl, key: str | None) -> Driver:
        """A driver that speaks in the gateway's own names, and shows this key to this address; None: the known one.

        Raises ValueError, with a sentence, for a family that nothing here speaks.
        """
        if family not in self._drivers or self._trying is None:
            return self.of(family)
        return self._trying(family, url, key)

    def recognises(self, family: str) -> bool:
        """Whether a gateway of this family is recognised by how it answers."""
        return family in RECOGNISED

    def traits_of(self, family: str) -> Traits:
        """What is true of every gateway of the family."""
        return traits_of(family)

    def reports_of(self, family: str) -> FamilyReports | None:
        """How the reports of a family are proven and read; None where nothing of it is taken in."""
        return reports_of(family)

    def webhooks_of(self, family: str) -> WebhookCalls | None:
        """Where gateways of the family are told to report; None where they cannot be told."""
        return getattr(self._drivers.get(family), "webhooks", None)

    def families(self) -> frozenset[str]:
        """The families that a driver speaks for."""
        return frozenset(self._drivers)

    def of(self, family: str) -> Driver:
        """The family's driver. Raises ValueError, with a sentence, for a family that nothing here speaks."""
        driver = self._drivers.get(family)
        if driver is None:
            raise ValueError(unknown_driver(family))
        return driver


def drivers_over(
    wire: Calls, *, api_keys: Mapping[InstanceUrl, str] | None = None, default_api_key: str = ""
) -> Drivers:
    """A driver for every family, over one wire."""
    opened: dict[str, Driver] = {}
    for family, driver_class in families().items():
        try:
            opened[family] = driver_class(wire, api_keys=api_keys, default_api_key=default_api_key)
        except Exception as error:
            if driver_class.__module__.startswith("homing."):
                raise
            log.warning("A driver could not be opened", driver=family, error=repr(error))
    return Drivers(opened, Recognition(wire))
