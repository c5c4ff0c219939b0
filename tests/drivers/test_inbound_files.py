"""Every family that can be asked for the file of a message gives it out in its own way; here it is one."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from homing.decide.media.inbound import file_of
from homing.drivers.files import out_of_json
from homing.drivers.gowa import answers as gowa
from homing.drivers.http.sinks import WAITING_BYTES
from homing.drivers.http.wire import FetchedReply, Reply, Wire
from homing.drivers.registry import families, reports_of
from homing.drivers.waha import answers as waha
from homing.model.fleet import SessionId
from homing.model.sends.calls import MediaUnavailable
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.inbound import InboundFile
from homing.ports import InstanceHealth
from homing.ports.instances.reports import RawReport
from simulated_gateways import MODELS
from simulated_gateways.base import Told
from simulated_gateways.waha import Waha
from tests.drivers.test_contract import There, served

GIVE_FILES = ("baileys-api", "evolution", "gowa", "waha", "wppconnect", "wwebjs-api")
JPEG = b"\xff\xd8\xff\xe0" + os.urandom(3_000_000)
MOST = 8_000_000


@pytest.fixture(params=GIVE_FILES)
async def there(request: pytest.FixtureRequest) -> AsyncIterator[There]:
    async with served(request.param) as found:
        found.add(paired=True)
        yield found


def told(there: There, file: bytes = JPEG) -> InboundFile:
    """The file, as the gateway's own report tells of it."""
    incoming = Told("incoming", file=file, text="a caption")
    there.model.files[incoming.message_id] = file
    body = json.dumps(there.model.body_of(there.model.sessions[there.name], incoming)).encode()
    reports = reports_of(there.family)
    assert reports is not None
    [report] = reports.read(RawReport(body, {}))
    assert report.data["message"]["body"] == "a caption"
    found = file_of(report.kind, report.data)
    assert found is not None
    return found


async def read(there: There, file: InboundFile, most: int = MOST) -> bytes | Fault:
    session = SessionId(there.name)
    async with there.driver.file(there.url, session, file, most_bytes=most, timeout_s=10) as answer:
        return answer if isinstance(answer, Fault) else b"".join([piece async for piece in answer.chunks()])


async def test_the_file_of_a_report_is_given_out_whole(there: There) -> None:
    file = told(there)
    assert file.file_name == "photo.jpg"
    assert file.mime_type == ("" if there.family == "gowa" else "image/jpeg"), "GOWA tells it only of what it has"
    assert await read(there, file) == JPEG


async def test_it_is_given_out_while_it_comes(there: There) -> None:
    session = SessionId(there.name)
    async with there.driver.file(there.url, session, told(there), most_bytes=MOST, timeout_s=10) as answer:
        assert not isinstance(answer, Fault)
        pieces = [len(piece) async for piece in answer.chunks()]
    assert sum(pieces) == len(JPEG) and max(pieces) < len(JPEG) / 2


@pytest.mark.parametrize("size", [1, 2, 3, 4, 65_535, 65_536, 65_537])
async def test_any_length_comes_as_it_is(there: There, size: int) -> None:
    data = os.urandom(size)
    assert await read(there, told(there, data)) == data


async def test_a_file_that_is_not_there_is_a_fault(there: There) -> None:
    file = told(there)
    there.model.files.clear()
    if isinstance(there.model, Waha):
        there.model.on_disk.clear()
    answer = await read(there, file)
    assert isinstance(answer, Fault)


async def test_whoever_answers_something_else_gives_no_file(there: There) -> None:
    file = told(there)
    there.model.fault = "garbage"
    try:
        answer = await read(there, file)
    except MediaUnavailable:
        return
    refused = isinstance(answer, Fault)
    assert refused or there.family in ("waha", "baileys-api"), "what stands at their own addresses is the file"


async def test_what_is_larger_than_files_may_be_is_not_read_to_its_end(there: There) -> None:
    with pytest.raises(MediaUnavailable):
        answer = await read(there, told(there, os.urandom(6_000_000)), most=1_000_000)
        if isinstance(answer, Fault):
            raise MediaUnavailable(str(answer))


