"""The real engine, in its Node process, against a WhatsApp that speaks the real protocol: each fault at each point.

`make engine` runs it. What it judges by is what phones read, in WhatsApp's own ledger.
"""

import asyncio
import hashlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from homing.decide.fleet.leases import LeasePolicy
from homing.imports import baileys_folder
from homing.instance.engine import FileGone, FrameRefused, Inbound, Label, Uploaded
from homing.instance.engines.baileys import installing
from homing.instance.engines.baileys.encrypted_files import FILE_KINDS
from homing.instance.engines.baileys.engine import BaileysEngine
from homing.instance.engines.baileys.packing import packed_rows
from homing.instance.engines.baileys.sidecar import Sidecar, SidecarCommand
from homing.instance.host import SessionHost
from homing.instance.lease import LeaseKeeper
from homing.instance.notify.events import MessageReceived, Status
from homing.instance.policy import HostPolicy
from homing.instance.session.device_state import SessionState
from homing.instance.session.messages import EngineSent, Message
from homing.instance.session.ownership import Ownership
from homing.instance.session.session import HostedSession
from homing.model.instances.vault import Committed, Grant, InboxMessage, RatchetStep, StaleEpoch, Unsent
from homing.model.sends import content_json
from homing.model.sends.addresses import Address
from homing.model.sends.content import (
    ContactContent,
    EditContent,
    KeptMedia,
    LocationContent,
    MediaContent,
    MessageRef,
    MessageType,
    PollContent,
    ReactionContent,
    RevokeContent,
    TextContent,
    words_of,
)
from homing.model.sends.signs import ReadSign, TypingSign
from homing.ports import StoreUnavailable
from homing.store.db.migrating import migrate
from homing.store.db.opening import open_database
from homing.store.grants.leases import SqlLeases
from homing.store.vault.sealing import KeyRing, fresh_key
from homing.store.vault.vault import SqlVault
from homing.world import SystemClock

pytestmark = [pytest.mark.e2e, pytest.mark.real]
WAIT_S = 60.0
PATIENT = HostPolicy(login_wait_s=WAIT_S, acknowledge_within_s=30.0, seal_within_s=30.0, logins_per_s=1000)


class Vault:
    """The vault as one host has it. ``before`` and ``after`` a step is kept, a test may do something to the host."""

    def __init__(self, inner: SqlVault) -> None:
        self._inner = inner
        self.away = False
        self.before = self.after = self._nothing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def commit(self, grant: Grant, step: RatchetStep) -> Committed | StaleEpoch:
        if self.away:
            raise StoreUnavailable("away")
        await self.before(step)
        answer = await self._inner.commit(grant, step)
        await self.after(step)
        return answer

    async def _nothing(self, step: RatchetStep) -> None:
        return


class Holder:
    """One instance's host, with a Node process of its own."""

    def __init__(self, world: "World", name: str) -> None:
        self.vault = Vault(world.vault)
        self.events: list[Any] = []
        command = SidecarCommand(world.installed.node, world.installed.package).words
        self.engine = BaileysEngine(Sidecar(command), world.whatsapp["address"], None)
        lease = LeaseKeeper(
            world.leases, f"http://{name}", SystemClock(), fresh_id=lambda: f"boot of {name}", policy=LeasePolicy()
        )
        self.host = SessionHost(
            self.engine, self.vault, lease, clock=SystemClock(), random=Random(1), policy=PATIENT, on_event=self.hear
        )
        self.leasing = asyncio.create_task(lease.run(self.host))
        self.deaf = False

    async def hear(self, event: Any) -> None:
        if self.deaf:
            raise OSError("no room")
        self.events.append(event)

    async def up(self) -> HostedSession:
        session = await self.host.start("s1", 1)
        assert isinstance(session, HostedSession)
        await eventually(lambda: session.status is Status.CONNECTED)
        return session

    async def say(self, number: int) -> Any:
        return await self.host.send("s1", Message(f"3EB0{number:018X}", "628222", f"text {number}"))

    def heard(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, MessageReceived)]

    async def kill(self) -> None:
        """As `kill -9` of the whole instance: nothing of it moves from here on."""
        if self.engine.sidecar.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.engine.sidecar.pid, signal.SIGKILL)
        self.leasing.cancel()
        for session in self.host.sessions():
            session.cut()
        await self.engine.close()


