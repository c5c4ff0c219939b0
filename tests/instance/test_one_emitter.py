"""Two hosts, one session, hours of bad luck in virtual time: never can both speak for it, and nothing is said twice.

Each host has a way to the database of its own that breaks now and then, and a clock of its own that runs a little wrong
and leaps when the host is frozen. A gateway grants the session to and fro: with the proof that a lease was waited out,
or with the vault's refusal alone. Seeds pick who fails when.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from random import Random

import pytest
from stores import Breakable, stored

from homing.decide.fleet.leases import LeasePolicy
from homing.instance.engines.simulated import SimulatedEngine
from homing.instance.host import SessionHost
from homing.instance.lease import LeaseKeeper
from homing.instance.opening import OpenRequest
from homing.instance.policy import HostPolicy
from homing.instance.session.messages import EngineSent, EngineUnknown, Message
from homing.lab.sim.world import VirtualClock
from homing.model.fleet import InstanceUrl
from homing.model.instances.vault import Grant, Holder
from homing.ports import StoreUnavailable
from homing.store.db.opening import open_database
from homing.store.grants.leases import SqlLeases
from homing.store.vault.sealing import KeyRing, VaultKey
from homing.store.vault.vault import SqlVault
from simulated_whatsapp.core import Judge
from simulated_whatsapp.exchange import Exchange
from simulated_whatsapp.ledger import Delivery
from simulated_whatsapp.wire import Dial, OnClosed, OnFrame, Wire, in_memory

pytestmark = pytest.mark.virtual(seeds=2)
LEASE = LeasePolicy()
POLICY = HostPolicy(login_wait_s=3.0, acknowledge_within_s=5.0, resend_within_s=1.0, ask_again_s=0.2)
HOLD_S = 150.0
CALM_S = 30.0
"""How long the world is well at the end, for whatever is still on its way."""
SESSION = "s1"


class OwnClock(VirtualClock):
    """A host's clock: a little too fast or slow, and it may leap."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate, self.ahead_s = rate, 0.0

    def monotonic(self) -> float:
        return super().monotonic() * self.rate + self.ahead_s


@dataclass
class Peer:
    """A host with its own way to the database."""

    url: str
    host: SessionHost
    way: Breakable
    clock: OwnClock
    dark_until_s: float = 0.0
    """Until then it does not reach WhatsApp."""

    def can_speak(self, epoch: int) -> bool:
        """Whether it could put a frame on the wire at this very moment, under this epoch."""
        session = self.host.find(SESSION)
        if session is None or session.epoch != epoch or session._sending is None or session._sending._transmit is None:
            return False
        return session.may_act()


@dataclass
class Story:
    """One run: the judge, two peers, and what the clients were told."""

    chance: Random
    judge: Judge = field(default_factory=Judge)
    ledger: list[Delivery] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)
    told_sent: set[str] = field(default_factory=set)
    told_not_sent: set[str] = field(default_factory=set)
    said: int = 0
    vault: SqlVault | None = None
    """The gateway's own way to the vault, which never breaks."""

    def append(self, deliveries: tuple[Delivery, ...]) -> None:
        self.ledger.extend(deliveries)


@asynccontextmanager
async def begun(seed: int) -> AsyncIterator[Story]:
    story = Story(Random(seed))
    clock, loop = VirtualClock(), asyncio.get_running_loop()
    exchange = Exchange(story.judge, story, clock=lambda: clock.now().timestamp(), later=loop.call_later)
    database = open_database("sqlite://", now=clock.now)
    key = KeyRing(VaultKey("test", bytes(32)), token=story.chance.randbytes)
    leasing = []
    for number, rate in enumerate((0.97, 1.03)):
        way = Breakable(database)
        vault, leases = await SqlVault.of(way, key), SqlLeases(way)
        own = OwnClock(rate)
        fresh = iter(f"boot-{number}-{n}" for n in range(10_000))
        lease = LeaseKeeper(leases, f"http://{number}", own, fresh_id=lambda fresh=fresh: next(fresh), policy=LEASE)
        engine = SimulatedEngine(dialling(story, number, exchange), lambda: clock.now().timestamp())
        host = SessionHost(engine, vault, lease, clock=own, random=Random(seed), policy=POLICY)
        story.peers.append(Peer(f"http://{number}", host, way, own))
        leasing.append(asyncio.create_task(lease.run(host)))
    (device,) = story.judge.preregister([(SESSION, "62810")])
    story.vault = await SqlVault.of(database, key)
    await story.vault.adopt({SESSION: asdict(device)})
    yield story
    for task in leasing:
        task.cancel()
    for peer in story.peers:
        peer.way.open.set()
        peer.way.mute = False
        await peer.host.shutdown()


def dialling(story: Story, number: int, exchange: Exchange) -> Dial:
    reach = in_memory(exchange)

    async def dial(on_frame: OnFrame, on_closed: OnClosed) -> Wire:
        if asyncio.get_running_loop().time() < story.peers[number].dark_until_s:
            raise ConnectionRefusedError("nobody there")
        return await reach(on_frame, on_closed)

    return dial


# What goes wrong