@pytest.mark.parametrize("family", GIVE_FILES)
async def test_no_file_is_asked_for_with_a_key_that_no_header_can_carry(family: str) -> None:
    async with served(family, "geheim\r\nX-Other: 1") as there:
        there.add(paired=True)
        answer = await read(there, told(there))
        assert isinstance(answer, Fault) and answer.phase is Phase.UNAUTHORISED
        assert "geheim" not in str(answer)


async def test_whoever_leaves_early_leaves_nothing_open(there: There) -> None:
    session = SessionId(there.name)
    async with there.driver.file(there.url, session, told(there), most_bytes=MOST, timeout_s=10) as answer:
        assert not isinstance(answer, Fault)
        async for _ in answer.chunks():
            break
    assert await read(there, told(there)) == JPEG


async def test_whoever_gives_files_out_declares_it_and_nobody_else() -> None:
    for family in sorted(MODELS):
        async with served(family) as there:
            there.add(paired=True)
            health = await there.driver.health(there.url, timeout_s=5)
            assert isinstance(health, InstanceHealth)
            assert there.driver.base.fetch_files is health.capabilities.fetch_files is (family in GIVE_FILES), family
            if family not in GIVE_FILES:
                refused = await read(there, InboundFile("3EB0", "628000000001@c.us"))
                assert isinstance(refused, Fault) and refused.phase is Phase.REQUEST_REJECTED
    assert not families()["webjs"].base.fetch_files


# --- GOWA's and baileys-api's words --------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gowa", "baileys-api"])
async def test_a_message_without_a_file_is_none_that_a_session_is_missing_for(family: str) -> None:
    async with served(family) as there:
        there.add(paired=True)
        answer = await read(there, InboundFile("3EB0DEAD", "628000000001@s.whatsapp.net"))
        assert isinstance(answer, Fault) and answer.phase is Phase.PATH_NOT_FOUND


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("statics/media/62811/2026-11-30/a b.jpe", "/statics/media/62811/2026-11-30/a%20b.jpe"),
        ("/statics/media/x", "/statics/media/x"),
        ("statics/../devices", None),
        ("statics/%2e%2e/devices", None),
        ("devices", None),
        ("statics", None),
        ("statics//x", None),
        ("http://169.254.169.254/statics/x", None),
        ("statics/a\\..\\b", None),
        ("", None),
        (7, None),
    ],
)
def test_gowa_is_asked_for_nothing_but_what_it_serves(path: object, asked: str | None) -> None:
    told = gowa.file_path(Reply(200, {}, json.dumps({"results": {"file_path": path}}).encode()))
    assert told == asked if asked is not None else isinstance(told, Fault)


# --- WAHA's addresses ---------------------------------------------------------------------------------------------


async def test_waha_is_asked_at_its_own_address_whatever_host_it_tells() -> None:
    async with served("waha") as there:
        assert isinstance(there.model, Waha)
        there.add(paired=True)
        there.model.base_url = "http://169.254.169.254"
        file = told(there)
        assert file.url is not None and urlsplit(file.url).hostname == "169.254.169.254"
        assert await read(there, file) == JPEG


async def test_a_file_that_waha_has_deleted_is_taken_from_whatsapp_again() -> None:
    async with served("waha") as there:
        assert isinstance(there.model, Waha)
        there.add(paired=True)
        file = told(there)
        there.model.on_disk.clear()
        assert await read(there, file) == JPEG
        assert [path for _, path in there.model.asked if "downloadMedia=true" in path]


@pytest.mark.parametrize(
    "url",
    [
        "http://waha:3000/api/sessions",
        "http://waha:3000/api/files/../sessions",
        "http://waha:3000/api/files/%2e%2e/sessions",
        "http://waha:3000/api/files/",
        "http://waha:3000/api/files//x",
        "http://waha:3000/api/files/a%0d%0aX: y",
        "http://waha:3000/api/files/a\\..\\b",
        "file:///api/files/x",
        "//waha/api/files/x",
        "https://bucket.s3.amazonaws.com/x.jpg?X-Amz-Signature=1",
        "http://[",
        "",
        None,
        7,
        "http://waha/api/files/" + "x" * 3_000,
    ],
)
def test_no_other_path_of_waha_is_asked_for(url: object) -> None:
    assert waha.file_path(url) is None