class World:
    def __init__(self, installed: installing.Installed, folder: Path) -> None:
        self.installed, self.folder = installed, folder
        self.holders: list[Holder] = []

    async def begin(self) -> None:
        at = self.installed.package
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "homing.demo.child", str(os.getpid()), "simulated_whatsapp", "multidevice"),
            *("--dictionary", str(at)),
            *("--ledger", str(self.folder / "ledger.jsonl"), "--keys", str(self.folder / "keys")),
            stdout=PIPE,
        )
        assert self.process.stdout is not None
        self.whatsapp = json.loads(await asyncio.wait_for(self.process.stdout.readline(), WAIT_S))
        url = f"sqlite:///{self.folder / 'vault.db'}"
        await migrate(url)
        self.database = open_database(url)
        self.vault = await SqlVault.of(self.database, KeyRing(fresh_key()))
        self.leases = SqlLeases(self.database)
        self.http = aiohttp.ClientSession()

    async def end(self) -> None:
        for holder in self.holders:
            await holder.kill()
        await self.http.close()
        self.process.kill()
        await self.process.wait()
        await self.vault.close()
        await self.database.close()

    def holder(self, name: str) -> Holder:
        self.holders.append(Holder(self, name))
        return self.holders[-1]

    async def paired(self) -> Holder:
        """A first holder whose session a phone has linked."""
        holder = self.holder("a")
        session = await holder.host.start("s1", 1)
        assert isinstance(session, HostedSession) and session.pairing is not None
        await self.tell("scan", qr=session.pairing.code, phone="628111")
        await eventually(lambda: session.status is Status.CONNECTED)
        return holder

    async def tell(self, what: str, **facts: Any) -> Any:
        async with self.http.post(f"http://{self.whatsapp['address']}/admin/{what}", json=facts) as answer:
            return await answer.json()

    async def ledger(self, event: str) -> list[dict[str, Any]]:
        async with self.http.get(f"http://{self.whatsapp['address']}/admin/ledger?after=0") as answer:
            return [line for line in (await answer.json())["lines"] if line["event"] == event]

    async def read(self) -> list[str]:
        """What the recipient's phone showed, in order."""
        return [line["text"] for line in await self.ledger("shown") if line["recipient"] == "628222"]


async def eventually(is_so: Callable[[], Any]) -> None:
    for _ in range(int(WAIT_S / 0.05)):
        answer = is_so()
        if await answer if asyncio.iscoroutine(answer) else answer:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never was so")


@pytest.fixture
async def world(
    installed: installing.Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    world = World(installed, tmp_path)
    await world.begin()
    monkeypatch.setenv("HOMING_TEST_WHATSAPP_ROOT", world.whatsapp["root_key"])
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", world.whatsapp["ca"])
    yield world
    await world.end()


async def test_a_phone_is_linked_writes_and_is_written_to_and_goes_on_elsewhere(world):
    one = await world.paired()
    assert [await one.say(number) for number in range(3)] == [EngineSent(f"3EB0{n:018X}") for n in range(3)]
    await world.tell("write", **{"from": "628222", "to": "628111", "text": "hi back"})
    await eventually(lambda: one.heard() == ["hi back"])
    two = world.holder("b")
    await two.up()
    assert isinstance(await two.say(3), EngineSent)
    assert await world.read() == ["text 0", "text 1", "text 2", "text 3"]
    assert await world.ledger("undecryptable") == [], "the chat goes on where the last holder left it"


@pytest.mark.parametrize("when", ["sealed", "committed"])
async def test_killed_around_the_commit_of_a_message_it_is_read_once(world, when):
    one = await world.paired()
    assert isinstance(await one.say(0), EngineSent)
    dead = asyncio.Event()

    async def die(step: RatchetStep) -> None:
        if any(each.message_id.endswith("1") for each in step.unsent):
            await one.kill()
            dead.set()
            await asyncio.Event().wait()

    if when == "sealed":
        one.vault.before = die
    else:
        one.vault.after = die
    said = asyncio.create_task(one.say(1))
    await asyncio.wait_for(dead.wait(), WAIT_S)
    two = world.holder("b")
    await two.up()
    if when == "sealed":
        assert await world.read() == ["text 0"], "what was not kept did not leave"
    assert isinstance(await two.say(1), EngineSent)
    assert await world.read() == ["text 0", "text 1"]
    by = [line["label"]["epoch"] for line in await world.ledger("accepted")]
    assert by == ["1", "2"]
    said.cancel()


async def test_killed_before_the_acknowledgement_the_next_holder_says_the_same_bytes(world):
    one = await world.paired()
    assert isinstance(await one.say(0), EngineSent)
    await world.tell("arm", fault="drop_ack", times=1)
    said = asyncio.create_task(one.say(1))

    async def accepted() -> bool:
        return len(await world.ledger("accepted")) == 2

    await eventually(accepted)
    await one.kill()
    two = world.holder("b")
    await two.up()
    assert isinstance(await two.say(1), EngineSent)
    assert await world.read() == ["text 0", "text 1"]
    frames = [line["frame_sha256"] for line in await world.ledger("accepted") if line["message_id"].endswith("1")]
    assert len(frames) == 2 and len(set(frames)) == 1
    said.cancel()


async def test_a_node_process_that_is_killed_is_started_again_under_the_same_grant(world):
    one = await world.paired()
    session = one.host.find("s1")
    assert session is not None and one.engine.sidecar.pid is not None
    first = one.engine.sidecar.pid
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: one.engine.sidecar.pid != first and session.status is Status.CONNECTED)
    assert isinstance(await one.say(0), EngineSent)
    assert (session.epoch, await world.read()) == (1, ["text 0"])


