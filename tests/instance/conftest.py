"""A simulated WhatsApp and a credentials store in memory, hosts between them, and instances over real TCP."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from sqlalchemy import update
from stores import BRIEF, KEY, QUICK, VAULT_KEY, Breakable, Stored, stored
from structlog.testing import capture_logs

from homing.instance.engines.simulated import SimulatedEngine
from homing.instance.host import SessionHost
from homing.instance.lease import LeaseKeeper
from homing.instance.notify.events import HostEvent
from homing.instance.run import InstanceSettings, RunningInstance
from homing.model.instances.vault import Grant, Holder
from homing.ports import Clock, Leases, StoreUnavailable
from homing.ports.sessions.exit_proxies import KnowsExitProxies
from homing.store.db.opening import open_database
from homing.store.db.schema.tables import credentials, store_clock
from homing.store.grants.leases import SqlLeases
from homing.store.vault.sealing import KeyRing, fresh_key
from homing.store.vault.vault import SqlVault
from homing.world import SystemClock
from simulated_whatsapp.client import Administration
from simulated_whatsapp.core import Judge
from simulated_whatsapp.exchange import Exchange
from simulated_whatsapp.ledger import Delivery, Ledger, read
from simulated_whatsapp.server import Server, ServerSettings
from simulated_whatsapp.wire import MemoryWire, OnClosed, OnFrame
from virtually import pytest_asyncio_loop_factories as pytest_asyncio_loop_factories


class Time(SystemClock):
    """Real time, which a test can let jump as it does for a process that was frozen."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s

    def jump(self, by_s: float) -> None:
        self.ahead_s += by_s


class LossyWire(MemoryWire):
    """A wire that keeps messages to itself while the network says so."""

    def __init__(self, network: "Network", on_frame: OnFrame, on_closed: OnClosed) -> None:
        super().__init__(network.exchange, on_frame, on_closed)
        self._network = network

    def send(self, frame: dict[str, Any]) -> None:
        if self._network.lose_frames and frame["do"] == "send":
            self._network.lost += 1
            return
        super().send(frame)


class Network:
    """WhatsApp in memory, its ledger a list, its wires within reach of the test."""

    def __init__(self) -> None:
        self.ledger: list[Delivery] = []
        self.judge = Judge()
        self.wires: list[MemoryWire] = []
        self.unreachable = False
        self.swallowed = 0
        self.way_free = asyncio.Event()
        self.way_free.set()
        self.swallow_answers = False
        self.lose_frames = False
        self.lost = 0
        loop = asyncio.get_running_loop()
        self.exchange = Exchange(self.judge, self, clock=time.time, later=loop.call_later)

    def append(self, deliveries: tuple[Delivery, ...]) -> None:
        self.ledger.extend(deliveries)

    async def dial(self, on_frame: OnFrame, on_closed: OnClosed) -> MemoryWire:
        self._check_reachable()
        await asyncio.sleep(0)
        await self.way_free.wait()
        self._check_reachable()

        def hear(frame: dict[str, Any]) -> None:
            if self.swallow_answers:
                self.swallowed += 1
            else:
                on_frame(frame)

        wire = LossyWire(self, hear, on_closed)
        self.wires.append(wire)
        return wire

    def _check_reachable(self) -> None:
        if self.unreachable:
            raise ConnectionRefusedError("nobody there")

    def texts(self) -> list[str]:
        return [delivery.text for delivery in self.ledger]


class Withheld:
    """Leases whose renewals do not get through while the world says so."""

    def __init__(self, world: "World", inner: SqlLeases) -> None:
        self._world, self._inner = world, inner
        self.begin, self.end, self.incarnations = inner.begin, inner.end, inner.incarnations

    async def renew(self, holder: Holder, **more: Any) -> Any:
        if self._world.blocked_leases:
            raise StoreUnavailable("withheld")
        return await self._inner.renew(holder, **more)


