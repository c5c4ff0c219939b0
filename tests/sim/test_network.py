"""The network in memory: the real wire and driver speak over it and meet every way in which a call can fail."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from model_instances import ModelInstance
from wired_network import Network, Reach, TransportUpset

from homing.drivers.http.wire import Wire, WireLimits
from homing.drivers.webjs.driver import WebjsDriver
from homing.lab.sim.loop import current_loop
from homing.model.fleet import (
    NEVER_GRANTED,
    InstanceUrl,
    NoList,
    SessionId,
    SessionList,
    SessionStatus,
    WorkspaceId,
)
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Receipt
from homing.ports import InstanceHealth, OutgoingText, SessionStart

pytestmark = pytest.mark.virtual

HERE = InstanceUrl("http://gateway:3001")
SESSION = SessionId("webjs_1_a")
W = WorkspaceId(1)
START = SessionStart(SESSION, W, 1, NEVER_GRANTED)


@pytest.fixture
async def network() -> Network:
    return Network(seed=5)


@pytest.fixture
async def instance(network: Network) -> ModelInstance:
    instance = ModelInstance(network, HERE, api_key="key")
    instance.sessions[SESSION] = SessionStatus.CONNECTED
    return instance


@pytest.fixture
async def driver(network: Network) -> AsyncIterator[WebjsDriver]:
    wire = Wire(WireLimits(connect_timeout_s=1.0), connect=network.connect)
    yield WebjsDriver(wire, default_api_key="key")
    await wire.close()


def text(said: str = "hello") -> OutgoingText:
    return OutgoingText(SESSION, W, "62811", said, "OURS", NEVER_GRANTED)


async def send(driver: WebjsDriver, said: str = "hello", timeout_s: float = 5.0) -> Receipt | Fault:
    return await driver.send(HERE, text(said), timeout_s=timeout_s)


async def test_the_real_driver_does_everything_over_it(driver: WebjsDriver, instance: ModelInstance) -> None:
    health = await driver.health(HERE, timeout_s=1)
    assert isinstance(health, InstanceHealth)
    assert (health.sessions_total, health.sessions_connected) == (1, 1)
    assert not isinstance(await driver.stop(HERE, START, timeout_s=1), Fault)
    assert await driver.sessions(HERE, timeout_s=1) == SessionList(HERE, {})
    started = await driver.start(HERE, START, timeout_s=1)
    assert not isinstance(started, Fault)
    assert started.can_send
    receipt = await send(driver)
    assert isinstance(receipt, Receipt)
    assert [(sent.text, sent.message_id) for sent in instance.sent] == [("hello", receipt.message_id)]


async def test_a_key_that_is_wrong_is_refused(network: Network, instance: ModelInstance) -> None:
    wire = Wire(connect=network.connect)
    answer = await WebjsDriver(wire, default_api_key="another").sessions(HERE, timeout_s=1)
    assert isinstance(answer, NoList)
    await wire.close()


async def test_connections_are_kept_and_time_passes_on_the_way(
    driver: WebjsDriver, instance: ModelInstance, network: Network
) -> None:
    instance.conditions.latency_s, instance.conditions.jitter_s = 0.4, 0
    for _ in range(5):
        await send(driver)
    assert network.connections_made == 1
    assert current_loop().time() == pytest.approx(0.8 + 5 * 0.8)


async def test_many_at_once_are_all_answered(driver: WebjsDriver, instance: ModelInstance) -> None:
    answers = await asyncio.gather(*(send(driver, f"text {number}") for number in range(500)))
    assert all(isinstance(answer, Receipt) for answer in answers)
    assert len({sent.text for sent in instance.sent}) == 500


@pytest.mark.parametrize(
    ("upset", "phase", "delivered"),
    [
        (TransportUpset.RESET_BEFORE_DELIVERY, Phase.INTERRUPTED, 0),
        (TransportUpset.RESET_AFTER_DELIVERY, Phase.INTERRUPTED, 1),
        (TransportUpset.LOST_BEFORE_DELIVERY, Phase.REPLY_TIMED_OUT, 0),
        (TransportUpset.LOST_AFTER_DELIVERY, Phase.REPLY_TIMED_OUT, 1),
    ],
)
async def test_an_upset_exchange_is_ambiguous_whether_delivered_or_not(
    driver: WebjsDriver, instance: ModelInstance, upset: TransportUpset, phase: Phase, delivered: int
) -> None:
    instance.conditions.upsets.append(upset)
    answer = await send(driver)
    assert isinstance(answer, Fault)
    assert answer.phase is phase
    assert len(instance.sent) == delivered
    assert isinstance(await send(driver), Receipt), "the next exchange has a connection of its own"


async def test_what_cannot_be_reached_says_how(driver: WebjsDriver, instance: ModelInstance) -> None:
    async def phase() -> Phase:
        answer = await send(driver)
        assert isinstance(answer, Fault)
        return answer.phase

    instance.conditions.reach = Reach.REFUSED
    assert await phase() is Phase.REFUSED
    instance.conditions.reach = Reach.BLACKHOLE
    assert await phase() is Phase.CONNECT_TIMED_OUT
    instance.conditions.reach = Reach.OPEN
    instance.die()
    assert await phase() is Phase.REFUSED
    unknown = await driver.health(InstanceUrl("http://nowhere:1"), timeout_s=1)
    assert isinstance(unknown, Fault)
    assert unknown.phase is Phase.NAME_NOT_RESOLVED
    assert not instance.sent


async def test_the_death_of_an_instance_resets_what_is_under_way(driver: WebjsDriver, instance: ModelInstance) -> None:
    instance.hangs = True
    sending = asyncio.create_task(send(driver))
    await asyncio.sleep(1)
    instance.die()
    answer = await sending
    assert isinstance(answer, Fault)
    assert answer.phase is Phase.INTERRUPTED
    assert current_loop().time() < 2


async def test_a_half_open_connection_is_found_by_its_silence(
    driver: WebjsDriver, instance: ModelInstance, network: Network
) -> None:
    await send(driver)
    network.sever("gateway", 3001)
    answer = await send(driver, timeout_s=2)
    assert isinstance(answer, Fault)
    assert answer.phase is Phase.REPLY_TIMED_OUT
    assert len(instance.sent) == 1


async def test_faults_of_the_instance_are_seen_as_what_they_are(driver: WebjsDriver, instance: ModelInstance) -> None:
    instance.list_takes_s = 3
    assert isinstance(await driver.sessions(HERE, timeout_s=2), NoList)
    assert isinstance(await driver.sessions(HERE, timeout_s=4), SessionList)
    instance.hangs = True
    hung = await send(driver)
    instance.hangs, instance.fails = False, True
    failed = await send(driver)
    instance.fails, instance.fails_after_sending = False, True
    failed_after = await send(driver)
    instance.sessions[SESSION] = SessionStatus.PAIRING
    pairing = await send(driver)
    instance.sessions.clear()
    gone = await send(driver)
    assert [fault.phase for fault in (hung, failed, failed_after, pairing, gone) if isinstance(fault, Fault)] == [
        Phase.REPLY_TIMED_OUT,
        Phase.SERVER_ERROR,
        Phase.SERVER_ERROR,
        # Without an epoch it may as well be a session that is being restored.
        Phase.SESSION_NOT_READY,
        Phase.SESSION_NOT_FOUND,
    ]
    assert len(instance.sent) == 1


# --- the wires themselves -----------------------------------------------------------------------------------------


class Ear(asyncio.Protocol):
    """Writes down all that it is told."""

    def __init__(self, *, stays_open: bool = False) -> None:
        self.heard: list[object] = []
        self._stays_open = stays_open
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)

    def eof_received(self) -> bool:
        self.heard.append("end")
        return self._stays_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.heard.append(exc if exc is None else type(exc))


async def pair(network: Network, *, stays_open: bool = False) -> tuple[asyncio.Transport, Ear, Ear]:
    far, near = Ear(stays_open=stays_open), Ear()
    network.listen("ear", 1, lambda: far)
    transport, _ = await network.connect("ear", 1, None, lambda: near)
    return transport, near, far


@pytest.mark.virtual(seeds=5)
async def test_bytes_arrive_in_order_whatever_the_jitter(network: Network) -> None:
    network.conditions("ear", 1).jitter_s = 1.0
    transport, _, far = await pair(network)
    sent = [f"{number} ".encode() for number in range(100)]
    for each in sent:
        transport.write(each)
        await asyncio.sleep(0.01)
    transport.close()
    await asyncio.sleep(3)
    assert far.heard == [*sent, "end", None]


async def test_a_closed_end_resets_whoever_writes_on(network: Network) -> None:
    transport, near, far = await pair(network, stays_open=True)
    transport.close()
    await asyncio.sleep(1)
    assert near.heard == [None]
    assert far.heard == ["end"]
    assert far.transport is not None
    far.transport.write(b"anybody there?")
    await asyncio.sleep(1)
    assert far.heard == ["end", ConnectionResetError]


async def test_half_closing_leaves_the_other_way_open(network: Network) -> None:
    transport, near, far = await pair(network, stays_open=True)
    transport.write_eof()
    await asyncio.sleep(1)
    assert far.transport is not None
    far.transport.write(b"last words")
    far.transport.close()
    await asyncio.sleep(1)
    assert near.heard == [b"last words", "end", None]


async def test_paused_reading_holds_back_what_arrives(network: Network) -> None:
    transport, near, far = await pair(network)
    assert far.transport is not None
    transport.pause_reading()
    far.transport.write(b"one")
    far.transport.write(b"two")
    await asyncio.sleep(1)
    assert near.heard == []
    transport.resume_reading()
    far.transport.write(b"three")
    await asyncio.sleep(1)
    assert near.heard == [b"one", b"two", b"three"]


async def test_giving_up_on_connecting_leaves_no_connection(network: Network) -> None:
    far = Ear()
    network.listen("ear", 1, lambda: far)
    network.conditions("ear", 1).latency_s = 1.0
    connecting = asyncio.create_task(network.connect("ear", 1, None, Ear))
    await asyncio.sleep(1.5)
    connecting.cancel()
    await asyncio.sleep(5)
    assert far.heard == [ConnectionResetError]


async def test_a_place_is_taken_once(network: Network) -> None:
    network.listen("ear", 1, Ear)
    with pytest.raises(OSError, match="taken already"):
        network.listen("ear", 1, Ear)


async def test_delays_come_from_the_seed() -> None:
    async def delays(seed: int) -> list[float]:
        network = Network(seed)
        network.listen("ear", 1, Ear)
        times = []
        for _ in range(5):
            await network.connect("ear", 1, None, Ear)
            times.append(current_loop().time())
        return [later - sooner for sooner, later in itertools.pairwise(times)]

    assert await delays(1) == pytest.approx(await delays(1))
    assert await delays(1) != pytest.approx(await delays(2))
