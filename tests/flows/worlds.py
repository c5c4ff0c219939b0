"""A small world for the flows: instances in memory, a real SQLite directory, and one judge of what was said to whom."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from homing.decide.moves.next_step import Obstacle
from homing.decide.sending.recovery import SendPolicy
from homing.drivers.registry import traits_of
from homing.flows.discovery.listings import Lists
from homing.flows.discovery.rediscover import Rediscovery
from homing.flows.discovery.wakeups import News
from homing.flows.sending.own_messages import Said
from homing.flows.sending.send import Sending
from homing.lab.sim.world import SeededEntropy, VirtualClock
from homing.model.fleet import (
    Account,
    AccountUuid,
    Capabilities,
    Epoch,
    Instance,
    InstanceState,
    InstanceUrl,
    ListedSession,
    Listing,
    MoveKind,
    NoList,
    Placement,
    Rebinding,
    Route,
    SessionId,
    SessionList,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.model.instances.gateways import Traits
from homing.model.sends.addresses import Address
from homing.model.sends.content import TextContent
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.history import ChatHistory, SeenMessage
from homing.model.sends.sending import Outcome, Receipt, Text
from homing.model.sends.signs import ChatSign
from homing.model.tracing import TellSpan
from homing.ports import (
    Clock,
    InstanceHealth,
    NewAccount,
    NumberChecked,
    OutgoingText,
    PairingCode,
    Roster,
    RosterChanged,
    SessionStart,
    WayThere,
)
from homing.routing.cache import RouteCache
from homing.store.db.opening import open_database
from homing.store.directory.directory import SqlDirectory
from homing.store.notices.notices import LocalNotices
from homing.store.records.number_checks import SqlNumberChecks
from homing.store.work.queue import SqlWork

A, B, C = (InstanceUrl(f"http://{name}:3001") for name in "abc")
OURS = Capabilities(choose_message_id=True, stop_keeps_login=True, share_credentials=True, honour_epoch=True)
PLAIN = Capabilities(stop_keeps_login=True)
W = WorkspaceId(1)


@dataclass(slots=True)
class Misfortune:
    """One send that goes wrong: whether WhatsApp got it all the same, and after how long we hear of it."""

    fault: Fault
    delivered: bool = False
    after_s: float = 0.0


@dataclass(slots=True)
class ModelInstance:
    """An instance with its sessions, and what will go wrong in it."""

    url: InstanceUrl
    can: Capabilities = OURS
    sessions: dict[SessionId, tuple[SessionStatus, int]] = field(default_factory=dict)
    misfortunes: deque[Misfortune] = field(default_factory=deque)
    down: Fault | None = None
    list_fault: Fault | None = None
    start_fault: Fault | None = None
    starts_all_the_same: bool = False
    starts: int = 0
    list_takes_s: float = 0.0
    start_takes_s: float = 0.0
    own_ids: int = 0
    idle_s: dict[SessionId, float] = field(default_factory=dict)
    lists: int = 0
    sends: int = 0
    known_as: dict[str, NumberChecked | Fault] = field(default_factory=dict)
    """What it answers about a number; of others, that nobody is there."""
    checks: list[str] = field(default_factory=list)
    check_takes_s: float = 0.0
    chats: dict[str, list[SeenMessage]] = field(default_factory=dict)
    """What each chat shows, by its address; what it delivers is added by itself unless it `forgets`."""
    forgets: bool = False
    looks: int = 0
    look_fault: Fault | None = None
    shown: list[ChatSign] = field(default_factory=list)
    sign_fault: Fault | None = None


class World:
    """Implements `ports.Fleet` and `ports.Driver` over the model instances, and judges like WhatsApp."""

    family = "webjs"
    base = PLAIN
    default_url: InstanceUrl | None = None

    def __init__(self, clock: Clock, *urls: InstanceUrl, can: Capabilities = OURS) -> None:
        self.clock = clock
        self.instances = {url: ModelInstance(url, can) for url in urls}
        self.ledger: list[tuple[str, str]] = []
        self.recipients: list[str] = []
        self.withdrawn: set[InstanceUrl] = set()
        self.doubted: list[InstanceUrl] = []
        self.asked_anew = 0
        self.draining: set[InstanceUrl] = set()
        self.drivers: dict[InstanceUrl, str] = {}
        """Of those that are not of our own family."""
        self.owners: dict[SessionId, WorkspaceId] = {}
        self.phones: dict[SessionId, str] = {}

    def hold(
        self, url: InstanceUrl, session: SessionId, *, epoch: int = 1, status: SessionStatus = SessionStatus.CONNECTED
    ) -> None:
        self.instances[url].sessions[session] = (status, epoch)

    def lose(self, url: InstanceUrl, fault: Fault | None = None) -> None:
        """The instance dies with all its sessions."""
        self.instances[url].sessions.clear()
        self.instances[url].down = fault or Fault(Phase.REFUSED)

    def said(self, text: str) -> int:
        """How often a person read this."""
        return sum(1 for _, said in self.ledger if said == text)

    async def follow(self, directory: SqlDirectory, notices: LocalNotices) -> None:
        """Know which instances are being emptied, as a gateway's roster does."""
        changed = asyncio.Event()
        notices.subscribe(lambda notice: changed.set() if isinstance(notice, RosterChanged) else None)
        while True:
            await changed.wait()
            changed.clear()
            states = {each.url: each.state for each in await directory.instances()}
            self.draining = {url for url, state in states.items() if state is InstanceState.DRAINING}

    # --- ports.Fleet ---

    @property
    def roster(self) -> Roster:
        draining = dict.fromkeys(self.draining, InstanceState.DRAINING)
        numbered = enumerate(self.instances, start=1)
        return Roster({
            url: Instance(
                number, url, self.drivers.get(url, "webjs"), state=draining.get(url, InstanceState.ACTIVE)
            )
            for number, url in numbered
        })  # fmt: skip

    def driver(self, url: InstanceUrl) -> "World":
        return self

    def traits(self, url: InstanceUrl) -> Traits:
        return traits_of(self.drivers.get(url, "webjs"))

    def way(self, url: InstanceUrl) -> WayThere | None:
        """As of a gateway that has asked before."""
        instance = self.instances.get(url)
        if instance is None or (instance.down is not None and instance.down.phase is Phase.REFUSED):
            return None
        can = instance.can.without_message_id() if url in self.withdrawn else instance.can
        return WayThere(self, can, float("inf"))

    async def capabilities(self, url: InstanceUrl, *, timeout_s: float, fresh: bool = False) -> Capabilities | Fault:
        instance = self.instances[url]
        self.asked_anew += fresh
        if instance.down is not None and instance.down.phase is Phase.REFUSED:
            return instance.down
        return instance.can.without_message_id() if url in self.withdrawn else instance.can

    def doubt(self, url: InstanceUrl) -> None:
        self.doubted.append(url)

    def withdraw_message_id(self, url: InstanceUrl) -> None:
        self.withdrawn.add(url)

    # --- ports.Driver ---

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        model = self.instances[instance]
        return model.down or InstanceHealth(model.can)

    async def sessions(self, instance: InstanceUrl, *, timeout_s: float) -> Listing:
        model = self.instances[instance]
        model.lists += 1
        await self.clock.sleep(min(model.list_takes_s, timeout_s))
        fault = model.list_fault or model.down
        if fault is not None or model.list_takes_s > timeout_s:
            return NoList(instance, str(fault or "timed out"), fault)
        rows = {
            session: ListedSession(
                session,
                status,
                self.phones.get(session),
                epoch=Epoch(epoch) if model.can.honour_epoch else None,
                workspace_id=self.owners.get(session),
                idle_s=model.idle_s.get(session),
            )
            for session, (status, epoch) in model.sessions.items()
        }
        return SessionList(instance, rows)

    async def session(self, instance: InstanceUrl, session_id: SessionId, *, timeout_s: float) -> ListedSession | Fault:
        listing = await self.sessions(instance, timeout_s=timeout_s)
        if isinstance(listing, NoList):
            return Fault(Phase.REFUSED, listing.reason)
        return listing.sessions.get(session_id, Fault(Phase.SESSION_NOT_FOUND, status=404))

    async def send(self, instance: InstanceUrl, message: OutgoingText, *, timeout_s: float) -> Receipt | Fault:
        model = self.instances[instance]
        model.sends += 1
        if model.misfortunes:
            return await self._unlucky(model, message, timeout_s)
        if model.down is not None:
            return model.down
        held = model.sessions.get(message.session_id)
        if held is None:
            return Fault(Phase.SESSION_NOT_FOUND, "Session not found", status=404)
        status, epoch = held
        if model.can.honour_epoch and message.epoch != epoch:
            return Fault(Phase.EPOCH_STALE, status=409, epoch=Epoch(epoch))
        if status is not SessionStatus.CONNECTED:
            return Fault(Phase.SESSION_NOT_READY, "Session not connected", status=400)
        return self._deliver(model, message)

    async def _unlucky(self, model: ModelInstance, message: OutgoingText, timeout_s: float) -> Fault:
        misfortune = model.misfortunes.popleft()
        if misfortune.delivered:
            self._deliver(model, message)
        await self.clock.sleep(min(misfortune.after_s, timeout_s))
        return misfortune.fault

    def _deliver(self, model: ModelInstance, message: OutgoingText) -> Receipt:
        message_id = message.message_id
        if not model.can.choose_message_id:
            model.own_ids += 1
            message_id = f"{model.url}-{model.own_ids}"
        if all(message_id != known for known, _ in self.ledger):
            self.ledger.append((message_id, message.text))
            self.recipients.append(message.recipient_phone)
            if not model.forgets:
                seen = SeenMessage(message_id, True, int(self.clock.now().timestamp()), message.text, reached=True)
                model.chats.setdefault(message.recipient_phone, []).append(seen)
        return Receipt(message_id, 1_795_000_000)

    async def start(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession | Fault:
        model = self.instances[instance]
        if model.down is not None:
            return model.down
        model.starts += 1
        await self.clock.sleep(model.start_takes_s)
        if model.start_fault is not None:
            if model.starts_all_the_same:
                self.hold(instance, session.session_id, epoch=session.epoch, status=SessionStatus.PAIRING)
            return model.start_fault
        self.hold(instance, session.session_id, epoch=session.epoch)
        return ListedSession(session.session_id, SessionStatus.CONNECTED, epoch=session.epoch)

    async def start_many(
        self, instance: InstanceUrl, sessions: Sequence[SessionStart], *, timeout_s: float
    ) -> Mapping[SessionId, ListedSession | Fault] | Fault:
        started = await asyncio.gather(*(self.start(instance, each, timeout_s=timeout_s) for each in sessions))
        return {each.session_id: answer for each, answer in zip(sessions, started, strict=True)}

    async def restart(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession | Fault:
        return await self.start(instance, session, timeout_s=timeout_s)

    async def stop(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        self.instances[instance].sessions.pop(session.session_id, None)
        return self.instances[instance].down

    async def logout(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        return await self.stop(instance, session, timeout_s=timeout_s)

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode | Fault:
        return PairingCode("qr", "ABCD-1234", 300)

    async def renew_pairing(
        self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float
    ) -> PairingCode | Fault:
        return PairingCode("qr", "ABCD-1234", 300)

    async def check_number(
        self, instance: InstanceUrl, session_id: SessionId, digits: str, *, timeout_s: float
    ) -> NumberChecked | Fault:
        model = self.instances[instance]
        model.checks.append(digits)
        await self.clock.sleep(min(model.check_takes_s, timeout_s))
        if model.check_takes_s > timeout_s:
            return Fault(Phase.REPLY_TIMED_OUT)
        return model.known_as.get(digits, NumberChecked(exists=False))

    async def show(
        self, instance: InstanceUrl, session_id: SessionId, sign: ChatSign, *, timeout_s: float
    ) -> Fault | None:
        model = self.instances[instance]
        model.shown.append(sign)
        return model.sign_fault

    async def history(
        self, instance: InstanceUrl, session_id: SessionId, chat: Address, *, timeout_s: float
    ) -> ChatHistory | Fault:
        model = self.instances[instance]
        model.looks += 1
        shown = model.chats.get(str(chat), [])
        return model.look_fault or ChatHistory(tuple(shown), cut=False, says_at=self.clock.now())


class Tally:
    """`ports.Meters` that a test can read."""

    def __init__(self) -> None:
        self.reads = self.looks = 0
        self.spans: TellSpan | None = None
        self.moves: list[tuple[MoveKind, int]] = []
        self.arrivals: list[tuple[MoveKind, float]] = []

    def call_not_made(self, instance: InstanceUrl, call: str) -> None:
        pass

    def instance_called(self, instance: InstanceUrl, call: str) -> None:
        pass

    def moved(self, kind: MoveKind, count: int = 1) -> None:
        self.moves.append((kind, count))

    def sent_through(self, family: str, phase: Phase | None, took_s: float) -> None:
        pass

    def arrived(self, kind: MoveKind, took_s: float, steps_ms: Mapping[str, int]) -> None:
        self.arrivals.append((kind, took_s))

    def sender_unknown(self, cause: str) -> None: ...

    def looked(self) -> None:
        self.looks += 1

    def read(self) -> None:
        self.reads += 1


@dataclass(slots=True)
class Bench:
    """Everything that a send needs, around one world."""

    world: World
    directory: SqlDirectory
    notices: LocalNotices
    routes: RouteCache
    sending: Sending
    rediscovery: Rediscovery
    tally: Tally
    clock: Clock
    entropy: SeededEntropy
    news: News
    work: SqlWork
    sent: int = 0

    async def account(self, url: InstanceUrl | None, *, epoch: int = 1, held: bool = True) -> Account:
        """An account, placed by the record, and held there by the world too unless told otherwise."""
        uuid = AccountUuid(self.entropy.uuid())
        session = SessionId(f"webjs_1_{uuid}")
        new = NewAccount(
            uuid, W, session, phone=f"62811{len(str(uuid))}{self.tally_number()}", name="", takeover=Takeover.AUTO
        )
        account = await self.directory.create_account(new)
        if url is not None:
            change = Rebinding(account.placement, url, Epoch(epoch), MoveKind.PLACEMENT, "placed")
            assert await self.directory.rebind([change])
            if held:
                self.world.hold(url, session, epoch=epoch)
        found = await self.directory.account(W, uuid=uuid)
        assert found is not None
        return found

    def tally_number(self) -> int:
        self.sent += 1
        return 1000 + self.sent

    async def send(
        self, account: Account, text: str = "hello", *, message_id: str | None = None, repeated: bool = False
    ) -> Outcome:
        route, _ = await self.routes.route(W, account.uuid, None)
        assert route is not None
        return await self.sending.send(self.text(account, text, message_id=message_id, repeated=repeated), route)

    def text(self, account: Account, text: str, *, message_id: str | None = None, repeated: bool = False) -> Text:
        uuid = self.entropy.uuid()
        chosen = message_id or f"3EB0{uuid.replace('-', '').upper()[:18]}"
        return Text(uuid, chosen, W, account.uuid, "62811111111", text, repeated, content=TextContent(text))

    async def placement(self, account: Account) -> Placement:
        found = await self.directory.account(W, uuid=account.uuid)
        assert found is not None
        return found.placement

    async def route(self, account: Account) -> Route:
        route, _ = await self.routes.route(W, account.uuid, None)
        assert route is not None
        return route


class NoDoubts:
    """Nobody keeps count of how sends end."""

    def worked(self, session_id: SessionId) -> None:
        pass

    def failed(self, session_id: SessionId, url: InstanceUrl, fault: Fault) -> None:
        pass


def hears_nothing(url: InstanceUrl, phase: Phase | None) -> None:
    pass


async def no_obstacle(session_id: SessionId) -> Obstacle | None:
    return None


@asynccontextmanager
async def bench(*urls: InstanceUrl, can: Capabilities = OURS, policy: SendPolicy | None = None) -> AsyncIterator[Bench]:
    """A bench over instances at these addresses."""
    clock, entropy, tally = VirtualClock(), SeededEntropy(7), Tally()
    world = World(clock, *urls, can=can)
    database = open_database("sqlite://", now=clock.now)
    notices = LocalNotices()
    directory = SqlDirectory(database, notices, clock, on_read=tally.read)
    for url in urls:
        await directory.create_instance(url)
    routes = RouteCache(directory, clock)
    news = News()
    for hear in (routes.hear, news.hear):
        notices.subscribe(hear)
    rediscovery = Rediscovery(directory, Lists(world, clock), clock, entropy, tally)
    sending = Sending(
        routes,
        world,
        rediscovery,
        clock,
        policy or SendPolicy(),
        Said(),
        news,
        hears_nothing,
        no_obstacle,
        NoDoubts(),
        lambda *_: None,
        files=None,
        checked_numbers=SqlNumberChecks(database, on_read=tally.read),
    )
    following = asyncio.create_task(world.follow(directory, notices))
    try:
        work = SqlWork(database, notices)
        yield Bench(world, directory, notices, routes, sending, rediscovery, tally, clock, entropy, news, work)
    finally:
        following.cancel()
        await rediscovery.close()
        await database.close()
