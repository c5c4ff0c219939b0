"""The instances as the directory last listed them, each with the driver that speaks to it."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import structlog

from homing.drivers import Drivers
from homing.drivers.around.declared import Declared
from homing.drivers.around.native_names import NativeNames
from homing.drivers.around.observed import ObservedDriver
from homing.drivers.recognition.withheld import Withheld
from homing.model.fleet import Capabilities, InstanceMode, InstanceUrl
from homing.model.instances.gateways import DEFAULT_FAMILY, Recognised, Traits
from homing.model.sends.faults import Fault
from homing.ports import (
    CacheCleared,
    Clock,
    Directory,
    Driver,
    Notice,
    PlacementChanged,
    Roster,
    RosterChanged,
    StoreUnavailable,
    WayThere,
)
from homing.ports.directory.adopting import Adoptions
from homing.ports.instances.reports import FamilyReports, WebhookCalls

_WAY_S = 1.0
"""For so long a way counts, whatever was learnt of its instance meanwhile by other ways than these."""

log = structlog.get_logger("homing")


class LiveFleet:
    """`ports.Fleet`: the roster is read again when somebody says that it changed, and now and then unasked."""

    def __init__(
        self,
        directory: Directory,
        drivers: Drivers,
        clock: Clock,
        *,
        default_url: InstanceUrl | None = None,
        refresh_s: float = 30.0,
        adoptions: Adoptions | None = None,
    ) -> None:
        """`adoptions` knows what gateways call sessions in their own ways; None: they all use our ids."""
        self._adoptions = adoptions
        self._directory, self._drivers, self._clock, self._refresh_s = directory, drivers, clock, refresh_s
        self.default_url = default_url
        self._roster = Roster()
        self._turned: dict[InstanceUrl, InstanceMode] = {}
        """Where a gateway of another family answers, and is observed for as long: the mode of before."""
        self._changed = asyncio.Event()
        self._withheld: dict[InstanceUrl, Withheld] = {}
        self._ways: dict[InstanceUrl, WayThere] = {}
        """Of those instances that may be sent through, until anything of them changes."""
        self._declared = {family: Declared(drivers.of(family), clock) for family in drivers.families()}

    @property
    def roster(self) -> Roster:
        return self._roster

    @property
    def names(self) -> NativeNames:
        """What gateways call sessions, where that is not the session's id."""
        return self._drivers.names

    def trying(self, family: str, url: InstanceUrl, key: str | None) -> Driver:
        """A driver that speaks in the gateway's own names and shows this key to this address; None: the known one."""
        return self._drivers.trying(family, url, key)

    def hold_key(self, url: InstanceUrl, key: str) -> None:
        """Show the instance this key for as long as this process lives."""
        self._drivers.keys.hold(url, key)

    def own_keys(self) -> Mapping[InstanceUrl, str]:
        """The keys of the instances that have one of their own."""
        return self._drivers.keys.own()

    def families(self) -> frozenset[str]:
        """The families that somebody here speaks to."""
        return self._drivers.families()

    def speaking(self, family: str) -> Driver:
        """The family's driver. Raises ValueError, with a sentence, where there is none."""
        return self._drivers.of(family)

    def traits_of(self, family: str) -> Traits:
        """What is true of every gateway of the family."""
        return self._drivers.traits_of(family)

    def reports_of(self, family: str) -> FamilyReports | None:
        """How the reports of a family are proven and read; None where nothing of it is taken in."""
        return self._drivers.reports_of(family)

    def webhooks(self, url: InstanceUrl) -> WebhookCalls | None:
        """Where the gateway there is told to report; None for a family that cannot be told."""
        return self._drivers.webhooks_of(self._family(url))

    def report_key(self, url: InstanceUrl) -> str:
        """The key that the gateway there is asked with."""
        return self._drivers.keys.shown_to(url)

    def traits(self, url: InstanceUrl) -> Traits:
        return self._drivers.traits_of(self._family(url))

    def recognises(self, family: str) -> bool:
        """Whether a gateway of this family is recognised by how it answers."""
        return self._drivers.recognises(family)

    def driver(self, url: InstanceUrl) -> Driver:
        withheld = self._withheld.get(url)
        if withheld is not None:
            return withheld
        known = self._roster.instances.get(url)
        driver = self._drivers.of(self._family(url))
        if known is not None and known.driver != driver.family:
            return Withheld(driver, f"this gateway has no driver {known.driver!r}")
        return ObservedDriver(driver) if known is not None and known.mode is InstanceMode.OBSERVE else driver

    def way(self, url: InstanceUrl) -> WayThere | None:
        way = self._ways.get(url)
        if way is not None and self._clock.monotonic() < way.until_s:
            return way
        return self._new_way(url)

    def _new_way(self, url: InstanceUrl) -> WayThere | None:
        self._ways.pop(url, None)
        known = self._roster.instances.get(url)
        remembered = self._declared[self._family(url)].remembered(url)
        if known is None or known.mode is InstanceMode.OBSERVE or url in self._withheld or remembered is None:
            return None
        can, until_s = remembered
        way = self._ways[url] = WayThere(self.driver(url), can, min(until_s, self._clock.monotonic() + _WAY_S))
        return way

    def withhold(self, url: InstanceUrl, why: str | None) -> None:
        """From now on only look at this address, where a gateway of another family answers; None: that has passed."""
        self._ways.clear()
        if why is None:
            self._withheld.pop(url, None)
            self._turn(url, self._turned.pop(url, None))
            return
        self._withheld[url] = Withheld(self._drivers.of(self._family(url)), why)
        known = self._roster.instances.get(url)
        if known is not None and url not in self._turned:
            self._turned[url] = known.mode
            self._turn(url, InstanceMode.OBSERVE)

    def is_withheld(self, url: InstanceUrl) -> bool:
        """Whether a gateway of another family answers there: it is observed for as long as it does."""
        return url in self._withheld

    async def recognise(self, url: InstanceUrl, *, timeout_s: float) -> Recognised | Fault | None:
        """What answers at an address; None where nobody can ask."""
        return await self._drivers.recognise(url, timeout_s=timeout_s)

    async def capabilities(self, url: InstanceUrl, *, timeout_s: float, fresh: bool = False) -> Capabilities | Fault:
        if fresh:
            self._ways.pop(url, None)
        return await self._declared[self._family(url)].capabilities(url, timeout_s=timeout_s, fresh=fresh)

    def doubt(self, url: InstanceUrl) -> None:
        self._ways.pop(url, None)
        self._declared[self._family(url)].forget(url)

    def withdraw_message_id(self, url: InstanceUrl) -> None:
        self._ways.pop(url, None)
        self._declared[self._family(url)].withdraw_message_id(url)

    def hear(self, notice: Notice) -> None:
        if isinstance(notice, RosterChanged | CacheCleared):
            self._changed.set()
        elif isinstance(notice, PlacementChanged):
            self.names.moved(notice.session_id, notice.new_url)

    async def refresh(self) -> None:
        """Read the instances now. Raises StoreUnavailable."""
        self._changed.clear()
        instances = {instance.url: instance for instance in await self._directory.instances()}
        named = await self._adoptions.native_names() if self._adoptions is not None else []
        for url, known in self._roster.instances.items():
            now = instances.get(url)
            if now is not None and now.driver != known.driver:
                self._withheld.pop(url, None)
        self._roster = Roster(instances)
        self._ways.clear()
        self._turned = {url: instances[url].mode for url in self._turned if url in instances and url in self._withheld}
        for url in self._turned:
            self._turn(url, InstanceMode.OBSERVE)
        self._drivers.keys.know(instances)
        self.names.know(named, instances)

    async def run(self) -> None:
        """Keep the roster fresh until cancelled. While the store is away the last one stays."""
        while True:
            try:
                async with asyncio.timeout(self._refresh_s):
                    await self._changed.wait()
            except TimeoutError:
                pass
            try:
                await self.refresh()
            except StoreUnavailable as error:
                log.warning("The list of instances could not be read again", error=str(error))
                await self._clock.sleep(1.0)

    def _turn(self, url: InstanceUrl, mode: InstanceMode | None) -> None:
        """The instance is in this mode from now on, whatever the directory says; None: as it is."""
        known = self._roster.instances.get(url)
        if known is not None and mode is not None and known.mode is not mode:
            self._roster = Roster({**self._roster.instances, url: replace(known, mode=mode)})
            self._ways.clear()

    def _family(self, url: InstanceUrl) -> str:
        """The family whose driver speaks to it; the default one for what no driver of ours speaks to."""
        instance = self._roster.instances.get(url)
        return instance.driver if instance is not None and instance.driver in self._declared else DEFAULT_FAMILY
