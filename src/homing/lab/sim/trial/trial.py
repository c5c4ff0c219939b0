"""One run: a world from a scenario and a seed, its misfortunes, and what was seen of it."""

import asyncio
import gc
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from homing.config import Settings
from homing.lab.sim.loop import VirtualLoop
from homing.lab.sim.trial.clients import Chat, Clients
from homing.lab.sim.trial.faults import Misfortune, plan
from homing.lab.sim.trial.judging.diary import UNHEARD, Diary, written_to
from homing.lab.sim.trial.judging.history import Happened, OutsideHistory, fingerprint
from homing.lab.sim.trial.judging.observing import observe
from homing.lab.sim.trial.scenario import Scenario
from homing.lab.sim.trial.weather import Weather
from homing.lab.sim.trial.world import template as templates
from homing.lab.sim.trial.world.foreign import SimulatedForeign
from homing.lab.sim.trial.world.gateways import SimulatedGateway
from homing.lab.sim.trial.world.instances import API_KEY, HMAC_SECRET, Around, SimulatedInstance
from homing.lab.sim.trial.world.network import SimulatedNetwork
from homing.lab.sim.trial.world.receivers import MANNERS, SimulatedReceiver, ways_to
from homing.lab.sim.trial.world.stores import Store
from homing.lab.sim.trial.world.whatsapp import SimulatedExchange
from homing.lab.sim.trial.writers import Writers
from homing.lab.sim.world import VirtualClock
from homing.model.fleet import InstanceUrl
from simulated_whatsapp.core import DeviceCredentials, Rules