async def test_a_stale_holder_that_logs_in_with_what_it_has_says_and_acknowledges_nothing(world):
    one = await world.paired()
    assert isinstance(await one.say(0), EngineSent)
    session = one.host.find("s1")
    assert session is not None and session.grant is not None
    old, refused = session.grant, asyncio.Event()
    assert old.login is not None
    two = world.holder("b")
    await two.up()

    async def at_once() -> None:
        return

    def superseded(_: int) -> None:
        refused.set()
        state.end()
        wire.close()

    own = Ownership(old, world.vault, one.host.lease, 0.1)
    state = SessionState(own, world.vault, trusted=at_once, superseded=superseded, room=at_once, ask_again_s=0.1)
    wire = await one.engine.connect(lambda event: took_in(event, state), state)
    logging_in = asyncio.create_task(
        wire.login(old.login, next_counter=old.next_counter, label=Label("http://stale", old.epoch))
    )

    async def is_in() -> bool:
        return any(line["label"].get("holder") == "http://stale" for line in await world.ledger("login"))

    await eventually(is_in)
    await world.tell("write", **{"from": "628222", "to": "628111", "text": "for whom?"})
    await asyncio.wait_for(refused.wait(), WAIT_S)
    assert await state.reserve(old, [Unsent("3EB0FF", b"sealed before it knew")]) == StaleEpoch(2)
    third = world.holder("c")
    await third.up()
    await eventually(lambda: two.heard() + third.heard() == ["for whom?"])
    said = [line for line in await world.ledger("accepted") if line["label"].get("holder") == "http://stale"]
    acknowledged = [line["label"]["epoch"] for line in await world.ledger("receipted")]
    assert (said, "1" in acknowledged, await world.ledger("nacked")) == ([], False, [])
    logging_in.cancel()
    await asyncio.gather(logging_in, return_exceptions=True)


def took_in(event: Any, state: SessionState) -> None:
    if isinstance(event, Inbound):
        state.arrived(InboxMessage(event.id, event.digest, b"read by a stale holder"))


async def test_a_vault_that_is_away_is_waited_for_and_nothing_leaves_meanwhile(world):
    one = await world.paired()
    assert isinstance(await one.say(0), EngineSent)
    one.vault.away = True
    said = asyncio.create_task(one.say(1))
    await world.tell("write", **{"from": "628222", "to": "628111", "text": "anybody there?"})
    await asyncio.sleep(2.0)
    assert await world.read() == ["text 0"]
    assert await world.ledger("receipted") == [] and await world.ledger("nacked") == []
    one.vault.away = False
    await eventually(lambda: one.heard() == ["anybody there?"])
    await said

    async def receipted() -> bool:
        return len(await world.ledger("receipted")) == 1

    await eventually(receipted)


