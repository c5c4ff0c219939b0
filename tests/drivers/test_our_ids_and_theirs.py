"""At the boundary to gateways: our ids become their names, the observed are not touched, their keys are sealed."""

from typing import Any

import pytest

from homing.decide.knowledge.native_names import meant
from homing.drivers import Drivers
from homing.drivers.around.keys import ShownKeys
from homing.drivers.around.native_names import NamingDriver, NativeNames, by_our_ids
from homing.drivers.around.observed import ObservedDriver
from homing.drivers.around.sealed_keys import KeySeal
from homing.model.fleet import (
    Capabilities,
    Epoch,
    Instance,
    InstanceMode,
    InstanceUrl,
    ListedSession,
    Listing,
    NoList,
    SessionId,
    SessionList,
    SessionStatus,
    WorkspaceId,
)
from homing.model.instances.native_names import NativeName
from homing.model.sends.calls import InstanceHealth, NumberChecked, OutgoingText, PairingCode, SessionStart
from homing.model.sends.faults import Fault
from homing.model.sends.sending import Receipt
from homing.routing.roster import LiveFleet
from homing.world import SystemClock

A, B = InstanceUrl("http://a:3000"), InstanceUrl("http://b:3000")
ONE, TWO = "6281100000001", "6281100000002"
OURS = SessionId("b:3000/default")
PLAIN = SessionId("default")


