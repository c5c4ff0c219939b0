"""The webjs driver against our own instance, with a simulated WhatsApp behind it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from homing.drivers.http.wire import Wire
from homing.drivers.webjs.driver import WebjsDriver
from homing.instance.policy import HostPolicy
from homing.instance.run import InstanceSettings, RunningInstance
from homing.model.fleet import Epoch, InstanceUrl, ListedSession, SessionId, SessionList, SessionStatus, WorkspaceId
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Receipt
from homing.ports import InstanceHealth, OutgoingText, PairingCode, SessionStart
from homing.store.db.opening import open_database
from homing.store.grants.leases import SqlLeases
from homing.store.vault.sealing import KeyRing, fresh_key
from homing.store.vault.vault import SqlVault
from homing.world import SystemClock
from simulated_whatsapp.ledger import read
from simulated_whatsapp.server import Server, ServerSettings

KEY = "instance-key"
SESSION = SessionId("webjs_1_1764000000_abc")
MESSAGE_ID = "3EB0A1B2C3D4E5F6"
QUICK = HostPolicy(login_wait_s=2.0, acknowledge_within_s=1.0, resend_within_s=0.3, stop_within_s=0.2)


def opening(epoch: int = 1) -> SessionStart:
    return SessionStart(SESSION, WorkspaceId(1), 142, Epoch(epoch))


def hello(epoch: int = 1, message_id: str = MESSAGE_ID) -> OutgoingText:
    return OutgoingText(SESSION, WorkspaceId(1), "6281654321", "hi", message_id, Epoch(epoch))


@pytest.fixture
async def whatsapp(nothing_left: None, tmp_path: Path) -> AsyncIterator[Server]:
    async with await Server.start(ServerSettings(ledger=tmp_path / "ledger.jsonl", scan_after_s=0.0)) as server:
        yield server


@pytest.fixture
async def vault(nothing_left: None) -> AsyncIterator[tuple[SqlVault, SqlLeases]]:
    database = open_database("sqlite://")
    opened = await SqlVault.of(database, KeyRing(fresh_key()))
    yield opened, SqlLeases(database)
    await opened.close()
    await database.close()


@asynccontextmanager
async def running(whatsapp: Server, vault: tuple[SqlVault, SqlLeases]) -> AsyncIterator[RunningInstance]:
    settings = InstanceSettings(whatsapp.address, KEY, port=0, restore=False, policy=QUICK, fault_injection=True)
    async with await RunningInstance.start(settings, *vault, SystemClock()) as instance:
        yield instance


@pytest.fixture
async def instance(whatsapp: Server, vault: tuple[SqlVault, SqlLeases]) -> AsyncIterator[RunningInstance]:
    async with running(whatsapp, vault) as instance:
        yield instance


@pytest.fixture
def at(instance: RunningInstance) -> InstanceUrl:
    return InstanceUrl(instance.url)


@pytest.fixture
def driver(wire: Wire) -> WebjsDriver:
    return WebjsDriver(wire, default_api_key=KEY)


async def started(driver: WebjsDriver, at: InstanceUrl, epoch: int = 1) -> ListedSession:
    """The session, linked and connected under this epoch."""
    held = await driver.start(at, opening(epoch), timeout_s=5)
    for _ in range(200):
        if isinstance(held, ListedSession) and held.can_send:
            return held
        await asyncio.sleep(0.01)
        held = await driver.session(at, SESSION, timeout_s=5)
    raise AssertionError(held)


async def test_it_declares_what_it_can_do_beyond_the_family(driver: WebjsDriver, at: InstanceUrl) -> None:
    health = await driver.health(at, timeout_s=5)
    assert isinstance(health, InstanceHealth)
    assert health.capabilities.choose_message_id
    assert health.capabilities.honour_epoch
    assert health.capabilities.stop_keeps_login
    assert health.capabilities.hold_lease
    assert health.incarnation
    assert health.engine
    assert health.version
    assert health.memory_used_mb
    assert (health.sends_per_s, health.paused) == (0.0, False)


async def test_it_says_that_it_is_paused_and_nothing_left(
    driver: WebjsDriver, at: InstanceUrl, instance: RunningInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await started(driver, at)
    monkeypatch.setattr(instance.host.lease, "may_act", lambda: False)
    health = await driver.health(at, timeout_s=5)
    assert isinstance(health, InstanceHealth)
    assert health.paused
    for ended in (
        await driver.send(at, hello(), timeout_s=5),
        await driver.start(at, opening(2), timeout_s=5),
        await driver.start_many(at, [opening(2)], timeout_s=5),
        await driver.stop(at, opening(), timeout_s=5),
    ):
        assert isinstance(ended, Fault)
        assert (ended.phase, ended.retry_after_s) == (Phase.UNAVAILABLE, 1.0)
        assert "paused" in ended.detail


async def test_many_are_started_with_one_call(driver: WebjsDriver, at: InstanceUrl, wire: Wire) -> None:
    await started(driver, at, epoch=4)
    others = [SessionStart(SessionId(f"webjs_1_{n}"), WorkspaceId(1), n, Epoch(1)) for n in range(3)]
    told = await driver.start_many(at, [*others, opening(2)], timeout_s=5)
    assert isinstance(told, dict)
    assert [row.status for session, row in told.items() if session != SESSION] == [SessionStatus.PAIRING] * 3
    stale = told[SESSION]
    assert isinstance(stale, Fault)
    assert (stale.phase, stale.epoch) == (Phase.EPOCH_STALE, Epoch(4))


async def test_its_list_tells_how_long_a_session_said_nothing(driver: WebjsDriver, at: InstanceUrl) -> None:
    await started(driver, at)
    await driver.send(at, hello(), timeout_s=5)
    await asyncio.sleep(0.05)
    listed = await driver.sessions(at, timeout_s=5)
    assert isinstance(listed, SessionList)
    idle_s = listed.sessions[SESSION].idle_s
    assert idle_s is not None
    assert 0.04 < idle_s < 5


async def test_a_text_goes_out_under_our_id_and_only_once(driver: WebjsDriver, at: InstanceUrl, tmp_path: Path) -> None:
    held = await started(driver, at)
    assert held.epoch == Epoch(1)
    for _ in range(2):
        ended = await driver.send(at, hello(), timeout_s=5)
        assert isinstance(ended, Receipt)
        assert MESSAGE_ID in ended.message_id
        assert ended.timestamp > 1_700_000_000
    delivered = list(read(tmp_path / "ledger.jsonl"))
    assert [(one.message_id, one.text) for one in delivered] == [(MESSAGE_ID, "hi")]


async def test_a_stale_epoch_is_refused_with_the_instances_own(driver: WebjsDriver, at: InstanceUrl) -> None:
    await started(driver, at, epoch=3)
    ended = await driver.send(at, hello(epoch=2), timeout_s=5)
    assert ended == Fault(Phase.EPOCH_STALE, "stale epoch", 409, epoch=Epoch(3))
    again = await driver.start(at, opening(2), timeout_s=5)
    assert isinstance(again, Fault)
    assert (again.phase, again.epoch) == (Phase.EPOCH_STALE, Epoch(3))


async def test_its_list_names_the_epoch_and_a_start_with_a_later_one_goes_through(
    driver: WebjsDriver, at: InstanceUrl
) -> None:
    await started(driver, at, epoch=1)
    await started(driver, at, epoch=4)
    listed = await driver.sessions(at, timeout_s=5)
    assert isinstance(listed, SessionList)
    assert listed.oddities == ()
    assert listed.sessions[SESSION].epoch == Epoch(4)


async def test_a_session_it_does_not_hold_is_not_found(driver: WebjsDriver, at: InstanceUrl) -> None:
    for ended in (
        await driver.send(at, hello(), timeout_s=5),
        await driver.session(at, SESSION, timeout_s=5),
        await driver.stop(at, opening(), timeout_s=5),
        await driver.logout(at, opening(), timeout_s=5),
    ):
        assert isinstance(ended, Fault)
        assert ended.phase is Phase.SESSION_NOT_FOUND


async def test_a_stop_keeps_the_login_for_the_next_start(driver: WebjsDriver, at: InstanceUrl) -> None:
    await started(driver, at)
    assert await driver.stop(at, opening(), timeout_s=5) is None
    listed = await driver.sessions(at, timeout_s=5)
    assert isinstance(listed, SessionList)
    assert SESSION not in listed.sessions
    again = await driver.start(at, opening(2), timeout_s=5)
    assert isinstance(again, ListedSession)
    assert again.status is SessionStatus.CONNECTED


async def test_a_restart_connects_again(driver: WebjsDriver, at: InstanceUrl) -> None:
    await started(driver, at)
    again = await driver.restart(at, opening(2), timeout_s=5)
    assert isinstance(again, ListedSession)
    assert again.status is SessionStatus.CONNECTED
    assert isinstance(await driver.send(at, hello(2), timeout_s=5), Receipt)


async def test_after_a_logout_only_pairing_helps(driver: WebjsDriver, at: InstanceUrl) -> None:
    await started(driver, at)
    assert await driver.logout(at, opening(), timeout_s=5) is None
    ended = await driver.send(at, hello(), timeout_s=5)
    assert isinstance(ended, Fault)
    assert ended.phase in (Phase.SESSION_LOGGED_OUT, Phase.SESSION_NOT_FOUND)


async def test_a_session_waiting_for_a_phone_tells_its_code(
    vault: tuple[SqlVault, SqlLeases], tmp_path: Path, wire: Wire
) -> None:
    driver = WebjsDriver(wire, default_api_key=KEY)
    async with (
        await Server.start(ServerSettings(ledger=tmp_path / "ledger.jsonl")) as whatsapp,
        running(whatsapp, vault) as instance,
    ):
        at = InstanceUrl(instance.url)
        held = await driver.start(at, opening(), timeout_s=5)
        assert isinstance(held, ListedSession)
        assert held.status is SessionStatus.PAIRING
        code = await driver.pairing(at, opening(), timeout_s=5)
        assert isinstance(code, PairingCode)
        assert code.code
        ended = await driver.send(at, hello(), timeout_s=5)
        assert isinstance(ended, Fault)
        assert ended.phase is Phase.SESSION_NOT_READY


@pytest.mark.parametrize(
    ("wrong", "phase"),
    [
        ({"hang": {"scope": "sends"}}, Phase.REPLY_TIMED_OUT),
        ({"drop_before": {"scope": "sends"}}, Phase.INTERRUPTED),
        ({"drop_after": {"scope": "sends"}}, Phase.INTERRUPTED),
        ({"half": {"scope": "sends"}}, Phase.INTERRUPTED),
        ({"garbage": {"scope": "sends"}}, Phase.REPLY_MALFORMED),
        ({"huge": {"scope": "sends"}}, Phase.REPLY_MALFORMED),
        ({"answer": {"status": 429, "scope": "sends"}}, Phase.THROTTLED),
        ({"answer": {"status": 500, "scope": "sends"}}, Phase.SERVER_ERROR),
        ({"answer": {"status": 502, "scope": "sends"}}, Phase.BAD_GATEWAY),
        ({"answer": {"status": 503, "scope": "sends"}}, Phase.UNAVAILABLE),
        ({"answer": {"status": 504, "scope": "sends"}}, Phase.GATEWAY_TIMED_OUT),
        ({"answer": {"status": 404, "scope": "sends"}}, Phase.PATH_NOT_FOUND),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value.value,
)
async def test_what_it_is_told_to_do_wrong_is_met_in_this_phase(
    driver: WebjsDriver, at: InstanceUrl, wire: Wire, wrong: dict[str, object], phase: Phase
) -> None:
    await started(driver, at)
    body = json.dumps({"api_key": KEY, **wrong}).encode()
    await wire.call("POST", at, "/faults", body=body, timeout_s=5)
    ended = await driver.send(at, hello(), timeout_s=0.3)
    assert isinstance(ended, Fault)
    assert ended.phase is phase
