"""A demo fleet on which faults are played: its processes, the ways between them, and what stands under it."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from homing.chaos.client import Client
from homing.chaos.conditions import CLEAR, Conditions, Passing
from homing.chaos.judge import Judge
from homing.chaos.proxy import HOST, Way
from homing.chaos.servers import Postgres, Server, own_postgres, own_redis
from homing.demo.opening import Demo, open_demo
from homing.demo.plan import Detours, Plan, Unworkable
from homing.demo.population import Resident
from homing.drivers.wire import Wire
from homing.model.faults import Fault

SQLITE = "sqlite"
OWN_POSTGRES = "postgres"
_LISTS_WITHIN_S = 3.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """The fleet to be. `database`: `sqlite`, `postgres` (a server of this run's own), or an empty database's URL."""

    database: str = SQLITE
    gateways: int = 1
    instances: int = 4
    accounts: int = 100
    contacts: int = 50
    folder: Path | None = None
    reports: bool = True
    redis: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def on_postgres(self) -> bool:
        return self.database != SQLITE


@dataclass(frozen=True, slots=True)
class Row:
    """A session as its instance lists it."""

    session_id: str
    status: str
    epoch: int


@dataclass(slots=True)
class Stage:
    """The fleet, up. Instances are by their address; `listens` is where each really does."""

    wanted: Wanted
    demo: Demo
    client: Client
    judge: Judge
    chance: Random
    ways: dict[str, Way]
    listens: dict[str, str]
    gateway_stores: list[Way]
    instance_stores: dict[str, Way]
    postgres: Postgres | None = None
    redis: Server | None = None
    _wire: Wire = field(default_factory=Wire)

    @property
    def residents(self) -> list[Resident]:
        return self.demo.population.residents

    @property
    def instances(self) -> list[str]:
        return list(self.demo.instances)

    @property
    def gateways(self) -> list[str]:
        return list(self.demo.gateways)

    # --- processes ------------------------------------------------------------------------------------------------

    def kill_instance(self, url: str) -> None:
        """kill -9. Nobody listens at its address from here on."""
        self.demo.instances[url].process.kill()
        self.demo.instances[url].process.wait()
        self.ways[url].become(Conditions(Passing.REFUSED))

    async def end_instance(self, url: str) -> None:
        """SIGTERM, and what it does then."""
        process = self.demo.instances[url].process
        process.terminate()
        await asyncio.to_thread(process.wait)
        self.ways[url].become(Conditions(Passing.REFUSED))

    async def start_instance(self, url: str) -> None:
        self.ways[url].become(CLEAR)
        await self.demo.start_instance_again(url)

    def signal_instance(self, url: str, number: signal.Signals) -> None:
        os.kill(self.demo.instances[url].pid, number)

    def kill_gateway(self, url: str) -> None:
        self.demo.gateways[url].process.kill()
        self.demo.gateways[url].process.wait()

    async def start_gateway(self, url: str, more: Mapping[str, str] | None = None) -> None:
        """It can do its work when this returns."""
        self.demo.start_gateway_again(url, more)
        await self.ready(url)

    def signal_gateway(self, url: str, number: signal.Signals) -> None:
        os.kill(self.demo.gateways[url].pid, number)

    async def ready(self, url: str, within_s: float = 60.0) -> None:
        """Until the gateway can do its work. Raises Unworkable."""
        for _ in range(int(within_s / 0.05)):
            reply = await self._wire.call("GET", url, "/ready", timeout_s=2)
            if not isinstance(reply, Fault) and reply.status == 200:
                return
            await asyncio.sleep(0.05)
        raise Unworkable(f"The gateway {url} was not ready within {within_s:.0f} s")

    # --- looking --------------------------------------------------------------------------------------------------

    async def listed(self, url: str) -> dict[str, Row] | None:
        """What an instance has, asked past everything that stands before it; None if it does not answer."""
        path = f"/api/sessions?api_key={self.demo.secrets.instance_api_key}"
        reply = await self._wire.call("GET", self.listens[url], path, timeout_s=_LISTS_WITHIN_S)
        if isinstance(reply, Fault) or reply.status != 200:
            return None
        rows = json.loads(reply.body)["sessions"]
        found = [Row(row["session_id"], row["status"], int(row.get("epoch") or 0)) for row in rows]
        return {row.session_id: row for row in found}

    async def knock(self, url: str, session: str, epoch: int, text: str, timeout_s: float) -> int:
        """A send straight to an instance, under an epoch; the status that it answered, 0 if it did not."""
        body = {
            "api_key": self.demo.secrets.instance_api_key,
            "session_id": session,
            "workspace_id": 1,
            "recipient_phone": self.demo.population.contacts[0].phone,
            "message": text,
        }
        headers = {"Content-Type": "application/json", "X-Homing-Epoch": str(epoch)}
        raw = json.dumps(body).encode()
        path = "/api/messages/send"
        reply = await self._wire.call("POST", self.listens[url], path, body=raw, headers=headers, timeout_s=timeout_s)
        return 0 if isinstance(reply, Fault) else reply.status

    async def api(self, path: str, *, method: str = "GET", body: Any = None) -> dict[str, Any]:
        """A resource under /api/v1, from whichever gateway answers. Raises Unworkable."""
        said = ""
        for number in range(len(self.gateways)):
            answer = await self.client.ask(method, f"/api/v1{path}", body, gateway=number)
            if 200 <= answer.status < 300:
                return answer.document
            said = str(answer)
        raise Unworkable(f"No gateway answered {method} {path}: {said}")

    async def close(self) -> None:
        await self._wire.close()
        await self.client.close()


@asynccontextmanager
async def open_stage(wanted: Wanted, tell: Callable[[str], None], chance: Random) -> AsyncIterator[Stage]:
    """The fleet on free ports, with a way of its own to each instance, and from each process to the database.

    Raises Unworkable, with nothing left behind.
    """
    async with AsyncExitStack() as stack:
        postgres, database = await _database(wanted, stack, tell)
        redis = await stack.enter_async_context(own_redis()) if wanted.redis else None
        first = _free_ports(2 * wanted.instances + wanted.gateways)
        listening = range(first + wanted.instances, first + 2 * wanted.instances)
        ways = [await _way(first + number, (HOST, port), chance, stack) for number, port in enumerate(listening)]
        stores = [await _store_way(database, chance, stack) for _ in range(wanted.gateways + wanted.instances)]
        through = [_through(database, way) for way in stores if database and way]
        detours = Detours(tuple(listening), tuple(through[: wanted.gateways]), tuple(through[wanted.gateways :]))
        settings = dict(wanted.settings)
        if redis is not None:
            settings["HOMING_REDIS_URL"] = f"redis://{HOST}:{redis.port}/0"
        plan = Plan(
            accounts=wanted.accounts,
            contacts=wanted.contacts,
            instances=wanted.instances,
            gateways=wanted.gateways,
            first_instance_port=first,
            gateway_port=first + 2 * wanted.instances,
            folder=wanted.folder,
            fresh=wanted.folder is not None,
            database_url=database,
            reports=wanted.reports,
            detours=detours,
            settings=settings,
        )
        demo = await stack.enter_async_context(open_demo(plan, tell))
        urls = list(demo.instances)
        there = [way for way in stores if way is not None]
        stage = Stage(
            wanted=wanted,
            demo=demo,
            client=Client(list(demo.gateways), demo.population.token, demo.population.contacts),
            judge=Judge(demo.folder.ledger),
            chance=chance,
            ways=dict(zip(urls, ways, strict=True)),
            listens={url: f"http://{HOST}:{port}" for url, port in zip(urls, listening, strict=True)},
            gateway_stores=there[: wanted.gateways],
            instance_stores=dict(zip(urls, there[wanted.gateways :], strict=False)),
            postgres=postgres,
            redis=redis,
        )
        stack.push_async_callback(stage.close)
        yield stage


async def _database(
    wanted: Wanted, stack: AsyncExitStack, tell: Callable[[str], None]
) -> tuple[Postgres | None, str | None]:
    if wanted.database == SQLITE:
        return None, None
    if wanted.database != OWN_POSTGRES:
        return None, wanted.database
    tell("Setting up a PostgreSQL")
    postgres = await stack.enter_async_context(own_postgres())
    return postgres, postgres.url


async def _way(port: int, server: tuple[str, int], chance: Random, stack: AsyncExitStack) -> Way:
    way = Way(port, server, chance)
    await way.open()
    stack.push_async_callback(way.close)
    return way


async def _store_way(database: str | None, chance: Random, stack: AsyncExitStack) -> Way | None:
    if database is None:
        return None
    at = urlsplit(database)
    return await _way(0, (at.hostname or HOST, at.port or 5432), chance, stack)


def _through(url: str, way: Way) -> str:
    """The database's address by that way."""
    at = urlsplit(url)
    user = f"{at.netloc.rpartition('@')[0]}@" if "@" in at.netloc else ""
    return urlunsplit(at._replace(netloc=f"{user}{HOST}:{way.port}"))


def _free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on, below those that the system gives out."""
    for first in range(20_000 + os.getpid() * 37 % 8_000, 32_000, count):
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise Unworkable("There are no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
