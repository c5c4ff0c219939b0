"""A fleet of the Node service in virtual time, as bad as the real one: it opens whatever it is told to.

It restores one session after the other what it was handed at its boot, without looking whether one is open already,
and lists a session only from its turn on. A second browser on a login whose first one lives is noted: no test may see
one. Behaviour as recorded from ltmoerdani/blazz 5d71136, whatsapp-service.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from homing.drivers.http.connection import Reply
from homing.drivers.webjs.driver import WebjsDriver
from homing.flows.background.alerts import AlertBook
from homing.flows.background.worker import Duty, Worker
from homing.flows.discovery.incarnations import Looking
from homing.flows.discovery.wakeups import News
from homing.flows.failover.exits import Exits
from homing.flows.failover.keeper import Keeper, KeeperPolicy
from homing.flows.failover.restoring import KnownInstances, Restoring
from homing.flows.failover.stuck_moves import Strays
from homing.flows.failover.watching import Watching, WatchPolicy
from homing.flows.moves.batch import RehomePolicy
from homing.flows.moves.move_jobs import KIND, PATIENCE, Rehoming
from homing.lab.sim.world import SeededEntropy, VirtualClock
from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import (
    Account,
    AccountUuid,
    Capabilities,
    Epoch,
    InstanceUrl,
    MoveKind,
    PlacementState,
    Rebinding,
    SessionId,
    Takeover,
    WorkspaceId,
)
from homing.model.instances.gateways import Traits
from homing.model.sends.faults import Fault, Phase
from homing.ports import NewAccount, Roster, RosterChanged
from homing.store.db.opening import open_database
from homing.store.directory.directory import SqlDirectory
from homing.store.grants.grants import SqlGrants
from homing.store.grants.leases import SqlLeases
from homing.store.notices.notices import LocalNotices
from homing.store.records.alerts import SqlAlerts
from homing.store.work.queue import SqlWork

A, B, C = (InstanceUrl(f"http://{name}:3001") for name in "abc")
W = WorkspaceId(1)


@dataclass
class Browsers:
    """Which login has a browser, and where: WhatsApp's side of it."""

    live: dict[SessionId, list["Process"]] = field(default_factory=dict)
    opened: list[tuple[SessionId, InstanceUrl]] = field(default_factory=list)
    second: list[str] = field(default_factory=list)

    def open(self, session: SessionId, process: "Process") -> None:
        others = self.live.setdefault(session, [])
        if others:
            self.second.append(f"{session} on {process.node.url} while {[each.node.url for each in others]} have it")
        others.append(process)
        self.opened.append((session, process.node.url))

    def close(self, session: SessionId, process: "Process") -> None:
        self.live[session] = [each for each in self.live.get(session, []) if each is not process]

    def times(self, session: SessionId) -> int:
        return sum(opened == session for opened, _ in self.opened)


@dataclass(eq=False)
class Process:
    """One process of a Node service."""

    node: "Node"
    began_s: float
    listed: dict[SessionId, str] = field(default_factory=dict)
    tasks: set["asyncio.Task[Any]"] = field(default_factory=set)

    def do(self, what: Any) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(what)
        self.tasks.add(task)
        return task

    async def restore(self, sessions: Sequence[SessionId]) -> None:
        for session in sessions:
            await asyncio.sleep(self.node.restore_takes_s)
            self.open(session)

    async def create(self, session: SessionId) -> None:
        if not self.node.lists_late:
            self.listed[session] = "qr_scanning"
        self.node.browsers.open(session, self)
        await asyncio.sleep(self.node.create_takes_s)
        if self.node.creates_fail:
            self.listed.pop(session, None)
            self.node.browsers.close(session, self)
            return
        self.listed[session] = "connected"

    def open(self, session: SessionId) -> None:
        self.node.browsers.open(session, self)
        self.listed[session] = "connected"

    def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        for session in list(self.node.browsers.live):
            self.node.browsers.close(session, self)


