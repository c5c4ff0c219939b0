"""The protocol over real loopback sockets."""

import asyncio
import hashlib
import json
import time
from pathlib import Path

import pytest

from simulated_whatsapp.client import Administration, ClientEvent, Closed, Device, RefusedByWhatsApp
from simulated_whatsapp.core import DeviceCredentials, DeviceRemoved, InboundMessage, Paired, Replaced
from simulated_whatsapp.ledger import Delivery, Ledger, read
from simulated_whatsapp.server import MAX_LINE_BYTES, Server, ServerSettings
from simulated_whatsapp.wire import tcp


class Phone:
    """A device's connection with a list of what was pushed to it."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[ClientEvent] = asyncio.Queue()
        self.device = Device(self.events.put_nowait)

    async def next(self) -> ClientEvent:
        return await asyncio.wait_for(self.events.get(), 5)


async def connected(server: Server) -> Phone:
    phone = Phone()
    await phone.device.connect(tcp(server.address))
    return phone


async def logged_in(server: Server, given: DeviceCredentials, next_counter: int = 1, label: object = "label") -> Phone:
    phone = await connected(server)
    await phone.device.login(given, next_counter=next_counter, label=label)
    return phone


async def registered(server: Server, session_id: str = "s1") -> DeviceCredentials:
    async with Administration(server.address) as whatsapp:
        (given,) = await whatsapp.preregister([(session_id, "62810")])
    return given


async def test_a_message_is_in_the_ledger_when_its_sender_hears_of_it(start_server, tmp_path: Path):
    server = await start_server()
    phone = await logged_in(server, await registered(server), label={"epoch": 7})
    at = await phone.device.send("3EB0A", "62811", "ünï", 1)
    (delivery,) = read(tmp_path / "ledger.jsonl")
    assert (delivery.at, delivery.text, delivery.label) == (at, "ünï", {"epoch": 7})
    phone.device.close()


async def test_a_second_login_evicts_the_first_over_the_wire(start_server, tmp_path: Path):
    server = await start_server()
    given = await registered(server)
    first = await logged_in(server, given)
    second = await logged_in(server, given)
    assert await first.next() == Replaced()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(first.device.send("3EB0A", "62811", "late", 1), 0.05)
    await second.device.send("3EB0B", "62811", "now", 1)
    assert [delivery.text for delivery in read(tmp_path / "ledger.jsonl")] == ["now"]
    first.device.close()
    second.device.close()


async def test_a_closed_connection_ends_its_questions(start_server):
    server = await start_server(login_delay_s=5.0)
    given = await registered(server)
    phone = await connected(server)
    login = asyncio.create_task(phone.device.login(given, next_counter=1))
    await asyncio.sleep(0.02)
    phone.device.close()
    with pytest.raises(ConnectionError):
        await login
    assert await phone.next() == Closed()


async def test_a_slow_login_takes_its_time(start_server):
    server = await start_server(login_delay_s=0.05)
    given = await registered(server)
    begun = time.monotonic()
    phone = await logged_in(server, given)
    assert time.monotonic() - begun >= 0.049
    phone.device.close()


async def test_a_phone_scans_codes_by_itself_when_told_to(start_server):
    server = await start_server(scan_after_s=0.01)
    phone = await connected(server)
    await phone.device.pair("new", phone="62877")
    paired = await phone.next()
    assert isinstance(paired, Paired)
    login = await phone.device.login(paired.credentials, next_counter=1)
    assert login.phone == "62877"
    phone.device.close()


async def test_a_code_is_linked_by_hand(start_server):
    server = await start_server()
    phone = await connected(server)
    pairing = await phone.device.pair("new")
    async with Administration(server.address) as whatsapp:
        assert await whatsapp.link(pairing.code) == "new"
        with pytest.raises(RefusedByWhatsApp, match="unknown_code"):
            await whatsapp.link(pairing.code)
    assert isinstance(await phone.next(), Paired)
    phone.device.close()


async def test_inbound_messages_wait_and_are_pushed(start_server):
    server = await start_server()
    given = await registered(server)
    async with Administration(server.address) as whatsapp:
        await whatsapp.deliver("s1", "62899", "while away")
        phone = await connected(server)
        login = await phone.device.login(given, next_counter=1)
        await whatsapp.deliver("s1", "62899", "while there")
        pushed = await phone.next()
        assert isinstance(pushed, InboundMessage)
        assert ([message.text for message in login.waiting], pushed.text) == (["while away"], "while there")
        await whatsapp.remove_device("s1")
        assert await phone.next() == DeviceRemoved()
    phone.device.close()


async def test_rules_are_switched_while_it_runs(start_server, tmp_path: Path):
    server = await start_server()
    phone = await logged_in(server, await registered(server))
    async with Administration(server.address) as whatsapp:
        rules = await whatsapp.configure(drop_repeats=False, restricted=["62899"])
        assert rules["drop_repeats"] is False
        for _ in range(2):
            await phone.device.send("3EB0A", "62811", "twice", 1)
        with pytest.raises(RefusedByWhatsApp) as refused:
            await phone.device.send("3EB0B", "62899", "no", 2)
        assert refused.value.code == 463
        assert (await whatsapp.stats())["delivered"] == 2
    assert len(read(tmp_path / "ledger.jsonl")) == 2
    phone.device.close()


async def test_devices_and_known_ids_outlive_a_restart_with_a_state_file(start_server, tmp_path: Path):
    server = await start_server(state=tmp_path / "state.json")
    given = await registered(server)
    phone = await logged_in(server, given)
    await phone.device.send("3EB0A", "62811", "once", 5)
    await server.stop()
    again = await start_server(state=tmp_path / "state.json")
    with pytest.raises(RefusedByWhatsApp, match="stale_credentials"):
        await logged_in(again, given, next_counter=5)
    phone = await logged_in(again, given, next_counter=6)
    await phone.device.send("3EB0A", "62811", "once", 6)
    assert len(read(tmp_path / "ledger.jsonl")) == 1
    phone.device.close()


@pytest.mark.parametrize(
    "line",
    [b"nonsense", b"[]", b"{}", b'{"do": "login", "ref": 1}', b'{"do": "send"}', b"[" * 5000, b'{"do": []}'],
)
async def test_a_senseless_frame_is_refused_and_harms_nobody(start_server, line):
    server = await start_server()
    host, port = server.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(line + b"\n" + b'{"do": "stats", "ref": 2}\n')
    refused, stats = [json.loads(await asyncio.wait_for(reader.readline(), 5)) for _ in range(2)]
    assert refused["ok"] is False
    assert stats["ok"] is True
    writer.close()
    await writer.wait_closed()


async def test_an_endless_line_ends_the_connection(start_server):
    server = await start_server()
    host, port = server.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    with pytest.raises(ConnectionError):
        for _ in range(3 * MAX_LINE_BYTES // 65536):
            writer.write(b"x" * 65536)
            await writer.drain()
        await reader.readexactly(1)
    writer.transport.abort()


async def test_it_is_quick(start_server):
    server = await start_server()
    phone = await logged_in(server, await registered(server))
    begun = time.process_time()
    for batch in range(0, 3000, 50):
        sends = (phone.device.send(f"3EB0{n:08X}", "62811", "hello", n + 1) for n in range(batch, batch + 50))
        await asyncio.gather(*sends)
    assert 3000 / (time.process_time() - begun) > 2000, (
        "5,000 a second on a core of its own; here client and server share"
    )
    phone.device.close()


async def test_a_file_is_hashed_as_it_comes_and_a_message_may_name_it(tmp_path):
    data = bytes(range(256)) * 4_000

    async def pieces():
        for at in range(0, len(data), 300_000):
            yield data[at : at + 300_000]

    async with await Server.start(ServerSettings(tmp_path / "ledger.jsonl")) as server:
        device = await Device(lambda _: None).connect(tcp(server.address))
        async with Administration(server.address) as whatsapp:
            (given,) = await whatsapp.preregister([("s1", "62811")])
        with pytest.raises(RefusedByWhatsApp, match="not_logged_in"):
            await device.upload(pieces())
        await device.login(given, next_counter=1)
        sha256, size = await device.upload(pieces())
        assert (sha256, size) == (hashlib.sha256(data).hexdigest(), len(data))
        said = []
        for name in ("00" * 32, sha256):
            answered = asyncio.get_running_loop().create_future()
            device.transmit("3EB0" + name[:8], "62899", "look", 1, answered.set_result, {"type": "image"}, name)
            said.append(await answered)
        assert [each["ok"] for each in said] == [False, True]
        assert said[0]["reason"] == "media_missing"
        device.close()
    (line,) = read(tmp_path / "ledger.jsonl")
    assert (line.media_sha256, line.content) == (sha256, {"type": "image"})


def test_the_line_of_a_plain_text_is_as_it_always_was(tmp_path):
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.append([Delivery("2026-01-31T09:30:00.250Z", "s1", "62811", "3EB0AA", "hi", None)])
    line = json.loads((tmp_path / "ledger.jsonl").read_text())
    assert list(line) == ["at", "session_id", "recipient", "message_id", "text", "label"]


async def test_a_file_that_somebody_sends_is_there_for_every_connection_and_after_a_restart(
    start_server, tmp_path: Path
):
    picture = bytes(range(256)) * 2_000
    server = await start_server(state=tmp_path / "state.json")
    given = await registered(server)
    async with Administration(server.address) as whatsapp:
        file = await whatsapp.keep(picture, "image/jpeg", "photo.jpg")
        await whatsapp.deliver("s1", "62899", "look", file)
    await server.stop()
    again = await start_server(state=tmp_path / "state.json")
    phone = await connected(again)
    login = await phone.device.login(given, next_counter=1)
    (waiting,) = login.waiting
    assert waiting.file == {
        "sha256": hashlib.sha256(picture).hexdigest(),
        "size": len(picture),
        "mime_type": "image/jpeg",
        "file_name": "photo.jpg",
    }
    pieces = [piece async for piece in phone.device.download(waiting.file["sha256"])]
    assert b"".join(pieces) == picture
    assert len(pieces) == 2
    phone.device.close()


@pytest.mark.parametrize("sha256", ["0" * 64, "../ledger.jsonl", ""])
async def test_no_other_file_is_given_out(start_server, sha256: str):
    server = await start_server()
    phone = await logged_in(server, await registered(server))
    with pytest.raises(RefusedByWhatsApp) as refused:
        await anext(phone.device.download(sha256))
    assert refused.value.reason == "media_missing"
    async with Administration(server.address) as whatsapp:
        with pytest.raises(RefusedByWhatsApp, match="media_missing"):
            await whatsapp.deliver("s1", "62899", "look", {"sha256": sha256, "mime_type": "", "file_name": ""})
    phone.device.close()