class World:
    """Hosts over one network and one store."""

    def __init__(self, database: Breakable, credentials: SqlVault) -> None:
        self.network = Network()
        self.database = database
        self.credentials = credentials
        self.other_leases = SqlLeases(database)
        self.leases = Withheld(self, self.other_leases)
        self.blocked_leases = False
        self.clock = Time()
        self.events: list[HostEvent] = []
        self.hosts: list[SessionHost] = []
        self._boots = 0
        self.leasing: list[asyncio.Task[None]] = []

    async def link(self, *session_ids: str) -> None:
        """Linked devices whose logins lie in the vault, held by nobody."""
        given = self.network.judge.preregister([(session_id, "62810") for session_id in session_ids])
        await self.credentials.adopt({each.session_id: asdict(each) for each in given})

    async def stored(self, session_id: str = "s1") -> Stored:
        """What the vault has of a session."""
        return await stored(self.database, session_id)

    def kill(self, host: SessionHost) -> None:
        """End the host as `kill -9` does: nobody is told, its connections close."""
        place = self.hosts.index(host)
        self.leasing[place].cancel()
        for session in host.sessions():
            session._tasks.cancel()
            session._sending._notes.end()
            if session._connection.wire is not None:
                session._connection.wire.device._conversation._on_closed = lambda: None
                session._connection.wire.close()
        host._sessions.clear()

    async def grant_elsewhere(self, session_id: str = "s1", url: str = "http://elsewhere") -> Grant:
        """What a gateway does when it brings a session to another instance."""
        grant = await self.credentials.open(session_id, epoch=None, holder=Holder(url, "another boot"))
        assert isinstance(grant, Grant)
        return grant

    def another_clock(self) -> Time:
        return Time()

    async def forget_grants(self, session_id: str, *, epoch: int) -> None:
        """What a failover does that loses the newest commits."""
        await self.as_if_raised(session_id, epoch=epoch, reserved_to=0)

    async def become_another_store(self) -> None:
        """A store with another history, as an instance sees it."""
        named = update(store_clock).values(store_id="promoted")
        await self.database.write(lambda connection: connection.execute(named))

    async def as_if_raised(self, session_id: str, **fields: Any) -> None:
        changed = update(credentials).where(credentials.c.session_id == session_id).values(fields)
        await self.database.write(lambda connection: connection.execute(changed))

    def host(
        self, url: str = "http://one", clock: Clock | None = None, leases: Leases | None = None, **policy: Any
    ) -> SessionHost:
        clock, leases = clock or self.clock, leases or self.leases

        async def listen(event: HostEvent) -> None:
            self.events.append(event)

        host = SessionHost(
            SimulatedEngine(self.network.dial),
            self.credentials,
            LeaseKeeper(leases, url, clock, fresh_id=self._fresh_id, policy=BRIEF),
            clock=clock,
            random=Random(7),
            policy=replace(QUICK, **policy),
            on_event=listen,
        )
        self.hosts.append(host)
        self.leasing.append(asyncio.create_task(host.lease.run(host)))
        return host

    def _fresh_id(self) -> str:
        self._boots += 1
        return f"boot-{self._boots}"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    database = Breakable(open_database("sqlite://"))
    credentials = await SqlVault.of(database, KeyRing(fresh_key()))
    world = World(database, credentials)
    yield world
    database.away = database.mute = False
    database.open.set()
    for host, leasing in zip(world.hosts, world.leasing, strict=True):
        leasing.cancel()
        await host.shutdown()
    await credentials.close()
    await database.close()


class Caller:
    """Speaks to one instance over HTTP, with its key."""

    def __init__(self, http: aiohttp.ClientSession, instance: RunningInstance) -> None:
        self.http = http
        self.url = instance.url
        self.instance = instance

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        async with self.http.get(self.url + path, params={"api_key": KEY, **query}) as reply:
            return reply.status, await reply.json()

    async def post(self, path: str, body: dict[str, Any], epoch: int | None = None) -> tuple[int, Any]:
        return await self.ask("POST", path, body, epoch)

    async def ask(self, method: str, path: str, body: dict[str, Any], epoch: int | None = None) -> tuple[int, Any]:
        headers = {} if epoch is None else {"X-Homing-Epoch": str(epoch)}
        url = self.url + path
        async with self.http.request(method, url, json={"api_key": KEY, **body}, headers=headers) as reply:
            return reply.status, await reply.json()

    async def start(self, session_id: str = "s1", epoch: int | None = None) -> tuple[int, Any]:
        return await self.post("/api/sessions", {"session_id": session_id, "workspace_id": 1}, epoch)

    async def stop(self, session_id: str = "s1") -> tuple[int, Any]:
        return await self.ask("DELETE", f"/api/sessions/{session_id}", {})

    async def send(self, text: str = "hi", epoch: int | None = None, **more: Any) -> tuple[int, Any]:
        body = {"session_id": "s1", "recipient_phone": "+62 811", "message": text, "type": "text", **more}
        return await self.post("/api/messages/send", body, epoch)