async def test_killed_between_keeping_a_message_and_its_receipt_it_is_told_once(world):
    one = await world.paired()
    one.deaf = True

    async def die(step: RatchetStep) -> None:
        if step.arrived:
            await one.kill()
            await asyncio.Event().wait()

    one.vault.after = die
    await world.tell("write", **{"from": "628222", "to": "628111", "text": "only once"})
    await eventually(lambda: one.leasing.cancelled())
    assert await world.ledger("receipted") == []
    two = world.holder("b")
    await two.up()
    await eventually(lambda: two.heard() == ["only once"])

    async def receipted() -> bool:
        return len(await world.ledger("receipted")) == 1

    await eventually(receipted)
    await asyncio.sleep(0.5)
    assert two.heard() == ["only once"]
    assert await world.ledger("nacked") == []


def as_of_baileys_6(folder: Path) -> None:
    """The folder as Baileys 6 has it, which knows of no hidden identities: sessions are under the number alone."""
    for session in folder.glob("session-*_1.*.json"):
        hidden, device = session.name.removeprefix("session-").split("_1.", 1)
        number = json.loads((folder / f"lid-mapping-{hidden}_reverse.json").read_text())
        session.rename(folder / f"session-{number}.{device}")
    for kind in ("lid-mapping", "device-list", "tctoken", "identity-key"):
        for file in folder.glob(f"{kind}-*"):
            file.unlink()
    creds = json.loads((folder / "creds.json").read_text())
    del creds["me"]["lid"]
    creds.pop("additionalData", None)
    (folder / "creds.json").write_text(json.dumps(creds))


@pytest.mark.parametrize("release", [6, 7])
async def test_a_login_of_a_program_that_uses_baileys_goes_on_here_and_nobody_sees_a_new_device(world, release):
    folder = world.folder / "auth"
    stock = Path(__file__).with_name("stock_client.mjs")
    words = (world.installed.node, str(stock), str(world.installed.package), json.dumps(world.whatsapp), str(folder))
    old = await asyncio.create_subprocess_exec(*words, "628111", "628222")
    assert await asyncio.wait_for(old.wait(), WAIT_S) == 0
    if release == 6:
        as_of_baileys_6(folder)
    linked = len(await world.ledger("linked"))
    found = baileys_folder.read(folder)
    assert (found.phone, found.broken, found.ignored) == ("628111", [], 0)
    await world.vault.adopt({"s1": {"creds": found.creds}}, {"s1": packed_rows(found.keys)})
    one = world.holder("a")
    await one.up()
    assert [await one.say(number) for number in range(2)] == [EngineSent(f"3EB0{n:018X}") for n in range(2)]
    await world.tell("write", **{"from": "628222", "to": "628111", "text": "who is it now?"})
    await eventually(lambda: one.heard() == ["who is it now?"])
    assert await world.read() == [
        "from the old program",
        "the old program's last",
        "text 0",
        "text 1",
    ]
    ours = [line["kinds"] for line in await world.ledger("accepted") if line["label"].get("holder") == "http://a"]
    assert ours == [["msg"], ["msg"]], "the chat goes on in the session that it had"
    assert len(await world.ledger("linked")) == linked
    assert await world.ledger("undecryptable") == [] and await world.ledger("nacked") == []


TO_A_PHONE = MessageRef("3EB0000000000000000000", from_me=True)
CONTENTS = [
    (LocationContent(-6.2, 106.8, "Monas", "Jakarta"), "location", "Monas"),
    (ContactContent("Ana; Ltd", "628999", "Homes"), "contact", "Ana; Ltd"),
    (PollContent("Which?", ("this", "that")), "poll", "Which?"),
    (ReactionContent(TO_A_PHONE, "👍"), "reaction", "👍"),
    (EditContent(TO_A_PHONE, "better words"), "edit", "better words"),
    (RevokeContent(TO_A_PHONE), "revoke", ""),
    (TextContent("an answer", reply_to=TO_A_PHONE), "text", "an answer"),
]


