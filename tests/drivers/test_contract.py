"""One contract for every foreign driver, each against a model of its gateway."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from structlog.testing import capture_logs

from homing.decide.knowledge import qr_pictures
from homing.decide.sending import failures
from homing.drivers import Drivers, drivers_over
from homing.drivers.gowa import answers as gowa_answers
from homing.drivers.http.wire import Reply, Wire, WireLimits
from homing.drivers.registry import families
from homing.model.fleet import Epoch, InstanceUrl, ListedSession, NoList, SessionId, SessionList, SessionStatus
from homing.model.instances.gateways import is_checked
from homing.model.sends.addresses import Address
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Receipt
from homing.ports import Driver, InstanceHealth, OutgoingText, PairingCode, SessionStart
from simulated_gateways import MODELS, Model, Session
from simulated_gateways.base import PHONE
from simulated_gateways.evolution import Evolution
from simulated_gateways.waha import Waha
from simulated_gateways.wppconnect import Wppconnect

TO = "628000000001"
NOT_STOPPED = {"evolution", "baileys-api", "gowa"}
"""A stop there would log the session out."""
NOT_STARTED = {"baileys-api"}
WITHOUT_CODES = {"baileys-api"}
SHOWN_WHEN_ASKED_FOR = {"gowa"}
"""Asking for a code begins the linking anew, so whoever looks is shown the one that was asked for last."""
CANNOT_TELL = {"evolution", "baileys-api", "wuzapi"}
"""What they say of a session that waits to be paired they say of one that broke in the middle of a send, too."""
NAMES = {"baileys-api": f"+{PHONE}"}
"""Its sessions are phones."""


@dataclass
class There:
    """A driver, and the gateway that it speaks to."""

    family: str
    model: Model
    driver: Driver
    drivers: Drivers

    @property
    def url(self) -> InstanceUrl:
        return InstanceUrl(self.model.url)

    @property
    def name(self) -> str:
        return NAMES.get(self.family, "alpha")

    def add(self, **how: Any) -> Session:
        return self.model.add(self.name, **how)

    @property
    def about(self) -> SessionStart:
        return SessionStart(SessionId(self.name), 1, 142, Epoch(0))

    async def send(self, text: str = "hello", to: str = TO, timeout_s: float = 5.0) -> Receipt | Fault:
        message = OutgoingText(SessionId(self.name), 1, to, text, "3EB0AAAABBBBCCCCDDDD", Epoch(0))
        return await self.driver.send(self.url, message, timeout_s=timeout_s)

    async def one(self) -> ListedSession | Fault:
        return await self.driver.session(self.url, SessionId(self.name), timeout_s=5)

    async def every_call(self, timeout_s: float = 5.0) -> dict[str, object]:
        """What each call of the driver comes to."""
        d, url, about = self.driver, self.url, self.about
        return {
            "health": await d.health(url, timeout_s=timeout_s),
            "sessions": await d.sessions(url, timeout_s=timeout_s),
            "session": await d.session(url, about.session_id, timeout_s=timeout_s),
            "send": await self.send(timeout_s=timeout_s),
            "start": await d.start(url, about, timeout_s=timeout_s),
            "start_many": await d.start_many(url, [about], timeout_s=timeout_s),
            "pairing": await d.pairing(url, about, timeout_s=timeout_s),
            "renew_pairing": await d.renew_pairing(url, about, timeout_s=timeout_s),
            "restart": await d.restart(url, about, timeout_s=timeout_s),
            "stop": await d.stop(url, about, timeout_s=timeout_s),
            "check_number": await d.check_number(url, about.session_id, TO, timeout_s=timeout_s),
            "history": await d.history(url, about.session_id, Address.of(TO), timeout_s=timeout_s),
            "logout": await d.logout(url, about, timeout_s=timeout_s),
        }


@pytest.fixture(params=sorted(MODELS))
async def there(request: pytest.FixtureRequest) -> AsyncIterator[There]:
    async with served(request.param) as found:
        yield found


class served:  # noqa: N801
    """A model and a driver for it, for as long as the block."""

    def __init__(self, family: str, key: str | None = None) -> None:
        self._family, self._key = family, key

    async def __aenter__(self) -> There:
        model = await MODELS[self._family]().start()
        self._model, self._wire = model, Wire(WireLimits(connect_timeout_s=1))
        key = model.key if self._key is None else self._key
        drivers = drivers_over(self._wire, api_keys={InstanceUrl(model.url): key}, default_api_key="another-key")
        return There(self._family, model, drivers.of(self._family), drivers)

    async def __aexit__(self, *_: object) -> None:
        await self._wire.close()
        await self._model.stop()


def phase(answer: object) -> Phase | None:
    fault = answer.fault if isinstance(answer, NoList) else answer
    return fault.phase if isinstance(fault, Fault) else None


def test_every_family_of_ours_has_a_model_but_webjs_which_has_a_process() -> None:
    ours = {name for name, driver in families().items() if driver.__module__.startswith("homing.")}
    assert ours == {*MODELS, "webjs"}


# --- looking ----------------------------------------------------------------------------------------------------


async def test_its_list_is_of_what_is_open_there(there: There) -> None:
    there.add(paired=True)
    there.model.add("beta")
    there.model.add("gamma", open=False, paired=True)
    listing = await there.driver.sessions(there.url, timeout_s=5)
    if there.family == "baileys-api":
        assert isinstance(listing, NoList) and listing.fault is None, "that it gives none is no fault"
        return
    assert isinstance(listing, SessionList) and listing.oddities == ()
    statuses = {name: row.status for name, row in listing.sessions.items()}
    assert statuses["alpha"] is SessionStatus.CONNECTED
    assert statuses["beta"] is SessionStatus.PAIRING
    assert statuses.get("gamma") in (None, SessionStatus.DISCONNECTED), "nothing says that it is open"
    assert listing.sessions[SessionId("alpha")].phone in (PHONE, None if there.family == "wppconnect" else PHONE)


async def test_what_is_up_is_connected_and_what_is_not_known_is_not_found(there: There) -> None:
    there.add(paired=True)
    row = await there.one()
    assert isinstance(row, ListedSession) and row.can_send
    nobody = SessionId("+628000000077" if there.family == "baileys-api" else "nobody")
    assert phase(await there.driver.session(there.url, nobody, timeout_s=5)) is Phase.SESSION_NOT_FOUND


async def test_that_it_waits_for_a_scan_is_a_fact(there: There) -> None:
    there.add()
    row = await there.one()
    if there.family == "baileys-api":
        assert isinstance(row, ListedSession) and not row.can_send
        return
    assert isinstance(row, ListedSession)
    assert (row.status, row.surely_unlinked) == (SessionStatus.PAIRING, True)


async def test_its_health_is_asked_without_a_session(there: There) -> None:
    health = await there.driver.health(there.url, timeout_s=5)
    assert isinstance(health, InstanceHealth)
    assert health.capabilities == there.driver.base
    assert health.version == {"waha": "2026.7.1", "evolution": "2.3.6"}.get(there.family)


@pytest.mark.parametrize(
    ("version", "checked"),
    [
        ("2024.9.3", False),
        ("2024.10", True),
        ("2024.10.8", True),
        ("2026.7.1", True),
        ("2026.8", False),
        ("2027", False),
        ("v2026.7.1-rc1", True),
        ("5d71136", True),
        ("latest", True),
        ("9" * 500, True),
    ],
)
def test_a_version_is_checked_up_to_the_last_with_all_that_begins_so(version: str, checked: bool) -> None:
    assert is_checked(version, ("2024.10", "2026.7")) is checked
    assert is_checked(version, ("", "")), "of a family that was not checked at all nothing is said"


async def test_of_a_version_that_was_not_checked_is_warned_once() -> None:
    async with served("waha") as there:
        assert isinstance(there.model, Waha)
        there.model.version = "2030.1.2"
        with capture_logs() as logs:
            for _ in range(3):
                health = await there.driver.health(there.url, timeout_s=5)
                assert isinstance(health, InstanceHealth) and "2030.1.2" in (health.unchecked or "")
        assert [each["log_level"] for each in logs] == ["warning"]


async def test_looking_disturbs_nothing(there: There) -> None:
    session = there.add(open=False, paired=True)
    for _ in range(2):
        await there.driver.health(there.url, timeout_s=5)
        await there.driver.sessions(there.url, timeout_s=5)
        await there.one()
        await there.driver.pairing(there.url, there.about, timeout_s=5)
    assert (session.open, session.paired) == (False, True)


# --- sending ----------------------------------------------------------------------------------------------------


async def test_a_text_is_sent_once_and_its_receipt_is_the_gateways_own_id(there: There) -> None:
    there.add(paired=True)
    receipt = await there.send()
    assert isinstance(receipt, Receipt), receipt
    assert "3EB0" in receipt.message_id
    assert there.model.sent == [(there.name, TO, "hello")]


@pytest.mark.parametrize("text", ["throws", "sentthrow", "hangs"])
async def test_what_may_have_left_is_never_called_sent_nor_safe(there: There, text: str) -> None:
    there.add(paired=True)
    await there.one()
    answer = await there.send(text, timeout_s=1.0 if text == "hangs" else 5.0)
    assert isinstance(answer, Fault)
    assert failures.classify(answer).may_have_left


async def test_a_dead_engine_is_not_sent_through(there: There) -> None:
    there.add(paired=True)
    answer = await there.send("dead")
    assert isinstance(answer, Fault)
    assert there.model.sent == []
    assert failures.classify(answer).may_have_left is (there.family not in ("wwebjs-api", "wppconnect"))


async def test_a_session_that_is_not_there_is_looked_for_elsewhere(there: There) -> None:
    answer = await there.send()
    assert phase(answer) is Phase.SESSION_NOT_FOUND
    assert there.model.sent == []


async def test_a_session_that_waits_for_its_phone_sends_nothing(there: There) -> None:
    there.add()
    answer = await there.send()
    assert isinstance(answer, Fault) and there.model.sent == []
    assert failures.classify(answer).may_have_left is (there.family in CANNOT_TELL)


async def test_a_text_that_no_json_can_carry_is_the_callers_fault(there: There) -> None:
    there.add(paired=True)
    assert phase(await there.send("half \ud83d")) is Phase.REQUEST_REJECTED
    assert there.model.sent == []


async def test_a_number_that_is_said_not_to_exist_was_refused_only_where_nothing_left() -> None:
    for family, may_have_left in (("evolution", False), ("wppconnect", True)):
        async with served(family) as there:
            there.add(paired=True)
            answer = await there.send(to="628000000404")
            assert isinstance(answer, Fault)
            assert failures.classify(answer).may_have_left is may_have_left
            assert bool(there.model.sent) is may_have_left


# --- starting and stopping --------------------------------------------------------------------------------------


async def test_a_start_makes_a_session_that_shows_a_code_and_a_second_one_changes_nothing(there: There) -> None:
    row = await there.driver.start(there.url, there.about, timeout_s=5)
    if not there.model.creates:
        assert isinstance(row, Fault) and there.model.sessions == {}
        return
    assert isinstance(row, ListedSession), row
    assert row.status in (SessionStatus.PAIRING, SessionStatus.STARTING)
    session = there.model.sessions[there.name]
    session.paired = True
    asked = len(there.model.asked)
    again = await there.driver.start(there.url, there.about, timeout_s=5)
    assert isinstance(again, ListedSession) and again.can_send
    assert not [each for each in there.model.asked[asked:] if "start" in each[1] or "create" in each[1]]


async def test_of_many_starts_of_one_session_one_is_made(there: There) -> None:
    rows = await asyncio.gather(*(there.driver.start(there.url, there.about, timeout_s=5) for _ in range(5)))
    if there.model.creates:
        assert all(isinstance(row, ListedSession) for row in rows)
    made = [each for each in there.model.asked if any(word in each[1] for word in ("start", "create"))]
    assert len(made) <= 2, "WAHA is told to start it, and to create what it does not know"


async def test_a_stop_keeps_the_login_and_a_start_brings_it_back(there: There) -> None:
    session = there.add(paired=True)
    stopped = await there.driver.stop(there.url, there.about, timeout_s=5)
    if there.family in NOT_STOPPED:
        assert phase(stopped) is Phase.REQUEST_REJECTED
        assert (session.open, session.paired) == (True, True), "it was not logged out for want of a stop"
        return
    assert stopped is None
    assert (session.open, session.paired) == (False, True)
    listing = await there.driver.sessions(there.url, timeout_s=5)
    assert isinstance(listing, SessionList) and there.name not in listing.sessions
    row = await there.driver.start(there.url, there.about, timeout_s=5)
    assert isinstance(row, ListedSession)
    assert isinstance(await there.send(), Receipt)


async def test_nothing_is_told_to_stop_where_it_is_not(there: There) -> None:
    assert phase(await there.driver.stop(there.url, there.about, timeout_s=5)) is Phase.SESSION_NOT_FOUND
    assert not [each for each in there.model.asked if "stop" in each[1] or "close" in each[1]]


async def test_a_restart_keeps_the_login(there: There) -> None:
    session = there.add(paired=True)
    row = await there.driver.restart(there.url, there.about, timeout_s=5)
    assert session.paired and session.open
    assert isinstance(row, ListedSession) or there.family == "baileys-api"


async def test_after_a_logout_the_login_is_gone(there: There) -> None:
    session = there.add(paired=True)
    assert await there.driver.logout(there.url, there.about, timeout_s=5) is None
    assert there.name not in there.model.sessions or not session.paired


# --- pairing ----------------------------------------------------------------------------------------------------


def in_words(code: PairingCode) -> str | None:
    """What its QR code says, which some draw themselves."""
    is_picture = code.qr is not None and code.qr.startswith("data:image/")
    return qr_pictures.text_in(code.qr) if is_picture and code.qr is not None else code.qr


@pytest.mark.parametrize(
    ("told", "body"),
    [
        ({"qr_link": "http://169.254.169.254/latest/meta-data"}, b"secret"),
        ({"qr_link": "http://elsewhere/../etc/passwd"}, b""),
        ({"qr_link": 7}, b""),
        ({}, b""),
        (None, b""),
        ({"qr_link": "/statics/qrcode/x.png", "qr_duration": "soon"}, b"<html>"),
    ],
)
def test_a_link_to_a_code_is_a_picture_of_the_instance_itself_or_nothing(told: object, body: bytes) -> None:
    link = gowa_answers.link_of(Reply(200, {}, json.dumps({"results": told}).encode()))
    if not isinstance(link, Fault):
        assert (link.path[0], link.good_for_s) == ("/", 20) and "169.254" not in link.path
        link = gowa_answers.picture_of(Reply(200, {}, body))  # type: ignore[assignment]
    assert isinstance(link, Fault)


async def test_the_code_in_use_is_told_and_of_a_connected_session_there_is_none(there: There) -> None:
    session = there.add()
    code = await there.driver.pairing(there.url, there.about, timeout_s=5)
    if there.family in WITHOUT_CODES:
        assert phase(code) is Phase.REQUEST_REJECTED
        return
    if there.family in SHOWN_WHEN_ASKED_FOR:
        assert code == PairingCode(None, None, 0)
        assert not [each for each in there.model.asked if "login" in each[1]]
    else:
        assert isinstance(code, PairingCode) and in_words(code) == session.qr and code.expires_in_s > 0
    renewed = await there.driver.renew_pairing(there.url, there.about, timeout_s=5)
    assert isinstance(renewed, PairingCode) and in_words(renewed) == session.qr
    code = await there.driver.pairing(there.url, there.about, timeout_s=5)
    assert isinstance(code, PairingCode) and in_words(code) == session.qr and code.expires_in_s > 0
    session.paired = True
    code = await there.driver.pairing(there.url, there.about, timeout_s=5)
    assert isinstance(code, PairingCode) and code.connected and code.qr is None
    assert phase(await there.driver.renew_pairing(there.url, there.about, timeout_s=5)) is Phase.REQUEST_REJECTED


@pytest.mark.parametrize("family", ["waha", "evolution", "wwebjs-api"])
async def test_a_session_whose_phone_removed_the_device_shows_a_code_when_asked_for_a_new_one(family: str) -> None:
    async with served(family) as there:
        session = there.add(paired=True, removed=True)
        code = await there.driver.renew_pairing(there.url, there.about, timeout_s=5)
        assert isinstance(code, PairingCode) and code.qr == session.qr


# --- bad days ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", sorted(MODELS))
async def test_a_wrong_key_is_our_fault_and_does_nothing(family: str) -> None:
    async with served(family, "user:wrong-key") as there:
        session = there.add(paired=True)
        answers = await there.every_call()
        health = answers.pop("health")
        assert isinstance(health, InstanceHealth), "it is up, whatever it thinks of our key"
        refused = {name for name, answer in answers.items() if phase(answer) is Phase.UNAUTHORISED}
        assert {"sessions", "session", "send"} <= refused
        assert there.model.sent == []
        assert (session.open, session.paired) == (True, True)
        assert "wrong-key" not in str(answers)


@pytest.mark.parametrize("family", sorted(MODELS))
async def test_no_key_at_all_is_said_so(family: str) -> None:
    async with served(family, "") as there:
        there.add(paired=True)
        assert phase(await there.driver.sessions(there.url, timeout_s=5)) is Phase.UNAUTHORISED
        assert phase(await there.send()) is Phase.UNAUTHORISED


@pytest.mark.parametrize("family", sorted(MODELS))
async def test_a_key_that_no_header_can_carry_is_not_sent(family: str) -> None:
    async with served(family, "geheim\r\nX-Other: 1") as there:
        there.add(paired=True)
        answers = await there.every_call()
        assert there.model.sent == []
        assert isinstance(answers["send"], Fault) and "geheim" not in str(answers)


async def test_every_call_to_one_that_hangs_ends_in_its_time(there: There) -> None:
    there.add(paired=True)
    there.model.fault = "hang"
    async with asyncio.timeout(20):
        answers = await there.every_call(timeout_s=0.2)
    known = {name for name, answer in answers.items() if isinstance(answer, Fault | NoList)}
    assert known >= {"health", "sessions", "session", "send"}


@pytest.mark.parametrize("fault", ["garbage", "page"])
async def test_garbage_is_a_fault_of_each_call_and_no_receipt(there: There, fault: str) -> None:
    there.add(paired=True)
    there.model.fault = fault
    answers = await there.every_call()
    assert isinstance(answers["session"], Fault) or there.family == "baileys-api", "any 200 says that it is up"
    assert isinstance(answers["send"], Fault)
    handed_over = [path for _, path in there.model.asked if "send" in path.lower()]
    assert failures.classify(answers["send"]).may_have_left is bool(handed_over)


async def test_nothing_that_is_shown_holds_a_secret(there: There) -> None:
    """The gateway says back whatever it was asked, keys and tokens and all."""
    there.add(paired=True)
    await there.send()
    there.model.fault = "echo"
    answers = await there.every_call()
    assert isinstance(answers["send"], Fault) and answers["send"].detail
    secrets = {there.model.key, there.model.key.partition(":")[2] or there.model.key, f"token-of-{there.name}"}
    for secret in secrets:
        assert secret not in str(answers)


async def test_no_call_goes_where_none_may(there: There) -> None:
    there.add(paired=True)
    await there.every_call()
    for method, path in there.model.asked:
        assert not any(word in path for word in ("unhealthy", "start-all", "/instance/delete", "server/stop"))
        assert method != "DELETE" or "logout" in path or path.startswith("/connections/")


async def test_an_evolution_without_its_licence_is_up_and_does_nothing() -> None:
    async with served("evolution") as there:
        there.add(paired=True)
        assert isinstance(there.model, Evolution)
        there.model.licensed = False
        answers = await there.every_call()
        assert isinstance(answers["health"], InstanceHealth)
        assert {phase(answers[name]) for name in ("sessions", "session", "send", "start")} == {Phase.UNLICENSED}


async def test_an_evolution_whose_root_hangs_at_the_internet_is_well_all_the_same() -> None:
    async with served("evolution") as there:
        assert isinstance(there.model, Evolution)
        there.model.root_hangs = True
        health = await there.driver.health(there.url, timeout_s=2)
        assert isinstance(health, InstanceHealth) and health.version is None


async def test_a_wppconnect_that_calls_a_dead_browser_connected_is_not_believed() -> None:
    async with served("wppconnect") as there:
        session = there.add(paired=True)
        session.dead = True
        row = await there.one()
        assert isinstance(row, ListedSession) and row.status is SessionStatus.DISCONNECTED


async def test_a_token_that_was_refused_is_made_anew() -> None:
    async with served("wppconnect") as there:
        there.add(paired=True)
        assert isinstance(there.model, Wppconnect)
        assert isinstance(await there.send(), Receipt)
        there.driver._tokens = dict.fromkeys(there.driver._tokens, "an old one")  # type: ignore[attr-defined]
        assert phase(await there.send()) is Phase.UNAUTHORISED
        assert isinstance(await there.send(), Receipt)


@pytest.mark.parametrize("family", ["wwebjs-api", "wppconnect", "wuzapi"])
async def test_one_session_that_hangs_does_not_take_the_list_of_the_others(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(family) as there:
        for number in range(20):
            there.model.add(f"s{number}", paired=True)
        real = type(there.driver).one

        async def one(driver: Any, url: InstanceUrl, session: SessionId, until: float) -> ListedSession | Fault:
            if session == "s7":
                return Fault(Phase.REPLY_TIMED_OUT)
            return await real(driver, url, session, until)

        monkeypatch.setattr(type(there.driver), "one", one)
        listing = await there.driver.sessions(there.url, timeout_s=30)
        assert isinstance(listing, SessionList) and len(listing.sessions) == 20
        assert listing.sessions[SessionId("s7")].status is SessionStatus.UNKNOWN
        assert "s7 did not tell" in listing.oddities[0]