def test_a_path_of_wahas_files_is_kept_without_its_host_and_query() -> None:
    assert waha.file_path("http://u:p@10.0.0.1/api/files/true_1@c.us_A.jpeg?x=1") == "/api/files/true_1%40c.us_A.jpeg"
    assert waha.file_path("http://h/api/files/default/a%20b.jpeg") == "/api/files/default/a%20b.jpeg"


# --- base64 inside of JSON ----------------------------------------------------------------------------------------


async def pieces(raw: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(raw), size):
        yield raw[at : at + size]


@pytest.mark.parametrize("size", [1, 2, 7, 1_000])
async def test_the_file_is_found_however_its_answer_is_cut(size: int) -> None:
    raw = json.dumps({"caption": '"data":"bm8="', "inner": {"data": "aGVsbG8="}, "after": "x"}).encode()
    assert b"".join([each async for each in out_of_json(pieces(raw, size), "data")]) == b"hello"


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b'{"data": 7}', b'{"data": "aGVs', b'{"data": "!!!!"}', b'{"data":"aGVsbG8']
)
async def test_half_a_file_or_none_is_no_file(raw: bytes) -> None:
    with pytest.raises(MediaUnavailable):
        async for _ in out_of_json(pieces(raw, 5), "data"):
            pass


async def test_an_answer_without_a_file_is_not_read_for_ever() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 10_000

    with pytest.raises(MediaUnavailable, match="no file"):
        async for _ in out_of_json(endless(), "data"):
            pass


# --- the wire -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def big() -> AsyncIterator[tuple[str, list[int]]]:
    """Somebody who sends 64 MiB as fast as they are taken, and notes how many are gone."""
    gone: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/no":
            return web.json_response({"error": "no"}, status=404)
        reply = web.StreamResponse()
        await reply.prepare(request)
        for _ in range(1_024):
            await reply.write(bytes(65_536))
            gone.append(65_536)
            if request.path == "/cut" and len(gone) > 20:
                assert request.transport is not None
                request.transport.abort()
                return reply
        return reply

    app = web.Application()
    app.router.add_get("/{any}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", gone
    await runner.cleanup()


async def test_a_slow_reader_holds_its_peer_back(big: tuple[str, list[int]]) -> None:
    (url, gone), wire = big, Wire()
    async with wire.fetch("GET", url, "/big", timeout_s=30, body_limit_bytes=100_000_000) as answer:
        assert isinstance(answer, FetchedReply)
        await asyncio.sleep(0.5)
        assert sum(gone) < 32 * 1024 * 1024, "buffers of the system, and no more of ours"
        assert answer.body._waiting < WAITING_BYTES + 1_000_000
        came = 0
        async for piece in answer.body.pieces():
            came += len(piece)
    assert came == 64 * 1024 * 1024
    await wire.close()


async def test_what_is_no_good_answer_comes_whole(big: tuple[str, list[int]]) -> None:
    (url, _), wire = big, Wire()
    async with wire.fetch("GET", url, "/no", timeout_s=5, body_limit_bytes=1_000) as answer:
        assert isinstance(answer, Reply) and answer.status == 404
    async with wire.fetch("GET", "http://127.0.0.1:9", "/no", timeout_s=5, body_limit_bytes=1_000) as answer:
        assert isinstance(answer, Fault) and answer.phase is Phase.REFUSED
    await wire.close()


@pytest.mark.parametrize(("path", "limit", "within_s"), [("/cut", 100_000_000, 5), ("/big", 2_000_000, 5)])
async def test_what_breaks_off_says_so(big: tuple[str, list[int]], path: str, limit: int, within_s: float) -> None:
    (url, _), wire = big, Wire()
    with pytest.raises(MediaUnavailable):
        async with wire.fetch("GET", url, path, timeout_s=within_s, body_limit_bytes=limit) as answer:
            assert isinstance(answer, FetchedReply)
            async for _ in answer.body.pieces():
                pass
    await wire.close()


async def test_all_of_it_has_to_come_in_time(big: tuple[str, list[int]]) -> None:
    (url, _), wire = big, Wire()
    with pytest.raises(MediaUnavailable, match=r"within 0\.3 s"):
        async with wire.fetch("GET", url, "/big", timeout_s=0.3, body_limit_bytes=100_000_000) as answer:
            assert isinstance(answer, FetchedReply)
            async for _ in answer.body.pieces():
                await asyncio.sleep(0.05)
    await wire.close()
