"""The engine of the real WhatsApp against a scripted process: what it asks, what it tells, and in which order."""

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from homing.instance.engine import (
    Acknowledged,
    Closed,
    DeviceRemoved,
    Frame,
    FrameRefused,
    Inbound,
    Label,
    LoggedIn,
    LoggedOut,
    Message,
    NotLetIn,
    Paired,
    PairingFailed,
    Replaced,
    SealRefused,
    Throttled,
)
from homing.instance.engines.baileys import engine as engine_module
from homing.instance.engines.baileys import sidecar as sidecar_module
from homing.instance.engines.baileys.endings import OUTDATED_ADVICE, PASSKEY
from homing.instance.engines.baileys.engine import BaileysEngine, BaileysSession
from homing.instance.engines.baileys.packing import PACK, PackedKeys
from homing.instance.engines.baileys.sidecar import Sidecar, SidecarGone
from homing.instance.frames import framed, recipient_of, stanza_of
from homing.model.instances.vault import Login, SessionKey
from homing.model.sends.addresses import Address
from homing.model.sends.content import MessageRef
from homing.model.sends.signs import ReadSign, TypingSign

SCRIPTED = Path(__file__).with_name("scripted_sidecar.py")
LABEL = Label("http://one", 3)
LOGIN = {"creds": '{"me":1}'}
OPEN = {"t": "open", "id": "62811:5@s.whatsapp.net"}
RATCHET = ["session", "62899.0", '"after"']


