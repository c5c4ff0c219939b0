"""Bringing a stage up: equipment, servers, ways, and the demo fleet that reaches everything by them."""

import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random, SystemRandom
from urllib.parse import urlsplit, urlunsplit

from homing.demo.opening import Demo, open_demo
from homing.demo.plan import DemoPlan, Detours, Unworkable
from homing.lab.chaos.client import Client
from homing.lab.chaos.ground import names
from homing.lab.chaos.ground.equipment import SMALL_LOG, Equipment, Equipped, equip
from homing.lab.chaos.ground.gateway import DIE_AT
from homing.lab.chaos.ground.mounts import Unmountable
from homing.lab.chaos.ground.proxy import HOST, Way
from homing.lab.chaos.ground.servers import GroundServer, Postgres, own_bouncer, own_pair, own_postgres, own_redis
from homing.lab.chaos.judge import Judge, MultideviceJudge
from homing.lab.chaos.stage import OWN_POSTGRES, SQLITE, Stage, StageOrder, Ways

POOLED = 20
"""Connections that PgBouncer has to PostgreSQL, as it comes."""

Tell = Callable[[str], None]


@asynccontextmanager
async def open_stage(wanted: StageOrder, tell: Tell, chance: Random) -> AsyncIterator[Stage]:
    """The fleet on free ports, with a way of its own to each instance, and from each process to the database.

    Raises Unworkable, with nothing left behind.
    """
    async with AsyncExitStack() as stack:
        under = _Ground(wanted, chance, stack)
        try:
            await under.lay(tell)
        except Unmountable as error:
            raise Unworkable(f"The fleet cannot have {wanted.equipment.value}: {error}") from error
        demo = await stack.enter_async_context(open_demo(under.plan(), tell))
        stage = under.stage(demo)
        stack.push_async_callback(stage.close)
        yield stage