async def bad_luck(story: Story) -> None:
    """The ways to the database break, its answers are lost, hosts freeze, connections to WhatsApp end."""
    while True:
        await asyncio.sleep(story.chance.expovariate(1 / 15))
        peer = story.chance.choice(story.peers)
        match story.chance.choice(["silent", "mute", "freeze", "cut", "dark"]):
            case "silent":
                asyncio.get_running_loop().create_task(silent(peer, story.chance.uniform(0.5, 15)))
            case "mute":
                asyncio.get_running_loop().create_task(mute(peer, story.chance.uniform(0.2, 3)))
            case "freeze":
                peer.clock.ahead_s += story.chance.uniform(1, 20)
            case "cut":
                cut(peer)
            case "dark":
                peer.dark_until_s = asyncio.get_running_loop().time() + story.chance.uniform(0.5, 4)
                cut(peer)


async def silent(peer: Peer, for_s: float) -> None:
    peer.way.open.clear()
    await asyncio.sleep(for_s)
    peer.way.open.set()


async def mute(peer: Peer, for_s: float) -> None:
    peer.way.mute = True
    await asyncio.sleep(for_s)
    peer.way.mute = False


def cut(peer: Peer) -> None:
    session = peer.host.find(SESSION)
    if session is not None and session._connection.wire is not None:
        session._connection.wire.close()


# What a gateway and its clients do


async def gateway(story: Story) -> None:
    """Grants the session to the other host, now by a lapsed lease, now by the vault's refusal alone."""
    assert story.vault is not None
    vault, leases = story.vault, SqlLeases(story.vault._database)
    epoch, at = 1, 0
    while True:
        source, target = story.peers[at], story.peers[1 - at]
        boots = {boot.instance_url: boot for boot in await leases.incarnations()}
        life, gone = boots.get(InstanceUrl(target.url)), boots.get(InstanceUrl(source.url))
        lapsed = gone is not None and gone.lease_left_s <= 0
        if life is not None and life.holds_lease and (lapsed or story.chance.random() < 0.05):
            if lapsed:
                assert not source.can_speak(epoch), "a full lease was waited out, and its holder can speak"
            epoch, at = epoch + 1, 1 - at
            granted = await vault.open(SESSION, epoch=epoch, holder=Holder(target.url, life.id))
            assert isinstance(granted, Grant)
            asyncio.get_running_loop().create_task(start(target, epoch))
        await asyncio.sleep(0.5)


async def start(peer: Peer, epoch: int) -> None:
    for _ in range(40):
        try:
            if peer.host.lease.may_act():
                await peer.host.start_many([OpenRequest(SESSION, 1, epoch)])
                return
        except StoreUnavailable:
            pass
        await asyncio.sleep(0.25)


async def client(story: Story) -> None:
    """Says one thing after the other, each through whoever will take it, under one id."""
    while True:
        story.said += 1
        await one_message(story, f"3EB0{story.said:08}")
        await asyncio.sleep(story.chance.uniform(0.05, 0.4))


async def one_message(story: Story, name: str) -> None:
    may_have_left = False
    for _ in range(story.chance.randint(1, 12)):
        peer = story.chance.choice(story.peers)
        outcome = await peer.host.send(SESSION, Message(name, "62811", name))
        if isinstance(outcome, EngineSent):
            story.told_sent.add(name)
            return
        may_have_left = may_have_left or isinstance(outcome, EngineUnknown)
        await asyncio.sleep(story.chance.uniform(0.05, 0.5))
    if not may_have_left:
        story.told_not_sent.add(name)


def judge(story: Story) -> None:
    delivered = [entry.message_id for entry in story.ledger]
    assert len(delivered) == len(set(delivered)), "nothing was said twice"
    assert story.told_sent <= set(delivered), "nothing was lost that was told to be sent"
    assert not story.told_not_sent & set(delivered), "nothing arrived that was told not to be sent"
    epochs = [entry.label["epoch"] for entry in story.ledger]
    assert epochs == sorted(epochs), "nothing was said under an old epoch after a newer one"
    assert len(set(epochs)) > 3, "the session did move"
    assert len(story.told_sent) > 100


@pytest.mark.parametrize("chance", range(2))
async def test_two_hosts_never_speak_for_one_session_at_the_same_time(chance: int) -> None:
    async with begun(chance) as story:
        first = story.peers[0]
        await first.host.lease.trusted()
        await start(first, 1)
        work = [bad_luck(story), gateway(story), *(client(story) for _ in range(3))]
        doing = [asyncio.create_task(each) for each in work]
        await asyncio.wait(doing, timeout=HOLD_S, return_when=asyncio.FIRST_EXCEPTION)
        for task in doing:
            task.cancel()
        ended = await asyncio.gather(*doing, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended
        for peer in story.peers:
            peer.way.open.set()
            peer.way.mute, peer.dark_until_s = False, 0.0
        await asyncio.sleep(CALM_S)
        judge(story)
        left = await stored(first.way, SESSION)
        assert left.unfinished == (), "what was reserved is finished, whoever began it"
        assert {name for name, acknowledged in left.settled if acknowledged} <= {
            entry.message_id for entry in story.ledger
        }