@dataclass(eq=False)
class Node:
    """One Node service at its address, running or not."""

    url: InstanceUrl
    browsers: Browsers
    fleet: "NodeFleet"
    process: Process | None = None
    create_takes_s: float = 3.0
    restore_takes_s: float = 10.0
    lists_late: bool = False
    creates_fail: bool = False
    loses_answers: bool = False
    mute: bool = False
    unasked: bool = False
    """Nothing reaches it, by a limit of our own."""
    tells_age: bool = True
    creates: list[SessionId] = field(default_factory=list)
    deletes: list[SessionId] = field(default_factory=list)

    def boot(self, *, asks: bool = True) -> Process:
        """A new process. It asks for its sessions 0, 1 and 3 s after its start, and then never again."""
        assert self.process is None
        self.process = Process(self, asyncio.get_running_loop().time())
        if asks:
            self.process.do(self._ask(self.process))
        return self.process

    def kill(self) -> None:
        if self.process is not None:
            self.process.end()
        self.process = None

    async def _ask(self, process: Process) -> None:
        for wait_s in (0.5, 1.0, 2.0):
            await asyncio.sleep(wait_s)
            if self.fleet.serving:
                given = await self.fleet.directory.hand_out(self.url)
                await process.restore([account.session_id for account in given])
                return

    async def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        process = self.process
        assert process is not None
        where = path.split("?")[0]
        if where == "/health":
            age = {"uptime": asyncio.get_running_loop().time() - process.began_s} if self.tells_age else {}
            return 200, {"status": "healthy", **age, "sessions": {"total": len(process.listed), "connected": 0}}
        if where == "/api/sessions" and method == "GET":
            rows = [{"session_id": session, "status": status} for session, status in process.listed.items()]
            return 200, {"success": True, "sessions": rows, "total": len(rows)}
        if where == "/api/sessions" and method == "POST":
            return await self._create(process, SessionId(body["session_id"]))
        if where.endswith("/status"):
            session = SessionId(unquote(where.split("/")[3]))
            if session not in process.listed:
                return 404, {"error": "Session not found"}
            return 200, {"session_id": session, "status": process.listed[session]}
        if method == "DELETE":
            self.deletes.append(SessionId(unquote(where.split("/")[3])))
            return 200, {"success": True}
        return 404, {"error": "Endpoint not found"}

    async def _create(self, process: Process, session: SessionId) -> tuple[int, dict[str, Any]]:
        self.creates.append(session)
        await asyncio.shield(process.do(process.create(session)))
        if self.creates_fail:
            return 500, {"error": "Failed to launch the browser process"}
        return 200, {"success": True, "session_id": session, "status": "qr_scanning"}


class Wire:
    """`drivers.wire.Calls` to the services."""

    def __init__(self, nodes: dict[InstanceUrl, Node]) -> None:
        self._nodes = nodes

    async def call(
        self,
        method: str,
        base_url: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        body_limit_bytes: int = 0,
    ) -> Reply | Fault:
        node = self._nodes[InstanceUrl(base_url)]
        if node.unasked:
            return Fault(Phase.NOT_ATTEMPTED, "no connection is free")
        if node.process is None:
            return Fault(Phase.REFUSED, "connection refused")
        if node.mute:
            await asyncio.sleep(timeout_s)
            return Fault(Phase.REPLY_TIMED_OUT, "no answer in time")
        asked = asyncio.ensure_future(node.answer(method, path, json.loads(body) if body else {}))
        try:
            async with asyncio.timeout(timeout_s):
                status, said = await asyncio.shield(asked)
        except TimeoutError:
            return Fault(Phase.REPLY_TIMED_OUT, "no answer in time")
        except asyncio.CancelledError:
            if asked.cancelled() or node.process is None:
                return Fault(Phase.INTERRUPTED, "the connection was reset")
            raise
        if method == "POST" and node.loses_answers:
            return Fault(Phase.INTERRUPTED, "the connection was reset")
        return Reply(status, {}, json.dumps(said).encode())


@dataclass
class NodeFleet:
    """Services, the directory that knows them, and gateways."""

    clock: VirtualClock
    entropy: SeededEntropy
    directory: SqlDirectory
    notices: LocalNotices
    work: SqlWork
    grants: SqlGrants
    leases: SqlLeases
    alerts: AlertBook
    browsers: Browsers = field(default_factory=Browsers)
    nodes: dict[InstanceUrl, Node] = field(default_factory=dict)
    serving: bool = True
    """Whether a gateway answers those who ask for their sessions."""
    default_url: InstanceUrl | None = None
    roster: Roster = field(default_factory=Roster)
    accounts_made: int = 0

    def __post_init__(self) -> None:
        self._driver = WebjsDriver(Wire(self.nodes))

    def driver(self, url: InstanceUrl) -> WebjsDriver:
        return self._driver

    def traits(self, url: InstanceUrl) -> Traits:
        return WebjsDriver.traits

    def way(self, url: InstanceUrl) -> None:
        """Everything is asked here."""

    async def capabilities(self, url: InstanceUrl, *, timeout_s: float, fresh: bool = False) -> Capabilities | Fault:
        health = await self._driver.health(url, timeout_s=timeout_s)
        return health if isinstance(health, Fault) else health.capabilities

    def doubt(self, url: InstanceUrl) -> None:
        pass

    def withdraw_message_id(self, url: InstanceUrl) -> None:
        pass

    async def join(self, *urls: InstanceUrl, storage: str | None = None) -> None:
        for url in urls:
            await self.directory.create_instance(url)
            if storage is not None:
                await self.directory.change_instance(url, {"storage": storage})
            self.nodes[url] = Node(url, self.browsers, self)
        await self.refresh()

    async def refresh(self) -> None:
        self.roster = Roster({each.url: each for each in await self.directory.instances()})

    async def account(self, url: InstanceUrl, *, takeover: Takeover = Takeover.AUTO, seen: bool = True) -> Account:
        """An account that is open on the instance, if that runs."""
        self.accounts_made += 1
        uuid = AccountUuid(self.entropy.uuid())
        session = SessionId(f"webjs_1_{self.accounts_made}")
        new = NewAccount(uuid, W, session, phone=f"62811{1000 + self.accounts_made}", name="", takeover=takeover)
        account = await self.directory.create_account(new)
        kind = MoveKind.REDISCOVERY if seen else MoveKind.PLACEMENT
        assert await self.directory.rebind([Rebinding(account.placement, url, Epoch(1), kind, "placed")])
        process = self.nodes[url].process
        if process is not None:
            process.open(session)
        return await self.again(account)

    async def again(self, account: Account) -> Account:
        found = await self.directory.account(W, uuid=account.uuid)
        assert found is not None
        return found

    async def up(self, *accounts: Account) -> bool:
        """Whether each has one browser, where its record says, and no job or mark is left of it."""
        for account in accounts:
            at = (await self.again(account)).placement
            where = [each.node.url for each in self.browsers.live.get(account.session_id, [])]
            if where != [at.instance_url] or at.state is not PlacementState.HELD:
                return False
        return True

    async def until_up(self, *accounts: Account, within_s: float) -> float:
        """Waits until all are up; answers how long that took."""
        began_s = self.clock.monotonic()
        async with asyncio.timeout(within_s):
            while not await self.up(*accounts):  # noqa: ASYNC110 - virtual time
                await asyncio.sleep(1.0)
        return self.clock.monotonic() - began_s

    def missing(self, account: Account) -> str | None:
        """Why it is reported as missing."""
        standing = self.alerts.of(Subject.session(account.session_id))
        return next((each.reason for each in standing if each.kind is AlertKind.SESSION_MISSING), None)