class _Ground:
    """What is there before the fleet is: ports, servers, ways."""

    def __init__(self, wanted: StageOrder, chance: Random, stack: AsyncExitStack) -> None:
        self._wanted, self._chance, self._stack = wanted, chance, stack
        self.equipped = Equipped()
        self.postgres: Postgres | None = None
        self.redis: GroundServer | None = None
        self.database: str | None = None
        self.listen_url: str | None = None
        """The database past its pooler."""
        self.first_port = _free_ports(2 * wanted.instances + wanted.gateways)
        self.listening = range(self.first_port + wanted.instances, self.first_port + 2 * wanted.instances)
        self.ways: list[Way] = []
        self.gateway_stores: list[Ways] = []
        self.instance_stores: list[Ways] = []
        self.addresses: dict[str, dict[str, list[Way]]] = defaultdict(lambda: defaultdict(list))

    async def lay(self, tell: Tell) -> None:
        """Raises Unworkable and Unmountable."""
        wanted = self._wanted
        self.equipped = await equip(wanted.equipment, self._stack, wanted.instances, kept_in=wanted.folder)
        await self._lay_database(tell)
        if wanted.redis:
            self.redis = await self._stack.enter_async_context(own_redis())
        for number, port in enumerate(self.listening, 1):
            self.ways.append(await self._way(names.instance(number), port - wanted.instances, (HOST, port)))
        if wanted.on_postgres:
            self.gateway_stores = [await self._to_database() for _ in range(wanted.gateways)]
            self.instance_stores = [await self._to_database() for _ in range(wanted.instances)]
        self.equipped.open_pipes(self.plan(), self._stack)

    async def _lay_database(self, tell: Tell) -> None:
        wanted, enter = self._wanted, self._stack.enter_async_context
        disks = self.equipped.disks
        if not wanted.on_postgres:
            self.database = f"{SQLITE}:///{disks.database.path}/homing.db" if disks is not None else None
            return
        if wanted.database != OWN_POSTGRES:
            self.database = wanted.database
            return
        tell("Setting up a PostgreSQL")
        if wanted.equipment is Equipment.STANDBY:
            pair = self.equipped.pair = await enter(own_pair())
            self.database = f"postgresql://postgres@{HOST}:{pair.first.port},{HOST}:{pair.second.port}/postgres"
            return
        at = disks.database.path if disks is not None else None
        self.postgres = await enter(own_postgres(SMALL_LOG if at is not None else None, data=at))
        self.database = self.postgres.url
        if wanted.equipment is Equipment.POOLER:
            server = f"host={HOST} port={self.postgres.port} user=postgres"
            self.equipped.pooler = pooler = await enter(own_bouncer(server, "transaction", connections=POOLED))
            self.listen_url, self.database = self.database, f"postgresql://postgres@{HOST}:{pooler.port}/postgres"

    async def _to_database(self) -> Ways:
        """To each of its servers."""
        assert self.database is not None
        servers = urlsplit(self.database).netloc.rpartition("@")[2].split(",")
        return Ways([await self._way(names.DATABASE, 0, _host_and_port(server)) for server in servers])

    async def _way(self, name: str, port: int, server: tuple[str, int]) -> Way:
        """One from here, and where the name may lead elsewhere, one from there as well."""
        way = await self._opened(Way(port, server, self._chance))
        if self.equipped.names is not None:
            there = await self._opened(Way(way.port, server, self._chance, host=names.THERE))
            self.addresses[name][names.HERE].append(way)
            self.addresses[name][names.THERE].append(there)
        return way

    async def _opened(self, way: Way) -> Way:
        await way.open()
        self._stack.push_async_callback(way.close)
        return way

    def plan(self) -> DemoPlan:
        wanted, named, disks = self._wanted, self.equipped.names is not None, self.equipped.disks
        settings = {**wanted.settings}
        if self.redis is not None:
            settings["HOMING_REDIS_URL"] = f"redis://{HOST}:{self.redis.port}/0"
        if self.listen_url is not None:
            settings["HOMING_LISTEN_URL"] = self.listen_url
        return DemoPlan(
            accounts=wanted.accounts,
            contacts=wanted.contacts,
            instances=wanted.instances,
            gateways=wanted.gateways,
            first_instance_port=self.first_port,
            gateway_port=self.first_port + 2 * wanted.instances,
            folder=wanted.folder,
            journals=disks.journals.path / "journals" if disks is not None else None,
            logs=self.equipped.logs,
            fresh=wanted.folder is not None,
            database_url=self.database,
            reports=wanted.reports,
            detours=Detours(
                tuple(self.listening),
                tuple(self._by(ways) for ways in self.gateway_stores),
                tuple(self._by(ways) for ways in self.instance_stores),
            ),
            gateway_program=("homing.lab.chaos.ground.gateway", [DIE_AT]),
            settings=settings,
            apart=self.equipped.apart,
            engine=wanted.engine,
            instance_hosts=tuple(map(names.instance, range(1, wanted.instances + 1))) if named else (),
        )

    def stage(self, demo: Demo) -> Stage:
        urls = list(demo.instances)
        return Stage(
            wanted=self._wanted,
            demo=demo,
            client=Client(list(demo.gateways), demo.population.token, demo.population.contacts),
            judge=self._judge(demo),
            chance=self._chance,
            ways=dict(zip(urls, self.ways, strict=True)),
            listens={url: f"http://{HOST}:{port}" for url, port in zip(urls, self.listening, strict=True)},
            gateway_stores=self.gateway_stores,
            instance_stores=dict(zip(urls, self.instance_stores, strict=False)),
            equipped=self.equipped,
            addresses=self.addresses,
            postgres=self.postgres,
            redis=self.redis,
        )

    def _judge(self, demo: Demo) -> Judge:
        if self._wanted.engine is None:
            return Judge(demo.folder.ledger)
        sessions = {resident.digits: resident.session_id for resident in demo.population.residents}
        return MultideviceJudge(demo.folder.ledger, sessions=sessions)

    def _by(self, ways: Ways) -> str:
        """The database's address by those ways."""
        assert self.database is not None
        at = urlsplit(self.database)
        user = f"{at.netloc.rpartition('@')[0]}@" if "@" in at.netloc else ""
        host = names.DATABASE if self.equipped.names is not None else HOST
        servers = ",".join(f"{host}:{way.port}" for way in ways.each)
        return urlunsplit(at._replace(netloc=f"{user}{servers}"))


def _host_and_port(server: str) -> tuple[str, int]:
    host, _, port = server.rpartition(":") if ":" in server else (server, "", "5432")
    return host or HOST, int(port)


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