async def test_whatever_the_engine_declares_that_it_sends_is_read_by_a_phone(world):
    one = await world.paired()
    assert isinstance(await one.say(0), EngineSent)
    assert {content.type for content, _, _ in CONTENTS} | FILE_KINDS == one.engine.capabilities.sends
    for number, (content, _, _) in enumerate(CONTENTS, 1):
        told = content_json.written(content)
        message = Message(f"3EB0{number:018X}", "628222", words_of(content), told)
        assert isinstance(await one.host.send("s1", message), EngineSent), content.type
    shown = [line for line in await world.ledger("shown") if line["recipient"] == "628222"]
    assert [(line["kind"], line["text"]) for line in shown[1:]] == [(kind, text) for _, kind, text in CONTENTS]
    about = {line["kind"]: line.get("about") for line in shown}
    assert about["reaction"] == about["edit"] == about["revoke"] == TO_A_PHONE.id
    assert await world.ledger("undecryptable") == []


KINDS_OF_FILES = [
    (MessageType.IMAGE, "image/jpeg", "image", "a caption"),
    (MessageType.VIDEO, "video/mp4", "video", "a caption"),
    (MessageType.DOCUMENT, "application/pdf", "document", "a caption"),
    (MessageType.AUDIO, "audio/mpeg", "audio", ""),
    (MessageType.VOICE, "audio/ogg", "audio", ""),
    (MessageType.STICKER, "image/webp", "sticker", ""),
]


async def in_pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 100_000):
        yield data[at : at + 100_000]


async def give(one: Holder, number: int, data: bytes, kind: MessageType, mime: str, to: str, **more: Any) -> Any:
    """As the instance's API does: WhatsApp has the file before the message is reserved."""
    given = await one.host.upload("s1", in_pieces(data), kind)
    assert isinstance(given, Uploaded)
    kept = KeptMedia("1", given.sha256, len(data), mime)
    told = content_json.written(MediaContent(kind, kept, file_name="a file.bin", **more))
    return await one.host.send("s1", Message(f"3EB0{number:018X}", to, more.get("caption", ""), told, given.reference))


async def test_files_of_every_kind_are_opened_by_a_phone_with_the_bytes_that_were_sent(world):
    one = await world.paired()
    files = [os.urandom(size) for size in (1, 1_000, 65_536, 300_000, 2_000_000, 17)]
    for number, (data, (kind, mime, _, caption)) in enumerate(zip(files, KINDS_OF_FILES, strict=True)):
        more = {"caption": caption} if caption else {}
        sent = await give(one, number, data, kind, mime, "628222", reply_to=TO_A_PHONE, **more)
        assert isinstance(sent, EngineSent), (kind, sent)
    shown = [line for line in await world.ledger("shown") if line["recipient"] == "628222"]
    assert [line.get("file_broken") for line in shown] == [None] * len(files)
    assert [line["file_sha256"] for line in shown] == [hashlib.sha256(data).hexdigest() for data in files]
    assert [(line["kind"], line["text"]) for line in shown] == [(kind, words) for _, _, kind, words in KINDS_OF_FILES]
    assert shown[4]["file_mime_type"] == "audio/ogg; codecs=opus" and shown[2]["file_name"] == "a file.bin"


async def test_a_file_for_a_group_is_opened_by_its_members(world):
    one = await world.paired()
    group = (await world.tell("group", members=["628111", "628222", "628333"], subject="files"))["group"]
    data = os.urandom(5_000)
    assert isinstance(await give(one, 1, data, MessageType.IMAGE, "image/jpeg", group), EngineSent)
    shown = [line for line in await world.ledger("shown") if not line["own_copy"]]
    assert {line["recipient"]: line["file_sha256"] for line in shown} == dict.fromkeys(
        ("628222", "628333"), hashlib.sha256(data).hexdigest()
    )


async def test_a_file_that_a_phone_sends_is_read_by_whoever_holds_the_session_and_never_in_part(world):
    one = await world.paired()
    data = os.urandom(700_000)
    told = {"from": "628222", "to": "628111", "kind": "image", "mime_type": "image/jpeg", "text": "look"}
    await world.tell("write", **told, file=b64encode(data).decode())
    await eventually(lambda: one.heard() == ["look"])
    [event] = [each for each in one.events if isinstance(each, MessageReceived)]
    assert event.file is not None and event.file.mime_type == "image/jpeg"
    assert await fetched(one, event.file.reference) == data
    await one.kill()
    other = world.holder("b")
    await other.up()
    assert await fetched(other, event.file.reference) == data
    await world.tell("forget-files")
    with pytest.raises(FileGone):
        await fetched(other, event.file.reference)