class Gateway:
    """A driver that writes down what it is asked, in the gateway's own names."""

    family, base = "waha", Capabilities()

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.rows: list[ListedSession] = []

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth:
        self.asked.append(("health", ""))
        return InstanceHealth(self.base)

    async def sessions(self, instance: InstanceUrl, *, timeout_s: float) -> Listing:
        self.asked.append(("list", ""))
        return SessionList(instance, {row.session_id: row for row in self.rows})

    def _row(self, what: str, session_id: SessionId) -> ListedSession:
        self.asked.append((what, session_id))
        return ListedSession(session_id, SessionStatus.CONNECTED)

    async def session(self, instance: InstanceUrl, session_id: SessionId, *, timeout_s: float) -> ListedSession:
        return self._row("status", session_id)

    async def send(self, instance: InstanceUrl, message: OutgoingText, *, timeout_s: float) -> Receipt:
        self.asked.append(("send", message.session_id))
        return Receipt("id", 0)

    async def start(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession:
        return self._row("start", session.session_id)

    async def start_many(self, instance: InstanceUrl, sessions: Any, *, timeout_s: float) -> Any:
        return {each.session_id: self._row("start", each.session_id) for each in sessions}

    async def restart(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession:
        return self._row("restart", session.session_id)

    async def stop(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> None:
        self.asked.append(("stop", session.session_id))

    async def logout(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> None:
        self.asked.append(("logout", session.session_id))

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode:
        self.asked.append(("pairing", session.session_id))
        return PairingCode(None, None, 0)

    async def renew_pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode:
        self.asked.append(("renew", session.session_id))
        return PairingCode(None, None, 0)

    async def check_number(
        self, instance: InstanceUrl, session_id: SessionId, digits: str, *, timeout_s: float
    ) -> NumberChecked:
        self.asked.append(("check_number", session_id))
        return NumberChecked(exists=True)


def names(*more: NativeName) -> NativeNames:
    known = NativeNames(meant)
    given = [NativeName(PLAIN, "default", ONE, A), NativeName(OURS, "default", TWO, B), *more]
    known.know(given, {A: Instance(1, A), B: Instance(2, B)})
    return known


START = SessionStart(OURS, WorkspaceId(1), 5, Epoch(1))


def message(session_id: SessionId) -> OutgoingText:
    return OutgoingText(session_id, WorkspaceId(1), "62811", "hello", "3EB0", Epoch(1))


async def test_every_call_names_the_session_as_its_gateway_does() -> None:
    gateway = Gateway()
    driver = NamingDriver(gateway, names())
    row = await driver.session(B, OURS, timeout_s=1)
    assert isinstance(row, ListedSession)
    assert (row.session_id, row.native_id) == (OURS, "default")
    await driver.send(B, message(OURS), timeout_s=1)
    for call in (driver.start, driver.restart):
        started = await call(B, START, timeout_s=1)
        assert isinstance(started, ListedSession)
        assert started.session_id == OURS
    many = await driver.start_many(B, [START], timeout_s=1)
    assert not isinstance(many, Fault)
    assert list(many) == [OURS]
    for ending in (driver.stop, driver.logout, driver.pairing, driver.renew_pairing):
        await ending(B, START, timeout_s=1)
    await driver.check_number(B, OURS, "5511987654321", timeout_s=1)
    assert {name for _, name in gateway.asked} == {"default"}


async def test_a_list_tells_sessions_of_one_name_apart_by_their_phones() -> None:
    gateway = Gateway()
    driver = NamingDriver(gateway, names())
    for phone, url, expected in [
        (ONE, A, PLAIN),
        (TWO, A, OURS),
        (f"{TWO}@c.us", A, OURS),
        (None, B, OURS),
        ("6281100000003", InstanceUrl("http://c:3000"), "c:3000/default"),
    ]:
        gateway.rows = [
            ListedSession(PLAIN, SessionStatus.CONNECTED, phone),
            ListedSession(SessionId("x"), SessionStatus.STOPPED),
        ]
        listing = await driver.sessions(url, timeout_s=1)
        assert not isinstance(listing, NoList)
        assert set(listing.sessions) == {expected, "x"}, phone
        assert listing.sessions[SessionId(expected)].native_id == "default"


def test_a_name_follows_its_session_to_another_instance() -> None:
    known = names()
    known.moved(OURS, A)
    assert known.session_of(A, "default", None) in (PLAIN, OURS)
    assert known.session_of(B, "default", None) == "b:3000/default"
    known.moved(PLAIN, None)
    assert known.session_of(A, "default", None) == OURS


def test_a_session_that_nobody_knows_is_asked_for_by_the_name_that_the_list_has_for_it() -> None:
    known = names()
    assert known.native_of(InstanceUrl("http://c:3000"), SessionId("c:3000/default")) == "default"
    assert known.native_of(A, SessionId("a:3000/never-heard")) == "a:3000/never-heard"


def test_names_of_webjs_hold_everywhere() -> None:
    gateway = Gateway()
    assert isinstance(by_our_ids(gateway, names()), NamingDriver)
    gateway.family = "webjs"  # type: ignore[misc]
    assert by_our_ids(gateway, names()) is gateway


async def test_nothing_but_looking_reaches_an_observed_instance() -> None:
    gateway = Gateway()
    fleet = LiveFleet(None, Drivers({"webjs": gateway}), SystemClock())  # type: ignore[arg-type]
    object.__setattr__(fleet.roster, "instances", {A: Instance(1, A, mode=InstanceMode.OBSERVE), B: Instance(2, B)})
    gateway.family = "webjs"  # type: ignore[misc]
    driver = fleet.driver(A)
    assert isinstance(driver, ObservedDriver)
    await driver.health(A, timeout_s=1)
    await driver.sessions(A, timeout_s=1)
    await driver.session(A, PLAIN, timeout_s=1)
    await driver.pairing(A, START, timeout_s=1)
    looked = len(gateway.asked)
    for call in (driver.start, driver.restart, driver.stop, driver.logout, driver.renew_pairing):
        answer = await call(A, START, timeout_s=1)
        assert isinstance(answer, Fault)
        assert "only observed" in answer.detail
    assert isinstance(await driver.send(A, message(PLAIN), timeout_s=1), Fault)
    assert isinstance(await driver.start_many(A, [START], timeout_s=1), Fault)
    assert len(gateway.asked) == looked
    assert fleet.driver(B) is gateway


# --- their keys -----------------------------------------------------------------------------------------------


def test_a_sealed_key_opens_for_its_instance_alone_and_under_its_secret_alone() -> None:
    seal = KeySeal([b"our secret"])
    sealed = seal.seal(A, "their key")
    assert "their key" not in sealed
    assert seal.opened(A, sealed) == "their key"
    assert seal.opened(B, sealed) is None
    assert KeySeal([b"another"]).opened(A, sealed) is None
    assert KeySeal([b"another", b"our secret"]).opened(A, sealed) == "their key"
    assert seal.seal(A, "their key") != sealed


@pytest.mark.parametrize("stored", ["", "no base64!", "QUJD"], ids=["empty", "odd", "short"])
def test_what_is_no_sealed_key_opens_as_none(stored: str) -> None:
    assert KeySeal([b"our secret"]).opened(A, stored) is None


def test_a_key_of_the_settings_comes_before_a_kept_one_and_that_before_one_that_was_made() -> None:
    instances = {A: Instance(1, A), B: Instance(2, B)}
    keys = ShownKeys({A: "given"}, "shared", lambda each: f"made-{each.id}", lambda each: f"kept-{each.id}")
    keys.know(instances)
    assert dict(keys) == {A: "given", B: "kept-2"}
    assert not keys.refused(B), "the shared key is not shown to somebody else's gateway"
    held = ShownKeys({}, "shared")
    held.hold(A, "typed")
    held.know(instances)
    assert dict(held) == {A: "typed"}
    held.know({B: instances[B]})
    assert dict(held) == {}