class RecordedState:
    """What the engine wants kept. ``over``: the grant is."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], bytes | None] = {}
        self.logins: list[Login] = []
        self.known: set[str] = set()
        self.over = False

    async def get(self, kind: str, ids: Any) -> dict[str, bytes]:
        await asyncio.sleep(0)
        return {each: value for each in ids if (value := self.rows.get((kind, each))) is not None}

    def changed(self, keys: list[SessionKey]) -> None:
        self.rows.update({(key.kind, key.id): key.value for key in keys})

    async def committed(self, login: Login | None = None) -> bool:
        if login is not None:
            self.logins.append(login)
        return not self.over

    async def had(self, message_id: str, digest: str) -> bool:
        return digest in self.known


class Played:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = RecordedState()
        self.events: list[Any] = []
        self.script = folder / "script.json"

    async def session(self, *steps: list[Any]) -> BaileysSession:
        self.script.write_text(json.dumps(steps))
        self.engine = BaileysEngine(
            Sidecar([sys.executable, str(SCRIPTED), str(self.script)]), "127.0.0.1:1", "2.3000.7"
        )
        return await self.again()

    async def again(self) -> BaileysSession:
        session = await self.engine.connect(self.events.append, self.state)
        assert isinstance(session, BaileysSession)
        return session

    async def logged_in(self, *steps: list[Any]) -> BaileysSession:
        session = await self.session(["hear", "open"], ["say", OPEN], *steps)
        assert await session.login(LOGIN, next_counter=1, label=LABEL) == LoggedIn("62811")
        return session

    def heard(self, kind: str) -> list[dict[str, Any]]:
        path = self.script.with_suffix(".heard")
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if line["t"] == kind]


@pytest.fixture
async def played(tmp_path: Path) -> AsyncIterator[Played]:
    played = Played(tmp_path)
    yield played
    await played.engine.close()


async def soon(is_so: Callable[[], Any]) -> None:
    for _ in range(2000):
        if is_so():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never was so")


async def test_a_login_opens_with_its_credentials_under_a_label_that_only_tests_see(played):
    await played.logged_in()
    (opening,) = played.heard("open")
    assert opening["creds"] == LOGIN["creds"]
    assert opening["version"] == [2, 3000, 7]
    assert opening["url"].endswith("?holder=http%3A%2F%2Fone&epoch=3")
    assert "?" not in BaileysEngine(played.engine.sidecar, None, None).opening(LOGIN, LABEL)["url"]


ENDINGS = [
    (401, LoggedOut("the phone removed the device", known=True)),
    (403, LoggedOut("banned: WhatsApp does not let this account in", known=False)),
    (405, Throttled(300.0, OUTDATED_ADVICE)),
    (411, Throttled(300.0, OUTDATED_ADVICE)),
    (429, Throttled(60.0)),
]


@pytest.mark.parametrize(("code", "answer"), ENDINGS)
async def test_a_refused_login_is_answered_with_what_it_means(played, code, answer):
    session = await played.session(["hear", "open"], ["say", {"t": "closed", "code": code, "why": "so"}])
    assert await session.login(LOGIN, next_counter=1, label=LABEL) == answer


@pytest.mark.parametrize("code", [515, 503, 428, 408, 500, None])
async def test_a_login_that_may_be_tried_again_is_a_lost_connection(played, code):
    session = await played.session(["hear", "open"], ["say", {"t": "closed", "code": code, "why": "so"}])
    with pytest.raises(ConnectionError):
        await session.login(LOGIN, next_counter=1, label=LABEL)
    assert played.events == []


AFTERWARDS = [(440, [Replaced(), Closed()]), (401, [DeviceRemoved(), Closed()])] + [
    (code, [Closed()]) for code in (515, 503, 428, 408, 403, 411, None)
]


@pytest.mark.parametrize(("code", "events"), AFTERWARDS)
async def test_every_ending_of_a_connection_is_told_by_its_name(played, code, events):
    await played.logged_in(["say", {"t": "closed", "code": code, "why": "so"}])
    await soon(lambda: Closed() in played.events)
    assert played.events == events


async def test_sealing_tells_its_keys_before_its_bytes_and_nothing_leaves_by_it(played):
    bytes_ = base64.b64encode(b"stanza").decode()
    session = await played.logged_in(
        ["hear", "seal"],
        ["say", {"t": "changed", "keys": [RATCHET]}],
        ["say", {"t": "sealed", "n": "$n", "frame": bytes_, "step": 9}],
        ["hear", "transmit"],
        ["say", {"t": "ack", "id": "3EB0AA"}],
    )
    sealed = await session.seal(Message("3EB0AA", "62899", "hi"))
    assert played.state.rows == {("session", "62899.0"): b'"after"'}
    assert (recipient_of(sealed), stanza_of(sealed)) == ("62899", b"stanza")
    (asked,) = played.heard("seal")
    assert (asked["to"], asked["text"], asked["id"]) == ("62899@s.whatsapp.net", "hi", "3EB0AA")
    assert played.heard("transmit") == []
    session.transmit(Frame(4, "3EB0AA", sealed))
    await soon(lambda: played.events)
    assert played.events == [Acknowledged(4)]
    (left,) = played.heard("transmit")
    assert (left["frame"], left["step"]) == (bytes_, 9)


async def test_a_repeat_of_an_earlier_holder_is_the_same_bytes_and_makes_nothing_durable(played):
    session = await played.logged_in(["hear", "transmit"], ["say", {"t": "ack", "id": "3EB0AA", "error": "463"}])
    session.transmit(Frame(4, "3EB0AA", framed("62899", b"stanza")))
    await soon(lambda: played.events)
    assert played.events == [FrameRefused(4, "WhatsApp refused it: error 463", 463)]
    assert played.heard("transmit")[0]["step"] == 0


@pytest.mark.parametrize(
    ("told", "raised"),
    [
        ({"refused": True, "error": "no such recipient"}, SealRefused),
        ({"code": 463, "error": "not now"}, SealRefused),
        ({"error": "Connection Closed", "code": 428}, ConnectionError),
    ],
)
async def test_what_cannot_be_sealed_is_refused_or_tried_over_another_connection(played, told, raised):
    session = await played.logged_in(["hear", "seal"], ["say", {"t": "sealed", "n": "$n", **told}])
    with pytest.raises(raised):
        await session.seal(Message("3EB0AA", "62899", "hi"))


ARRIVED = {"t": "arrived", "step": 5, "keys": [RATCHET], "id": "3AFF", "digest": "d", "from": "62899@s.whatsapp.net"}


async def test_what_came_in_is_told_with_its_keys_and_acknowledged_when_the_host_says_so(played):
    session = await played.logged_in(["say", {**ARRIVED, "text": "hello", "at": 1_700_000_000}])
    await soon(lambda: played.events)
    assert played.events == [Inbound("3AFF", "62899", "hello", "2023-11-14T22:13:20+00:00", "d")]
    assert played.state.rows == {("session", "62899.0"): b'"after"'}
    assert played.heard("received") == []
    session.received("3AFF")
    await soon(lambda: played.heard("received"))
    assert played.heard("received")[0]["step"] == 5


async def test_what_was_kept_before_is_known(played):
    played.state.known.add("d")
    await played.logged_in(["say", {"t": "had", "n": 3, "id": "3AFF", "digest": "d"}], ["hear", "answer"])
    await soon(lambda: played.heard("answer"))
    assert (played.heard("answer")[0]["n"], played.heard("answer")[0]["value"]) == (3, True)


async def test_a_commit_under_a_grant_that_is_over_is_never_answered(played):
    """An answer of any kind would let something leave, and be it that the message could not be read."""
    played.state.over = True
    await played.logged_in(
        ["say", {"t": "commit", "n": 1}], ["say", {"t": "get", "n": 2, "kind": "session", "ids": []}]
    )
    await soon(lambda: played.heard("answer"))
    assert [line["n"] for line in played.heard("answer")] == [2]


async def test_after_its_end_a_session_hears_nothing_and_is_muted(played):
    session = await played.logged_in(["hear", "close"], ["say", {**ARRIVED, "text": "late"}], ["say", {"t": "pong"}])
    session.close()
    await soon(lambda: played.heard("close"))
    await asyncio.sleep(0.05)
    assert (played.events, played.state.rows) == ([], {})


async def test_pairing_shows_a_code_saves_the_login_and_wants_another_connection(played):
    session = await played.session(
        ["hear", "open"],
        ["say", {"t": "qr", "qr": "2@first"}],
        ["say", {"t": "commit", "n": 1, "creds": "{}", "paired": False}],
        ["hear", "answer"],
        ["say", {"t": "qr", "qr": "2@second"}],
        ["say", {"t": "commit", "n": 2, "creds": '{"me":2}', "paired": True}],
        ["hear", "answer"],
        ["say", {"t": "closed", "code": 515, "why": "restart required"}],
    )
    assert (await session.pair("s1")).code == "2@first"
    await soon(lambda: played.events)
    assert played.events == [Paired({"creds": '{"me":2}'})]
    assert played.state.logins == [{"creds": '{"me":2}'}], "what is not paired is no login"


async def test_a_code_to_type_is_made_for_the_phone_that_is_named_over_the_connection_that_is_there(played):
    session = await played.session(
        ["hear", "open"],
        ["say", {"t": "qr", "qr": "2@first"}],
        ["hear", "code"],
        ["say", {"t": "code", "n": "$n", "code": "ABCD1234"}],
        ["say", {"t": "commit", "n": 2, "creds": '{"me":2}', "paired": True}],
        ["hear", "answer"],
        ["say", {"t": "closed", "code": 515, "why": "restart required"}],
    )
    typed = await session.pair("s1", "628111")
    assert (typed.code, typed.typed, 150 < typed.expires_in_s <= 155) == ("ABCD1234", True, True)
    assert played.heard("code")[0]["phone"] == "628111"
    await soon(lambda: played.events)
    assert played.events == [Paired({"creds": '{"me":2}'})]


async def test_a_code_to_type_does_not_come_of_a_connection_whose_codes_are_nearly_used_up(played, monkeypatch):
    one = [["hear", "open"], ["say", {"t": "qr", "qr": "2@first"}]]
    session = await played.session(*one, *one, ["hear", "code"], ["say", {"t": "code", "n": "$n", "code": "ABCD1234"}])
    assert not (await session.pair("s1")).typed
    monkeypatch.setattr(engine_module, "FRESH_S", 0.0)
    assert (await session.pair("s1", "628111")).code == "ABCD1234"
    assert [line["s"] for line in played.heard("open")] == [1, 2]
    assert [line["s"] for line in played.heard("close")] == [1], "the codes of the other one are void"


async def test_a_code_is_told_with_the_time_that_it_has(played, monkeypatch):
    monkeypatch.setattr(engine_module, "FIRST_CODE_S", 3.2)
    session = await played.session(
        ["hear", "open"], ["say", {"t": "qr", "qr": "first"}], ["hear", "ask"], ["say", {"t": "qr", "qr": "second"}]
    )
    first = await session.pair("s1")
    assert (first.code, 3.0 < first.expires_in_s <= 3.2) == ("first", True)
    await asyncio.sleep(0.25)
    waiting = asyncio.create_task(session.pair("s1"))
    await asyncio.sleep(0.05)
    assert not waiting.done(), "nobody could scan it in what is left of its time"
    session._say({"t": "ask"})
    second = await waiting
    assert (second.code, 19 < second.expires_in_s <= 20) == ("second", True)


PAIRING_ENDINGS = [
    ("passkey", PairingFailed(PASSKEY, final=True)),
    (403, PairingFailed("banned: WhatsApp does not let this account link devices", final=True)),
    (401, PairingFailed("WhatsApp refused the link: the code was not the one that is shown here")),
]


@pytest.mark.parametrize(("code", "failed"), PAIRING_ENDINGS)
async def test_a_pairing_that_failed_says_why(played, code, failed):
    ends = ["say", {"t": "closed", "code": code, "why": "so"}]
    session = await played.session(["hear", "open"], ["say", {"t": "qr", "qr": "2@first"}], ends)
    assert (await session.pair("s1")).code == "2@first"
    await soon(lambda: Closed() in played.events)
    assert played.events == [failed, Closed()]


@pytest.mark.parametrize("code", [515, 503, 428, 408, None])
async def test_codes_that_are_used_up_are_followed_by_others(played, code):
    ends = ["say", {"t": "closed", "code": code, "why": "so"}]
    session = await played.session(["hear", "open"], ["say", {"t": "qr", "qr": "2@first"}], ends)
    await session.pair("s1")
    await soon(lambda: played.events)
    assert played.events == [Closed()]


@pytest.mark.parametrize(("code", "said"), [(405, "HOMING_WHATSAPP_VERSION"), (429, "too many attempts")])
async def test_whoever_waits_for_a_code_hears_why_there_is_none(played, code, said):
    session = await played.session(["hear", "open"], ["say", {"t": "closed", "code": code, "why": "so"}])
    with pytest.raises(NotLetIn, match=said):
        await session.pair("s1")


@pytest.mark.parametrize("steps", [["garbage"], ["huge"], ["exit"]], ids=lambda steps: steps[0])
async def test_a_process_that_dies_or_raves_costs_a_connection_and_another_one_is_started(played, steps):
    session = await played.logged_in(steps)
    first = played.engine.sidecar.pid
    await soon(lambda: Closed() in played.events)
    session.transmit(Frame(1, "3EB0AA", framed("62899", b"stanza")))
    with pytest.raises(ConnectionError):
        await session.seal(Message("3EB0AA", "62899", "hi"))
    played.script.write_text(json.dumps([["hear", "open"], ["say", OPEN]]))
    again = await played.again()
    assert await again.login(LOGIN, next_counter=1, label=LABEL) == LoggedIn("62811")
    assert played.engine.sidecar.pid != first


async def test_a_process_that_spins_is_killed(played, monkeypatch):
    monkeypatch.setattr(sidecar_module, "PING_EVERY_S", 0.05)
    monkeypatch.setattr(sidecar_module, "PONG_WITHIN_S", 0.2)
    await played.logged_in(["sleep"])
    await soon(lambda: Closed() in played.events)


async def test_a_process_of_another_protocol_is_not_spoken_to(tmp_path):
    script = tmp_path / "other.py"
    script.write_text(SCRIPTED.read_text().replace('"protocol": 1', '"protocol": 2'))
    (tmp_path / "script.json").write_text("[]")
    sidecar = Sidecar([sys.executable, str(script), str(tmp_path / "script.json")])
    with pytest.raises(SidecarGone, match="speaks protocol 2, not 1"):
        await sidecar.channel(lambda _: None)
    await sidecar.close()


async def test_a_process_that_is_not_there_is_a_connection_that_cannot_be_made(tmp_path):
    with pytest.raises(OSError, match="cannot be started"):
        await Sidecar([str(tmp_path / "nowhere")]).channel(lambda _: None)


def prekey(number: int) -> str:
    half = base64.b64encode(bytes([number]) * 32).decode()
    return json.dumps({half_name: {"type": "Buffer", "data": half} for half_name in ("private", "public")})


async def test_prekeys_are_packed_and_come_back_as_they_were():
    state = RecordedState()
    keys = PackedKeys(state)
    changed = [("pre-key", str(number), prekey(number)) for number in range(1, 201)]
    await keys.load([each for _, each, _ in changed])
    state.changed(keys.rows(changed))
    assert {kind for kind, _ in state.rows} == {PACK} and len(state.rows) == 4
    assert sum(len(value or b"") for value in state.rows.values()) < 200 * 75
    later = PackedKeys(state)
    gone = [("pre-key", "7", None)]
    assert later.missing(gone)
    await later.load(["7"])
    state.changed(later.rows(gone))
    told = await PackedKeys(state).get("pre-key", ["6", "7", "8", "200", "999"])
    assert {each: json.loads(value) for each, value in told.items()} == {
        each: json.loads(prekey(int(each))) for each in ("6", "8", "200")
    }


async def test_signs_are_told_to_the_process_and_count_once_it_showed_them(played):
    session = await played.logged_in(["hear", "show"], ["say", {"t": "shown", "n": "$n"}], *[
        ["hear", "show"], ["say", {"t": "shown", "n": "$n", "error": "no network"}]
    ])  # fmt: skip
    group, author = Address.of("62811-1600@g.us"), Address.of("62899")
    await session.show(ReadSign(group, (MessageRef("3A01", participant=author), MessageRef("3A02"))))
    with pytest.raises(ConnectionError, match="could not be shown: no network"):
        await session.show(TypingSign(author, 2.5))
    read, typing = played.heard("show")
    about = {"remoteJid": "62811-1600@g.us", "fromMe": False}
    assert read["read"] == [
        {**about, "id": "3A01", "participant": "62899@s.whatsapp.net"},
        {**about, "id": "3A02", "participant": None},
    ]
    assert (typing["typing"], typing["for_ms"]) == ("62899@s.whatsapp.net", 2500)
    session.close()
    with pytest.raises(ConnectionError, match="gone"):
        await session.show(TypingSign(author, 0))
