"""Knowing which instances answer and yet do not work as they are set up: misconfigured ones.

Probes ask for `/health`, which needs no key. Whether the key fits, and whether a session list is there at all, is
known from lists: each that anybody reads counts, and one is read here where nobody read one for a while.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from homing.decide.fleet import fitness
from homing.decide.fleet.fitness import Misfit
from homing.flows.background.alerts import AlertBook
from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import InstanceUrl, Listing, NoList
from homing.model.instances.gateways import Recognised
from homing.model.sends.faults import Fault, Phase
from homing.ports import Clock, Entropy, Fleet, Roster

EVERY_S = 30.0
"""How old the newest list of an instance may be."""
AT_MOST_PER_S = 20.0
"""Lists that are read only for this, a second; in a fleet of more than 600 instances, each has its turn later."""
DOUBTFUL_EVERY_S = 2.0
MISFIT_EVERY_S = 5.0
SILENT_EVERY_S = 5.0
AT_ONCE = 16
LOOK_EVERY_S, GATHER_S = 1.0, 0.1
LIST_TIMEOUT_S = 5.0
RECOGNISE_TIMEOUT_S = 6.0

_KINDS = {False: AlertKind.INSTANCE_MISCONFIGURED, True: AlertKind.LICENCE_MISSING}
"""By whether nothing is wrong but the licence."""

Recognise = Callable[[InstanceUrl], Awaitable[Recognised | Fault | None]]
Withhold = Callable[[InstanceUrl, str | None], None]


@dataclass(slots=True)
class _InstanceFitness:
    due_s: float
    doubts: int = 0
    misfit: Misfit | None = None


class Fitness:
    """Checks instances, alerts of those that are misconfigured, and knows them."""

    def __init__(
        self,
        fleet: Fleet,
        alerts: AlertBook,
        clock: Clock,
        entropy: Entropy,
        recognise: Recognise,
        withhold: Withhold,
    ) -> None:
        """`withhold` hears of each address where a gateway of another family answers, and when that has passed."""
        self._fleet, self._alerts, self._clock, self._entropy = fleet, alerts, clock, entropy
        self._recognise, self._withhold = recognise, withhold
        self._known: dict[InstanceUrl, _InstanceFitness] = {}
        self._checking: set[InstanceUrl] = set()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._some = asyncio.Event()
        self._roster: Roster | None = None

    def misconfigured(self) -> Mapping[InstanceUrl, str]:
        """What is wrong with each that is."""
        return {url: known.misfit.reason for url, known in self._known.items() if known.misfit is not None}

    def is_misconfigured(self, url: InstanceUrl) -> bool:
        known = self._known.get(url)
        return known is not None and known.misfit is not None

    def met(self, url: InstanceUrl, phase: Phase | None) -> None:
        """A call met this. That a key was refused, or that there is no licence, is looked into at once."""
        if (
            phase in (Phase.UNAUTHORISED, Phase.UNLICENSED)
            and not self.is_misconfigured(url)
            and url in self._fleet.roster.instances
        ):
            self._of(url).due_s = self._clock.monotonic()
            self._some.set()

    def listed(self, listing: Listing) -> None:
        """Somebody read a list, or tried to."""
        url = listing.instance_url
        if url in self._checking or url not in self._fleet.roster.instances:
            return
        known, now_s = self._of(url), self._clock.monotonic()
        if not isinstance(listing, NoList):
            self._is_well(url, known)
        elif fitness.is_doubtful(listing.fault) and known.misfit is None and known.doubts == 0:
            known.due_s = now_s
            self._some.set()

    async def run(self) -> None:
        """Check whatever is due, until cancelled."""
        async with asyncio.TaskGroup() as checks:
            while True:
                self._forget_who_left()
                now_s = self._clock.monotonic()
                for url in self._fleet.roster.instances:
                    if self._of(url).due_s <= now_s and url not in self._checking:
                        self._checking.add(url)
                        checks.create_task(self._checked(url))
                await self._wait()

    async def check(self, url: InstanceUrl) -> str | None:
        """Find out now; answers what is wrong with it."""
        known = self._of(url)
        if known.misfit is not None and known.misfit.foreign and await self._is_still_foreign(url, known):
            return known.misfit.reason
        listing = await self._fleet.driver(url).sessions(url, timeout_s=LIST_TIMEOUT_S)
        if not isinstance(listing, NoList):
            self._is_well(url, known)
        elif listing.fault is not None and fitness.is_doubtful(listing.fault):
            known.doubts += 1
            recognised = await self._recognise(url)
            self._judged(url, known, listing.fault, recognised)
        else:  # it may come up any time, and with another key
            known.due_s = self._clock.monotonic() + self._every_s(SILENT_EVERY_S)
        return known.misfit.reason if known.misfit is not None else None

    async def _is_still_foreign(self, url: InstanceUrl, known: _InstanceFitness) -> bool:
        """Asked without our key, which is no business of another family's gateway."""
        instance, recognised = self._fleet.roster.instances.get(url), await self._recognise(url)
        silent = isinstance(recognised, Fault)
        if instance is not None and (silent or fitness.is_another(instance.driver, recognised)):
            known.due_s = self._clock.monotonic() + MISFIT_EVERY_S
            return True
        self._withhold(url, None)
        return False

    # --- one check ----------------------------------------------------------------------------------------------

    async def _checked(self, url: InstanceUrl) -> None:
        try:
            async with self._places:
                await self.check(url)
        finally:
            self._checking.discard(url)

    def _is_well(self, url: InstanceUrl, known: _InstanceFitness) -> None:
        known.doubts, known.misfit = 0, None
        known.due_s = self._clock.monotonic() + self._every_s()
        self._withhold(url, None)
        self._say(url, None)

    def _judged(
        self, url: InstanceUrl, known: _InstanceFitness, fault: Fault, recognised: Recognised | Fault | None
    ) -> None:
        """What is known to be wrong stays so until a list is read."""
        instance = self._fleet.roster.instances.get(url)
        if instance is None:
            return
        misfit = fitness.judge(instance.driver, fault, recognised, known.doubts) or known.misfit
        known.misfit = misfit
        known.due_s = self._clock.monotonic() + (DOUBTFUL_EVERY_S if misfit is None else MISFIT_EVERY_S)
        if misfit is None:
            return
        self._withhold(url, misfit.reason if misfit.foreign else None)
        self._say(url, misfit)

    def _say(self, url: InstanceUrl, misfit: Misfit | None) -> None:
        about = Subject.instance(url)
        stands = None if misfit is None else _KINDS[misfit.unlicensed]
        for kind in _KINDS.values():
            if misfit is not None and kind is stands:
                self._alerts.raised(kind, about, misfit.reason)
            else:
                self._alerts.resolved(kind, about)

    # --- when ---------------------------------------------------------------------------------------------------

    def _every_s(self, wanted_s: float = EVERY_S) -> float:
        every_s = max(wanted_s, len(self._fleet.roster.instances) / AT_MOST_PER_S)
        return every_s * (0.75 + 0.5 * self._entropy.random())

    async def _wait(self) -> None:
        """Until the next one is due; a little later than at once, so that the next round is one round."""
        waiting = [known.due_s for url, known in self._known.items() if url not in self._checking]
        left_s = min(waiting, default=self._clock.monotonic() + LOOK_EVERY_S) - self._clock.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(LOOK_EVERY_S, max(GATHER_S, left_s))):
                await self._some.wait()
        self._some.clear()

    def _forget_who_left(self) -> None:
        roster = self._fleet.roster
        if roster is self._roster:
            return
        self._roster = roster
        for url in self._known.keys() - roster.instances.keys():
            del self._known[url]
            self._withhold(url, None)
        for alert in self._alerts.standing():
            if alert.kind in _KINDS.values() and alert.subject.name not in roster.instances:
                self._alerts.resolved(alert.kind, alert.subject)

    def _of(self, url: InstanceUrl) -> _InstanceFitness:
        """A new one is checked soon, and not all new ones in one moment."""
        known = self._known.get(url)
        if known is None:
            in_s = 1.0 + len(self._fleet.roster.instances) / AT_MOST_PER_S * self._entropy.random()
            known = self._known[url] = _InstanceFitness(self._clock.monotonic() + in_s)
        return known
