"""Bringing the demo up, in the order in which its parts need each other, and ending all of it."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from homing.compose import open_stores, open_vault
from homing.config import Settings
from homing.demo import processes
from homing.demo.calls import DemoCaller, InstanceClient, open_http
from homing.demo.folder import Folder, open_folder
from homing.demo.plan import Apart, DemoPlan, Unworkable, check
from homing.demo.population import Population, log_in, pair, pair_really, settle
from homing.demo.processes import LISTENS_WITHIN_S, Child
from homing.demo.state_file import StateFile
from homing.model.fleet import InstanceUrl
from homing.model.instances.gateways import DEFAULT_FAMILY
from homing.ports import StoreUnavailable
from homing.serve.callers.signing_in import code_for
from homing.store.db.database import StoreMisconfigured
from homing.store.vault.sealing import fresh_key
from homing.world import SystemEntropy

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the parts of one demo trust each other by; made anew for each."""

    instance_api_key: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    hmac_secret: str = field(default_factory=lambda: secrets.token_hex(24))
    vault_key: str = field(default_factory=lambda: str(fresh_key("demo")))


class Starter:
    """Starts the processes of one demo; whatever it started is in `children`."""

    def __init__(self, plan: DemoPlan, folder: Folder, trust: Secrets, children: list[Child]) -> None:
        self.plan, self.folder, self.trust = plan, folder, trust
        self.database_url = plan.database_url or f"sqlite:///{folder.database}"
        self._children = children
        self.root_key = ""
        """What vouches for the simulated WhatsApp, where it speaks the real protocol."""

    def whatsapp(self) -> Child:
        options = ["--ledger", str(self.folder.ledger)]
        if (engine := self.plan.engine) is not None:
            keys = str(self.folder.path / "keys")
            options = ["multidevice", *options, "--keys", keys, "--dictionary", str(engine.package)]
        return self._start("WhatsApp", "simulated_whatsapp", options, {}, Apart())

    def instance(self, number: int, whatsapp_address: str, *, again: bool = False) -> Child:
        """One that starts `again` can ask the gateway what is placed on it; at first there is none to ask."""
        url, port = self.plan.instance_urls[number - 1], self.plan.listening_ports[number - 1]
        options = ["instance", "--port", str(port), "--url", url, "--whatsapp", whatsapp_address, "--fault-injection"]
        settings = self.instance_settings(number)
        if self.plan.reports:
            # What happens before the gateway listens waits in the instance's journal.
            settings |= {"HOMING_URL": self.plan.gateway_urls[0], "HMAC_SECRET": self.trust.hmac_secret}
            options += ["--data", str(self.folder.journals), *(["--restore-from-gateway"] if again else [])]
        options += ["--engine", "baileys"] if self.plan.engine is not None else []
        name = self.plan.instance_name(number)
        apart = self.plan.apart(name)
        options += ["--log-level", "debug"] if apart.tells_all else []
        return self._start(name, "homing.cli", options, settings, apart)

    def other_gateway(self, number: int, whatsapp_address: str, *, again: bool = False) -> Child:
        """A model of other people's gateways. What it knows of its sessions is on its disk; one that starts `again` may
        have none of them open."""
        url, port = self.plan.instance_urls[number - 1], self.plan.listening_ports[number - 1]
        options = [self.plan.family(url), "--port", str(port), "--url", url, "--whatsapp", whatsapp_address]
        options += ["--empty"] if again and self.plan.restarts_empty else []
        name = self.plan.instance_name(number)
        return self._start(
            name,
            "simulated_gateways",
            [*options, "--logins", str(self.disk(number)), "--fault-injection"],
            {"GATEWAY_KEY": self.trust.instance_api_key},
            self.plan.apart(name),
        )

    def disk(self, number: int) -> Path:
        """Where the gateway keeps its logins."""
        return self.folder.disks / f"{number}.json"

    def instance_settings(self, number: int) -> dict[str, str]:
        """What this instance of the demo has to know."""
        engine = self.plan.engine
        real = {"HOMING_ENGINES": str(engine.engines), "HOMING_NODE": engine.node} if engine is not None else {}
        return {
            **self.plan.settings,
            **real,
            **({"HOMING_TEST_WHATSAPP_ROOT": self.root_key} if self.root_key else {}),
            "WHATSAPP_API_KEY": self.trust.instance_api_key,
            "HOMING_DATABASE_URL": _nth(self.plan.detours.instance_databases, number) or self.database_url,
            "HOMING_VAULT_KEY": self.trust.vault_key,
        }

    def gateway(self, number: int, more: Mapping[str, str] | None = None) -> Child:
        name = self.plan.gateway_name(number)
        apart = self.plan.apart(name)
        numbered: dict[str, str] = {}
        for place, url in enumerate(self.plan.known_urls, 1):
            numbered |= {f"WHATSAPP_INSTANCE_{place}": url, f"WHATSAPP_INSTANCE_{place}_DRIVER": self.plan.family(url)}
        if self.plan.own_urls:
            numbered["WHATSAPP_NODEJS_URL"] = self.plan.own_urls[0]
        return self._start(
            name,
            *self.plan.gateway_program,
            {
                "HOMING_STOP_DELAY": "0",  # no balancer is in front
                "HOMING_ALLOW_NETS": "127.0.0.0/8,::1/128",  # whoever tries webhooks here listens here
                **({"HOMING_SYNC_SCHEDULE": ""} if self.plan.story else {}),  # the story runs the sync that it tells of
                **self.plan.settings,
                "HOMING_PORT": str(self.plan.gateway_ports[number - 1]),
                "HOMING_DATABASE_URL": _nth(self.plan.detours.gateway_databases, number) or self.database_url,
                "HOMING_LOG_FORMAT": "json",
                "WHATSAPP_API_KEY": self.trust.instance_api_key,
                "WHATSAPP_HMAC_SECRET": self.trust.hmac_secret,
                **numbered,
                **({"HOMING_LOG_LEVEL": "debug"} if apart.tells_all else {}),
                **(more or {}),
            },
            apart,
        )

    def _start(
        self, name: str, module: str, options: Sequence[str], settings: Mapping[str, str], apart: Apart
    ) -> Child:
        command = [*apart.program, module, *options]
        logs = self.folder.logs
        child = processes.start(
            name, command[0], command[1:], folder=self.folder.path, logs=logs, settings=settings, pipe=apart.pipe
        )
        self._children.append(child)
        return child


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that is up. Instances and gateways are by their address."""

    plan: DemoPlan
    folder: Folder
    database_url: str
    secrets: Secrets
    whatsapp: Child
    whatsapp_address: str
    instances: dict[str, Child]
    gateways: dict[str, Child]
    population: Population
    login_code: str
    starter: Starter
    gateway: DemoCaller
    operator: InstanceClient

    async def start_instance_again(self, url: str) -> None:
        """A new process for an instance that was killed; it has announced itself when this returns."""
        self.begin_instance_again(url)
        await processes.announced(self.instances[url])

    def begin_instance_again(self, url: str) -> None:
        """The same, without waiting."""
        number = list(self.instances).index(url) + 1
        ours = self.plan.family(InstanceUrl(url)) == DEFAULT_FAMILY
        self.instances[url] = (
            self.starter.instance(number, self.whatsapp_address, again=True)
            if ours
            else self.starter.other_gateway(number, self.whatsapp_address, again=True)
        )

    def start_gateway_again(self, url: str, more: Mapping[str, str] | None = None) -> None:
        """A new process for a gateway that was killed, told `more`; it may not be ready yet when this returns."""
        number = list(self.gateways).index(url)
        self.gateways[url] = self.starter.gateway(number + 1, more)

    @property
    def children(self) -> list[Child]:
        return [self.whatsapp, *self.instances.values(), *self.gateways.values()]


@asynccontextmanager
async def open_demo(plan: DemoPlan, tell: Tell) -> AsyncIterator[Demo]:
    """The demo, up and ready; `tell` hears what is being done. Raises Unworkable, with nothing left behind."""
    check(plan)
    processes.check_free(plan.listening_ports + plan.gateway_ports)
    children: list[Child] = []
    with open_folder(plan) as folder, StateFile(plan.state_file) as state:
        try:
            async with open_http() as http:
                demo = await _brought_up(Starter(plan, folder, Secrets(), children), http, tell)
                state.write(told(demo))
                yield demo
        except (StoreMisconfigured, StoreUnavailable) as error:
            raise Unworkable(f"The demo's database cannot be used: {error}") from error
        finally:
            await processes.end([*reversed(children)])


async def _brought_up(starter: Starter, http: aiohttp.ClientSession, tell: Tell) -> Demo:
    plan, folder, trust = starter.plan, starter.folder, starter.trust
    operator = InstanceClient(http, trust.instance_api_key)
    tell("Starting a simulated WhatsApp")
    whatsapp = starter.whatsapp()
    async with open_stores(_only_database(starter.database_url)) as stores:
        announced = await processes.announced(whatsapp)
        address: str = announced["address"]
        starter.root_key = announced.get("root_key", "")
        population = await settle(stores.directory, plan)  # while the processor is ours: starting takes all of it
        tell(f"Starting {plan.instances} instances")
        numbers = {str(url): number for number, url in enumerate(plan.instance_urls, 1)}
        others = {url: number for url, number in numbers.items() if plan.family(InstanceUrl(url)) != DEFAULT_FAMILY}
        ours = {url: starter.instance(number, address) for url, number in numbers.items() if url not in others}
        async with open_vault(starter.database_url, key=trust.vault_key) as (vault, *_):
            disks = {url: starter.disk(number) for url, number in others.items()}
            if plan.engine is None:
                await pair(population.residents, address, vault, disks)
            else:
                await pair_really(population.residents, http, address, vault)
        theirs = {url: starter.other_gateway(number, address) for url, number in others.items()}
        instances = {url: (ours | theirs)[url] for url in numbers}
        for child in instances.values():
            await processes.announced(child)
        tell(f"Logging {plan.accounts} accounts in")
        await log_in(stores.directory, population.residents, operator)
        login_code = await code_for(population.key_id, stores.logins, SystemEntropy())
    tell("Starting the gateway" if plan.gateways == 1 else f"Starting {plan.gateways} gateways")
    gateways = {url: starter.gateway(number) for number, url in enumerate(plan.gateway_urls, 1)}
    clients = [DemoCaller(http, url, population.token) for url in gateways]
    for client, child in zip(clients, gateways.values(), strict=True):
        await _until_ready(client, child)
    return Demo(
        plan=plan,
        folder=folder,
        database_url=starter.database_url,
        secrets=trust,
        whatsapp=whatsapp,
        whatsapp_address=address,
        instances=instances,
        gateways=gateways,
        population=population,
        login_code=login_code,
        starter=starter,
        gateway=clients[0],
        operator=operator,
    )


def told(demo: Demo) -> dict[str, Any]:
    """What other programs are told."""
    url = demo.gateway.url
    state: dict[str, Any] = {
        "api_url": url,
        "dashboard_url": url + "/",
        "token": demo.population.token,
        "database": demo.database_url,
        "ledger": str(demo.folder.ledger),
        "hmac_secret": demo.secrets.hmac_secret,
        "instance_api_key": demo.secrets.instance_api_key,
        "whatsapp": {"pid": demo.whatsapp.pid, "address": demo.whatsapp_address},
        "gateway": {"pid": demo.gateways[url].pid},
        "instances": [_instance(demo, address, child.pid) for address, child in demo.instances.items()],
        "accounts": [
            {
                "id": resident.id,
                "uuid": resident.uuid,
                "phone": resident.phone,
                "session_id": resident.session_id,
                "workspace_id": resident.workspace_id,
                "instance_url": resident.instance_url,
            }
            for resident in demo.population.residents
        ],
        "contacts": [{"uuid": contact.uuid, "phone": contact.phone} for contact in demo.population.contacts],
    }
    if len(demo.gateways) > 1:
        state["gateways"] = [{"url": address, "pid": child.pid} for address, child in demo.gateways.items()]
    return state


def _instance(demo: Demo, address: str, pid: int) -> dict[str, Any]:
    """Which gateway it is only where there is more than one kind."""
    driver = {"driver": demo.plan.family(InstanceUrl(address))} if demo.plan.families else {}
    return {"url": address, "pid": pid, **driver}


def _nth(urls: Sequence[str], number: int) -> str | None:
    return urls[number - 1] if urls else None


def _only_database(url: str) -> Settings:
    """Settings that take nothing from the caller's environment or `.env`."""
    return Settings.model_construct(homing_database_url=url, homing_redis_url="")


async def _until_ready(client: DemoCaller, child: Child) -> None:
    deadline_s = time.monotonic() + LISTENS_WITHIN_S
    while not await client.ready():
        processes.check_alive(child)
        if time.monotonic() > deadline_s:
            raise Unworkable(
                f"{child.name} was not ready within {LISTENS_WITHIN_S:.0f} s; its last words: {child.last_words()}"
            )
        await asyncio.sleep(0.05)