@dataclass
class NodeGateway:
    """One gateway, at work."""

    restoring: Restoring
    watching: Watching
    keeper: Keeper
    rehoming: Rehoming
    exits: Exits


@asynccontextmanager
async def gateway(
    fleet: NodeFleet, name: str = "g1", *, by_itself: bool = True, probe_every_s: float = 1.0
) -> AsyncIterator[NodeGateway]:
    """A gateway, which has settled."""
    watching = Watching(
        fleet.leases,
        fleet,
        fleet.clock,
        fleet.entropy,
        WatchPolicy(read_leases_every_s=probe_every_s / 2, probe_every_s=probe_every_s),
    )
    rehoming = Rehoming(
        fleet.directory,
        fleet.grants,
        fleet.leases,
        fleet,
        fleet.work,
        watching,
        fleet.clock,
        fleet.entropy,
        Silence(),
        RehomePolicy(),
        braked=lambda: keeper.braked(),
    )
    keeper = Keeper(watching, rehoming, fleet.directory, fleet, News(), fleet.clock, KeeperPolicy())
    restoring = Restoring(
        fleet.directory,
        fleet,
        Looking(fleet, watching.refused_ago_s),
        KnownInstances(watching.boot_of, watching.health_of),
        rehoming,
        fleet.work,
        fleet.alerts,
        fleet.clock,
        RehomePolicy().restoring,
        lambda: keeper.braked() or watching.may_grant(),
        by_itself=by_itself,
    )
    duty = Duty(together=rehoming.do, policy=PATIENCE, at_once=1_000, lease_s=3.0, poll_s=1.0)
    worker = Worker(fleet.work, fleet.clock, fleet.entropy, KIND, duty, owner=name)
    strays = Strays(fleet.directory, fleet.work, rehoming, fleet.clock)
    exits = Exits(fleet.directory, fleet.grants, fleet.leases, rehoming, fleet)
    parts = [asyncio.create_task(part.run()) for part in (watching, keeper, worker, strays, restoring)]
    try:
        yield NodeGateway(restoring, watching, keeper, rehoming, exits)
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)


class Silence:
    """`ports.Meters` that nobody reads."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@asynccontextmanager
async def node_fleet(*urls: InstanceUrl, storage: str | None = None) -> AsyncIterator[NodeFleet]:
    """Services at these addresses, which do not run yet. No login may ever have had two browsers."""
    clock, entropy = VirtualClock(), SeededEntropy(11)
    database = open_database("sqlite://", now=clock.now)
    notices = LocalNotices()
    directory = SqlDirectory(database, notices, clock)
    fleet = NodeFleet(
        clock,
        entropy,
        directory,
        notices,
        SqlWork(database, notices),
        SqlGrants(database, notices),
        SqlLeases(database),
        AlertBook(SqlAlerts(database, notices), clock),
    )
    await fleet.join(*urls, storage=storage)
    following = asyncio.create_task(_follow(fleet))
    try:
        yield fleet
        assert fleet.browsers.second == []
    finally:
        following.cancel()
        for node in fleet.nodes.values():
            node.kill()
        await database.close()


async def _follow(fleet: NodeFleet) -> None:
    """Know the instances as a gateway's roster does."""
    changed = asyncio.Event()
    fleet.notices.subscribe(lambda notice: changed.set() if isinstance(notice, RosterChanged) else None)
    while True:
        await changed.wait()
        changed.clear()
        await fleet.refresh()