async def test_a_recipient_who_could_not_read_a_message_gets_it_from_whoever_holds_the_session_then(world):
    one = await world.paired()
    assert isinstance(await one.say(0), EngineSent)
    await world.tell("write", **{"from": "628222", "to": "628111", "text": "go on"})
    await eventually(lambda: one.heard() == ["go on"])
    await world.tell("phone", phone="628222", online=False)
    data = os.urandom(4_000)
    assert isinstance(await one.say(1), EngineSent)
    assert isinstance(await give(one, 2, data, MessageType.IMAGE, "image/jpeg", "628222", caption="look"), EngineSent)
    await one.kill()
    other = world.holder("b")
    await other.up()
    await world.tell("forget-sessions", phone="628222")
    await world.tell("phone", phone="628222", online=True)

    async def are_read() -> bool:
        return (await world.read()) == ["text 0", "text 1", "look"]

    await eventually(are_read)
    assert len(await world.ledger("undecryptable")) >= 2, "they could not be read at first"
    [shown] = [line for line in await world.ledger("shown") if line["kind"] == "image" and not line["own_copy"]]
    assert shown["file_sha256"] == hashlib.sha256(data).hexdigest()


async def fetched(holder: Holder, reference: str) -> bytes:
    pieces = holder.host.download("s1", reference)
    assert isinstance(pieces, AsyncIterator)
    return b"".join([piece async for piece in pieces])


async def test_a_group_is_written_to_under_one_key_which_the_next_holder_goes_on_with(world):
    one = await world.paired()
    members = ["628111", "628222", "628333"]
    group = (await world.tell("group", subject="A group", members=members))["group"]

    async def said(holder: Holder, number: int) -> None:
        message = Message(f"3EB0{number:018X}", group, f"to all {number}")
        assert isinstance(await holder.host.send("s1", message), EngineSent)

    await said(one, 1)
    await said(one, 2)
    two = world.holder("b")
    await two.up()
    await said(two, 3)
    shown = [line for line in await world.ledger("shown") if not line["own_copy"]]
    for phone in members[1:]:
        assert [line["text"] for line in shown if line["recipient"] == phone] == [f"to all {n}" for n in (1, 2, 3)]
    kinds = [line["kinds"] for line in await world.ledger("accepted")]
    assert [kind == ["skmsg"] for kind in kinds] == [False, True, True], "the key goes along once"
    assert await world.ledger("undecryptable") == []
    await world.tell("write", **{"from": "628333", "to": group, "text": "from the group"})
    await eventually(lambda: two.heard() == ["from the group"])


async def test_a_group_that_the_account_is_not_in_is_refused(world):
    one = await world.paired()
    group = (await world.tell("group", subject="Others", members=["628222", "628333"]))["group"]
    outcome = await one.host.send("s1", Message("3EB0" + "0" * 18, group, "hello?"))
    assert isinstance(outcome, FrameRefused) and "no such group" in outcome.reason
    assert await world.ledger("accepted") == []


async def test_messages_are_marked_as_read_and_typing_is_shown_and_ends_by_itself(world):
    one = await world.paired()
    ben = Address.of("628222")
    written = await world.tell("write", **{"from": "628222", "to": "628111", "text": "hello?"})
    await eventually(lambda: one.heard() == ["hello?"])
    assert await one.host.show("s1", ReadSign(ben, (MessageRef(written["message_id"]),))) is None
    assert await one.host.show("s1", TypingSign(ben, 1.0)) is None

    async def has_ended() -> bool:
        return [line["state"] for line in await world.ledger("chat_state")] == ["composing", "paused"]

    await eventually(has_ended)
    assert {line["chat"] for line in await world.ledger("chat_state")} == {"628222@s.whatsapp.net"}
    read = [line["message_id"] for line in await world.ledger("receipted") if line["receipt"] == "read"]
    assert read == [written["message_id"]]