LIMIT_STEPS = 3_000_000
_GATEWAYS_FIRST_S = 0.5


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one run. `broke` is what ended it early: a deadlock, a limit, a bug of the simulation."""

    scenario: Scenario
    seed: int
    faults: tuple[Misfortune, ...]
    events: list[Happened]
    trace: str
    virtual_s: float
    wall_s: float
    steps: int
    said: Mapping[str, int] = field(default_factory=dict)
    lines: Sequence[tuple[float, str, str]] = ()
    broke: str | None = None


def run(scenario: Scenario, seed: int, faults: Sequence[Misfortune] | None = None, *, keep_lines: bool = False) -> Run:
    """Play the scenario. Without `faults` the seed chooses them; `keep_lines` is for a timeline."""
    template = templates.template(scenario)
    began_s = time.perf_counter()
    loop = VirtualLoop(seed, limit_s=scenario.ends_s + 600.0, limit_steps=LIMIT_STEPS)
    diary = Diary(loop.time, keep=keep_lines)
    loop.set_exception_handler(lambda _, told: diary.note(UNHEARD, reason=told["message"], error=told.get("exception")))
    history = OutsideHistory(loop.time)
    chosen = tuple(faults) if faults is not None else plan(scenario, seed)
    broke: str | None = None
    # Whatever a dead process left behind must not be tidied up before the end.
    collecting = gc.isenabled()
    gc.disable()
    try:
        with written_to(diary):
            world = World(scenario, seed, loop, history, template)
            try:
                loop.run_until_complete(world.play(chosen))
            except Exception as error:  # noqa: BLE001 - a run that breaks is a finding, whatever broke it
                broke = f"{type(error).__name__}: {error}"
            history.add("end")
            history.close()
            diary.closed = True
            _end(loop)
            world.store.close()
    finally:
        if collecting:
            gc.enable()
    loop.note(fingerprint(history.events))
    return Run(
        scenario=scenario,
        seed=seed,
        faults=chosen,
        events=history.events,
        trace=loop.trace_hash(),
        virtual_s=loop.time(),
        wall_s=time.perf_counter() - began_s,
        steps=loop.steps,
        said=dict(sorted({**diary.said, **world.counted}.items())),
        lines=diary.lines,
        broke=broke,
    )


def _end(loop: VirtualLoop) -> None:
    """Let go of all tasks where they stand; nothing of them may run, and nobody is to hear of it."""
    loop.set_exception_handler(lambda *_: None)
    # Whatever their last words ask for is asked of this loop, and not of one that nobody would close.
    asyncio._set_running_loop(loop)
    try:
        for task in sorted(asyncio.all_tasks(loop), key=hash):
            silent: Any = task
            silent._log_destroy_pending = False
            _close(task.get_coro())
    finally:
        asyncio._set_running_loop(None)
    loop.close()


def _close(work: Any) -> None:
    """Code that will not end is asked again, a few times: it may begin anew where it should end."""
    for _ in range(5):
        with suppress(BaseException):
            work.close()
            return


class World:
    """Everything that there is in one run."""

    def __init__(
        self, scenario: Scenario, seed: int, loop: VirtualLoop, history: OutsideHistory, template: templates.Template
    ) -> None:
        self._scenario, self._loop, self._history, self._template = scenario, loop, history, template
        self._seed = seed
        self.counted: dict[str, int] = {}
        self._network = SimulatedNetwork(
            loop, _chance(seed, "network"), lambda upset: self._count(f"request {upset.value}")
        )
        self.store = Store(self._network, _chance(seed, "store"), VirtualClock(loop=loop).now)
        self.store.fill(template.database)
        rules = Rules(drop_repeats=scenario.drop_repeats)
        self._whatsapp = SimulatedExchange(self._network, history, templates.device_draws(), rules)
        logins = templates.linked(self._whatsapp.judge, scenario)
        settings = settings_for(scenario)
        self._receivers = {
            host: SimulatedReceiver(host, MANNERS[nth % len(MANNERS)], history, _chance(seed, host))
            for nth, host in enumerate(scenario.receiver_hosts)
        }
        ways = ways_to(self._receivers)
        self._gateways = {
            name: SimulatedGateway(
                name, self._network, self.store, settings, _chance(seed, name), self._clock_of(name), ways
            )
            for name in scenario.gateway_names
        }
        reporting = _chance(seed, "reporting")
        around = Around(
            network=self._network,
            store=self.store,
            keys=templates.key_ring(),
            whatsapp=self._whatsapp,
            gateway=lambda: reporting.choice(scenario.gateway_names),
            lease=settings.lease_policy,
        )
        self._instances = {
            url: SimulatedInstance(url, around, _chance(seed, url), self._clock_of(url))
            for url in scenario.instance_urls
        }

        self._foreign = {url: self._foreign_at(url, logins) for url in scenario.foreign_urls}

    def _foreign_at(self, url: str, logins: list[DeviceCredentials]) -> SimulatedForeign:
        clock = self._clock_of(url)
        place = SimulatedForeign(url, self._network, self._whatsapp, _chance(self._seed, url), clock, key=API_KEY)
        for session, (phone, device) in templates.on_disk(url, logins, self._scenario).items():
            place.disk.keep(session, phone, device)
        return place

    async def play(self, faults: tuple[Misfortune, ...]) -> None:
        """From the first boot to the last look."""
        scenario, loop = self._scenario, self._loop
        for gateway in self._gateways.values():
            gateway.boot()
        await asyncio.sleep(_GATEWAYS_FIRST_S)
        for instance in self._instances.values():
            instance.boot()
        for theirs in self._foreign.values():
            theirs.boot()
        weather = Weather(
            self._network,
            self.store,
            self._whatsapp,
            self._instances,
            self._gateways,
            self._history,
            self._operate,
            self._foreign,
            self._receivers,
        )
        weather.forecast(faults)
        await asyncio.sleep(scenario.calm_until_s - loop.time())
        clients = Clients(scenario, self._network, self._history, _chance(self._seed, "clients"), self._template.token)
        talking = loop.create_task(clients.talk(list(self._template.chats)))
        handing_in = loop.create_task(self._hand_in())
        writing = loop.create_task(self._write_to_sessions())
        await asyncio.sleep(scenario.ends_s - loop.time())
        for task in (talking, handing_in, writing):
            task.cancel()
        around = (self._whatsapp, self.store, self._network)
        await observe(self._history, self._instances, self._foreign, self._gateways, *around)
        self._look_for_the_fallen()

    async def _hand_in(self) -> None:
        scenario = self._scenario
        if scenario.accepted_per_s:
            chance, token = _chance(self._seed, "writers"), self._template.token
            await Writers(scenario, self._network, self._history, chance, token).write(self._template.chats)

    async def _write_to_sessions(self) -> None:
        """People write to the sessions."""
        chance = _chance(self._seed, "people")
        number = 0
        while True:
            await asyncio.sleep(chance.expovariate(self._scenario.inbound_per_s))
            if self._loop.time() > self._scenario.talk_until_s:
                return
            number += 1
            chat: Chat = chance.choice(self._template.chats)
            self._whatsapp.write(chat.session, chat.phone, f"inbound {number}")

    def _operate(self, session: str) -> None:
        """An operator asks a gateway to move the session elsewhere."""
        chat = next(chat for chat in self._template.chats if chat.session == session)
        for gateway in self._gateways.values():
            if gateway.lives and gateway.gateway is not None and gateway.process is not None:
                gateway.process.spawn(operated(gateway, chat))
                return

    def _look_for_the_fallen(self) -> None:
        """Processes that ended without being killed."""
        processes = [place.process for place in self._gateways.values()]
        processes += [place.process for place in self._instances.values()]
        processes += [place.process for place in self._foreign.values()]
        for process in processes:
            main = process.main if process is not None and process.lives else None
            if main is not None and main.done():
                error = main.exception() if not main.cancelled() else None
                raise RuntimeError(f"{process.name if process else '?'} ended by itself: {error!r}") from error

    def _clock_of(self, place: str) -> VirtualClock:
        return VirtualClock(loop=self._loop, skew_s=_chance(self._seed, f"skew of {place}").uniform(-2.0, 2.0))

    def _count(self, what: str) -> None:
        self.counted[what] = self.counted.get(what, 0) + 1


async def operated(gateway: SimulatedGateway, chat: Chat) -> None:
    """What the API's `migrate` does."""
    assert gateway.gateway is not None
    stores = gateway.gateway.stores
    with suppress(Exception):  # an operator sees an error, and shrugs
        account = await stores.directory.account(None, uuid=chat.account)
        if account is not None:
            await gateway.gateway.moving.migrations.migrate(account, None)


def settings_for(scenario: Scenario) -> Settings:
    """The product's defaults; nothing of this machine's environment."""
    return Settings.model_construct(
        instances=tuple(InstanceUrl(url) for url in scenario.instance_urls),
        whatsapp_api_key=API_KEY,
        whatsapp_hmac_secret=HMAC_SECRET,
        whatsapp_nodejs_url=InstanceUrl(scenario.instance_urls[0]),
    )


def _chance(seed: int, what: str) -> random.Random:
    return random.Random(f"{what} {seed}")  # noqa: S311 - to be repeatable