class Fleet:
    """A simulated WhatsApp and instances over real sockets, sharing one database."""

    def __init__(self, stack: AsyncExitStack, folder: Path, database_url: str) -> None:
        self._stack = stack
        self._folder = folder
        self.database_url = database_url

    async def begin(self) -> None:
        self.database = Breakable(open_database(self.database_url))
        self._stack.push_async_callback(self.database.close)
        self.credentials = await SqlVault.of(self.database, KeyRing(VAULT_KEY))
        self._stack.push_async_callback(self.credentials.close)
        self.leases = SqlLeases(self.database)
        self.server = await self._stack.enter_async_context(
            await Server.start(ServerSettings(ledger=self._folder / "ledger.jsonl"))
        )
        self.http = await self._stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        )
        self.whatsapp = await self._stack.enter_async_context(Administration(self.server.address))

    async def link(self, *session_ids: str) -> None:
        given = await self.whatsapp.preregister([(session_id, "62810") for session_id in session_ids])
        await self.credentials.adopt({each.session_id: asdict(each) for each in given})

    async def instance(self, *, exits: KnowsExitProxies | None = None, **changes: Any) -> Caller:
        settings = InstanceSettings(
            whatsapp_address=self.server.address,
            api_key=KEY,
            port=0,
            bulk_spacing_s=0.001,
            policy=QUICK,
            lease=BRIEF,
            fault_injection=True,
        )
        if (gateway := changes.get("gateway")) is not None:
            changes["gateway"] = replace(gateway, journal_folder=self._folder / "journals")
        instance = await RunningInstance.start(
            replace(settings, **changes), self.credentials, self.leases, SystemClock(), exits=exits
        )
        return Caller(self.http, await self._stack.enter_async_context(instance))

    async def stored(self, session_id: str) -> Stored:
        """What the vault has of a session."""
        return await stored(self.database, session_id)

    def journals(self) -> list[Path]:
        return sorted(self._folder.glob("journals/*.jsonl"))

    def write_down(self, delivery: Delivery) -> None:
        """Let a message have reached its recipient, without anybody being told."""
        with Ledger(self._folder / "ledger.jsonl") as ledger:
            ledger.append([delivery])

    def ledger(self) -> list[Delivery]:
        return read(self._folder / "ledger.jsonl")


@asynccontextmanager
async def fleet_on(database_url: str, folder: Path) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        fleet = Fleet(stack, folder, database_url)
        await fleet.begin()
        yield fleet
    await asyncio.sleep(0.005)  # the last connections close


@pytest.fixture
async def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Fleet]:
    """One whose database is in memory, unless the test starts processes, which need one that they can open."""
    in_memory = "processes" not in request.fixturenames
    async with fleet_on("sqlite://" if in_memory else request.getfixturevalue("sqlite_url"), tmp_path) as fleet:
        yield fleet


@pytest.fixture
async def pg_fleet(postgres_url: str, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with fleet_on(postgres_url, tmp_path) as fleet:
        yield fleet


class Processes:
    """Instances as processes, beside the fleet's WhatsApp and on its database."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self._fleet = fleet
        self._folder = folder
        self.all: list[Process] = []

    async def instance(
        self, *options: str, port: int = 0, environment: dict[str, str] | None = None
    ) -> tuple[Process, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "homing.cli", "instance", "--port", str(port), "--api-key", "secret"),
            *("--whatsapp", self._fleet.server.address, *options),
            stdout=PIPE,
            stderr=PIPE,
            cwd=self._folder,
            env={
                **os.environ,
                "HOMING_DATABASE_URL": self._fleet.database_url,
                "HOMING_VAULT_KEY": str(VAULT_KEY),
                **(environment or {}),
            },
        )
        self.all.append(process)
        line = await asyncio.wait_for(process.stdout.readline(), 15)
        if not line:
            return process, (await process.stderr.read()).decode()
        ready = json.loads(line)
        assert ready["pid"] == process.pid
        return process, ready["url"]

    async def post(self, url: str, path: str, body: dict, *, epoch: int | None = None) -> tuple[int, dict]:
        headers = {} if epoch is None else {"X-Homing-Epoch": str(epoch)}
        async with self._fleet.http.post(url + path, json={"api_key": "secret", **body}, headers=headers) as reply:
            return reply.status, await reply.json()

    async def start(self, url: str) -> tuple[int, dict]:
        return await self.post(url, "/api/sessions", {"session_id": "s1", "workspace_id": 1})

    async def send(self, url: str, text: str, message_id: str) -> tuple[int, dict]:
        body = {"session_id": "s1", "recipient_phone": "62811", "message": text, "message_id": message_id}
        return await self.post(url, "/api/messages/send", body)


@asynccontextmanager
async def processes_of(fleet: Fleet, folder: Path) -> AsyncIterator[Processes]:
    processes = Processes(fleet, folder)
    yield processes
    for process in processes.all:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
async def processes(fleet: Fleet, tmp_path: Path) -> AsyncIterator[Processes]:
    async with processes_of(fleet, tmp_path) as processes:
        yield processes


@pytest.fixture
async def pg_processes(pg_fleet: Fleet, tmp_path: Path) -> AsyncIterator[Processes]:
    async with processes_of(pg_fleet, tmp_path) as processes:
        yield processes


Eventually = Callable[[Callable[[], bool | Awaitable[bool]]], Awaitable[None]]


@pytest.fixture
def eventually() -> Eventually:
    """Waits until something is so, and fails after four seconds if it never was."""

    async def wait(is_so: Callable[[], bool | Awaitable[bool]]) -> None:
        async with asyncio.timeout(4):
            while True:
                answer = is_so()
                if answer if isinstance(answer, bool) else await answer:
                    return
                await asyncio.sleep(0.002)

    return wait


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """The lines of the log, as the test goes on."""
    with capture_logs() as lines:
        yield lines
