"""Bringing a stage up: servers, ways, and the demo fleet that reaches everything by them."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random, SystemRandom
from urllib.parse import urlsplit, urlunsplit

from homing.demo.opening import Demo, open_demo
from homing.demo.plan import Detours, Plan, Unworkable
from homing.lab.chaos.client import Client
from homing.lab.chaos.gateway import DIE_AT
from homing.lab.chaos.judge import Judge
from homing.lab.chaos.proxy import HOST, Way
from homing.lab.chaos.servers import Postgres, Server, own_postgres, own_redis
from homing.lab.chaos.stage import OWN_POSTGRES, SQLITE, Stage, Wanted

Tell = Callable[[str], None]


@asynccontextmanager
async def open_stage(wanted: Wanted, tell: Tell, chance: Random) -> AsyncIterator[Stage]:
    """The fleet on free ports, with a way of its own to each instance, and from each process to the database.

    Raises Unworkable, with nothing left behind.
    """
    async with AsyncExitStack() as stack:
        under = await _Ground.laid(wanted, tell, chance, stack)
        demo = await stack.enter_async_context(open_demo(under.plan(wanted), tell))
        stage = under.stage(wanted, demo, chance)
        stack.push_async_callback(stage.close)
        yield stage


class _Ground:
    """What is there before the fleet is: ports, servers, ways."""

    def __init__(self, wanted: Wanted) -> None:
        self.postgres: Postgres | None = None
        self.redis: Server | None = None
        self.database: str | None = None
        self.first_port = _free_ports(2 * wanted.instances + wanted.gateways)
        self.listening = range(self.first_port + wanted.instances, self.first_port + 2 * wanted.instances)
        self.ways: list[Way] = []
        self.gateway_stores: list[Way] = []
        self.instance_stores: list[Way] = []

    @classmethod
    async def laid(cls, wanted: Wanted, tell: Tell, chance: Random, stack: AsyncExitStack) -> "_Ground":
        ground = cls(wanted)
        if wanted.database == OWN_POSTGRES:
            tell("Setting up a PostgreSQL")
            ground.postgres = await stack.enter_async_context(own_postgres())
            ground.database = ground.postgres.url
        elif wanted.database != SQLITE:
            ground.database = wanted.database
        if wanted.redis:
            ground.redis = await stack.enter_async_context(own_redis())

        async def way(port: int, server: tuple[str, int]) -> Way:
            opened = Way(port, server, chance)
            await opened.open()
            stack.push_async_callback(opened.close)
            return opened

        ground.ways = [await way(port - wanted.instances, (HOST, port)) for port in ground.listening]
        if ground.database is not None:
            at = urlsplit(ground.database)
            server = (at.hostname or HOST, at.port or 5432)
            ground.gateway_stores = [await way(0, server) for _ in range(wanted.gateways)]
            ground.instance_stores = [await way(0, server) for _ in range(wanted.instances)]
        return ground

    def plan(self, wanted: Wanted) -> Plan:
        settings = {**wanted.settings}
        if self.redis is not None:
            settings["HOMING_REDIS_URL"] = f"redis://{HOST}:{self.redis.port}/0"
        return Plan(
            accounts=wanted.accounts,
            contacts=wanted.contacts,
            instances=wanted.instances,
            gateways=wanted.gateways,
            first_instance_port=self.first_port,
            gateway_port=self.first_port + 2 * wanted.instances,
            folder=wanted.folder,
            fresh=wanted.folder is not None,
            database_url=self.database,
            reports=wanted.reports,
            detours=Detours(
                tuple(self.listening),
                tuple(self._by(way) for way in self.gateway_stores),
                tuple(self._by(way) for way in self.instance_stores),
            ),
            gateway_program=("homing.lab.chaos.gateway", [DIE_AT]),
            settings=settings,
        )

    def stage(self, wanted: Wanted, demo: Demo, chance: Random) -> Stage:
        urls = list(demo.instances)
        return Stage(
            wanted=wanted,
            demo=demo,
            client=Client(list(demo.gateways), demo.population.token, demo.population.contacts),
            judge=Judge(demo.folder.ledger),
            chance=chance,
            ways=dict(zip(urls, self.ways, strict=True)),
            listens={url: f"http://{HOST}:{port}" for url, port in zip(urls, self.listening, strict=True)},
            gateway_stores=self.gateway_stores,
            instance_stores=dict(zip(urls, self.instance_stores, strict=False)),
            postgres=self.postgres,
            redis=self.redis,
        )

    def _by(self, way: Way) -> str:
        """The database's address by that way."""
        assert self.database is not None
        at = urlsplit(self.database)
        user = f"{at.netloc.rpartition('@')[0]}@" if "@" in at.netloc else ""
        return urlunsplit(at._replace(netloc=f"{user}{HOST}:{way.port}"))


def _free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on, below those that the system gives out."""
    for first in range(20_000 + SystemRandom().randrange(8_000), 32_000, count):
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
