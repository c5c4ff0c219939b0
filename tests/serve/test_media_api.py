"""Files in, over a real gateway on a real port, to a real instance that fetches them by the address it is given."""

import asyncio
import base64
import hashlib
import io
import json
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from aiohttp import web

from homing.compose import Gateway, open_gateway
from homing.config import Settings
from homing.model.directory.access import Scope
from homing.model.fleet import WorkspaceId
from homing.model.sends.calls import MediaUnavailable
from homing.serve.app import Application
from homing.serve.callers.keyring import new_key

PNG = b"\x89PNG\r\n\x1a\n" + os.urandom(50_000)
OPUS = b"OggS" + bytes(24) + b"OpusHead" + bytes(100)
PDF = b"%PDF-1.7\n" + bytes(3_000_000)


@dataclass
class Instance:
    """Speaks webjs, sends everything, and reads each file from where it is told that it is."""

    got: list[dict[str, Any]] = field(default_factory=list)
    files: list[tuple[str, int, str, str]] = field(default_factory=list)
    url: str = ""

    async def health(self, _: web.Request) -> web.Response:
        can = {"choose_message_id": True, "sends": ["text", "image", "video", "audio", "voice", "document", "sticker"]}
        return web.json_response({"status": "healthy", "capabilities": can})

    async def sessions(self, _: web.Request) -> web.Response:
        rows = [{"session_id": "s1", "status": "connected", "phone_number": "6281100000001"}]
        return web.json_response({"success": True, "sessions": rows, "total": 1})

    async def send_media(self, request: web.Request) -> web.Response:
        told = await request.json()
        self.got.append(told)
        async with aiohttp.ClientSession() as http, http.get(told["media_url"]) as answer:
            data = await answer.read()
            named = answer.headers.get("Content-Disposition", "")
            self.files.append((hashlib.sha256(data).hexdigest(), len(data), answer.content_type, named))
        return web.json_response({"success": True, "message_id": told["message_id"], "timestamp": 1})


@dataclass
class Files:
    """A customer's own server, of every temper."""

    url: str = ""
    asked: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        match request.match_info["name"]:
            case "photo.png":
                return web.Response(body=PNG, content_type="text/html")
            case "gone":
                return web.Response(status=404)
            case "lies":
                response = web.StreamResponse(headers={"Content-Length": "1000000"})
                await response.prepare(request)
                await response.write(PNG[:1000])
                assert request.transport is not None
                request.transport.abort()
                return response
            case "moved":
                raise web.HTTPFound("http://10.0.0.1/photo.png")
            case _:
                response = web.StreamResponse()
                await response.prepare(request)
                while True:
                    await response.write(b"\x89PNG\r\n\x1a\n" + bytes(1_000_000))


@dataclass
class Site:
    gateway: Gateway
    http: aiohttp.ClientSession
    url: str
    keys: dict[str, str]
    account: str
    instance: Instance
    files: Files
    folder: Path

    async def send(self, key: str = "sender", **said: Any) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.keys.get(key, key)}"}
        if "idempotency_key" in said:
            headers["Idempotency-Key"] = said.pop("idempotency_key")
        body = {"account_uuid": self.account, "phone": "+62811801641"} | said
        raw = io.BytesIO(json.dumps(body).encode())
        async with self.http.post(f"{self.url}/api/v1/messages/send", data=raw, headers=headers) as answer:
            return answer.status, await answer.json()

    async def form(self, data: bytes, file_name: str = "a.png", **fields: str) -> tuple[int, dict[str, Any]]:
        form = aiohttp.FormData({"account_uuid": self.account, "phone": "+62811801641"} | fields)
        form.add_field("file", io.BytesIO(data), filename=file_name)
        headers = {"Authorization": f"Bearer {self.keys['sender']}"}
        async with self.http.post(f"{self.url}/api/v1/messages/send", data=form, headers=headers) as answer:
            return answer.status, await answer.json()

    async def upload(self, data: bytes, key: str = "sender", **query: str) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.keys.get(key, key)}"}
        async with self.http.post(
            f"{self.url}/api/v1/media", data=io.BytesIO(data), params=query, headers=headers
        ) as answer:
            return answer.status, await answer.json()

    @property
    def left(self) -> list[str]:
        """What is on disk, beside what is kept."""
        return [each.name for each in self.folder.parent.glob("*-incoming/*")]

    @property
    def kept(self) -> list[Path]:
        return [each for each in self.folder.rglob("*") if each.is_file()]


async def served(app: web.Application) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    instance, files = Instance(), Files()
    speaking, serving = web.Application(), web.Application()
    speaking.add_routes([
        web.get("/health", instance.health),
        web.get("/api/sessions", instance.sessions),
        web.post("/api/messages/send-media", instance.send_media),
    ])  # fmt: skip
    serving.router.add_get("/{name}", files.answer)
    runners = [await served(speaking), await served(serving)]
    instance.url, files.url = runners[0][1], runners[1][1]
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None,
        homing_database_url=f"sqlite:///{tmp_path / 'homing.db'}",
        instances=(instance.url,),
        homing_public_url=url,
        homing_secret="a secret of the test",
        homing_allow_nets="127.0.0.1/32",
        homing_media_limits="document=4,image=1",
        homing_media_fetch_timeout=5,
        homing_sync_schedule="",
    )
    async with open_gateway(settings) as gateway, aiohttp.ClientSession() as http:
        application = Application(gateway)
        server = uvicorn.Server(uvicorn.Config(application, lifespan="off", log_config=None))
        running = asyncio.create_task(server.serve(sockets=[listening]))
        keys = {}
        for name, scope, workspace in (("sender", Scope.SEND, 1), ("reader", Scope.READ, 1), ("other", Scope.SEND, 2)):
            made, keys[name] = new_key(
                gateway.entropy, gateway.clock, workspace=WorkspaceId(workspace), scope=scope, name=name
            )
            await gateway.stores.directory.add_key(made)
        made, operator = new_key(gateway.entropy, gateway.clock, workspace=None, scope=Scope.ADMIN, name="o")
        await gateway.stores.directory.add_key(made)
        await gateway.keyring.refresh()
        while not server.started:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        body = {
            "phone": "+6281100000001",
            "workspace_id": 1,
            "session_id": "s1",
            "instance_url": instance.url,
            "start": False,
        }
        headers = {"Authorization": f"Bearer {operator}"}
        async with http.post(
            f"{url}/api/v1/instances", json={"url": instance.url, "driver": "webjs", "force": True}, headers=headers
        ) as answer:
            assert answer.status in (201, 409), await answer.text()
        async with http.post(
            f"{url}/api/v1/accounts", json=body, headers={"Authorization": f"Bearer {operator}"}
        ) as answer:
            told = await answer.json()
            assert answer.status == 201, told
            account = told["uuid"]

        yield Site(gateway, http, url, keys, account, instance, files, settings.media_folder)
        server.should_exit = True
        await running
        await application.close()
    for runner, _ in runners:
        await runner.cleanup()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def test_a_file_at_a_url_is_fetched_looked_at_and_handed_on_by_an_address_of_ours(site: Site) -> None:
    said = {"type": "image", "media_url": f"{site.files.url}/photo.png", "message": "look", "file_name": "é.png"}
    status, told = await site.send(**said)
    assert (status, told.get("success")) == (200, True), told
    [got], [file] = site.instance.got, site.instance.files
    assert got["media_url"].startswith(f"{site.url}/media/")
    assert (got["caption"], got["filename"], got["type"]) == ("look", "é.png", "image")
    assert file == (sha(PNG), len(PNG), "image/png", "attachment; filename*=UTF-8''%C3%A9.png")
    assert got["content"]["media"]["sha256"] == sha(PNG)
    assert site.left == []


async def test_a_file_in_base64_is_the_same_file(site: Site) -> None:
    text = base64.b64encode(PNG).decode()
    for written in (text, f"data:image/png;base64,{text}", text.replace("/", "\\/"), text.rstrip("=")):
        head = f'{{"type":"image","account_uuid":"{site.account}","phone":"62811801641","media_base64":"'
        raw = head + written + '"}'
        headers = {"Authorization": f"Bearer {site.keys['sender']}"}
        async with site.http.post(f"{site.url}/api/v1/messages/send", data=raw.encode(), headers=headers) as answer:
            assert answer.status == 200, await answer.text()
    assert [file[:2] for file in site.instance.files] == [(sha(PNG), len(PNG))] * 4


async def test_base64_beyond_the_size_of_ordinary_bodies_is_streamed(site: Site) -> None:
    status, told = await site.send(type="document", file_name="a.pdf", media_base64=base64.b64encode(PDF).decode())
    assert status == 200, told
    assert site.instance.files[0][:3] == (sha(PDF), len(PDF), "application/pdf")
    assert site.left == []


async def test_a_form_with_a_file_is_taken(site: Site) -> None:
    status, told = await site.form(PDF, "report.pdf", type="document", caption="the report")
    assert status == 200, told
    assert site.instance.files[0][:3] == (sha(PDF), len(PDF), "application/pdf")
    assert site.instance.got[0]["filename"] == "report.pdf"


async def test_an_upload_is_named_by_many_messages_of_its_workspace_alone(site: Site) -> None:
    status, told = await site.upload(PNG, type="image")
    assert (status, told["sha256"], told["mime_type"]) == (201, sha(PNG), "image/png")
    for _ in range(2):
        assert (await site.send(type="image", media_id=told["media_id"]))[0] == 200
    assert len(site.instance.files) == 2 and len(site.kept) == 1
    other, _ = site.keys["other"], None
    status, refused = await site.send(other, type="image", media_id=told["media_id"], workspace_id=2)
    assert (status, refused["code"]) == (404, "media_not_found")
    assert (await site.send(type="image", media_id=told["media_id"][:-2] + "xx"))[1]["code"] == "media_not_found"


@pytest.mark.parametrize(
    ("kind", "data", "why"),
    [
        ("voice", PNG, "image/png by its bytes"),
        ("voice", b"OggS" + bytes(24) + b"\x01vorbis" + bytes(50), "no Opus"),
        ("image", b"<html>not an image</html>", "text/plain by its bytes"),
        ("image", b"MZ" + bytes(300), "application/octet-stream"),
        ("sticker", PNG, "image/png by its bytes"),
        ("audio", OPUS[:4] + bytes(80), "application/ogg"),
        ("image", b"", "empty"),
        ("image", PNG + bytes(1_100_000), "at most 1048576"),
        ("document", bytes(5_000_000), "at most 4194304"),
    ],
    ids=["voice-png", "voice-vorbis", "html", "exe", "sticker-png", "audio-video", "empty", "large", "larger"],
)
async def test_a_file_that_is_not_what_it_is_sent_as_is_refused_and_nothing_is_left(
    site: Site, kind: str, data: bytes, why: str
) -> None:
    status, told = await site.upload(data, type=kind)
    if (status, told["code"]) != (413, "body_too_large"):
        assert (status, told["code"]) == (422, "media_refused")
        assert why in told["detail"]
    assert site.kept == [] and site.left == []


async def test_a_voice_note_is_opus(site: Site) -> None:
    status, told = await site.upload(OPUS, type="voice")
    assert (status, told["mime_type"]) == (201, "audio/ogg")


@pytest.mark.parametrize("name", ["gone", "lies", "moved", "endless"])
async def test_a_url_that_gives_no_file_costs_the_caller_a_422_and_us_nothing(site: Site, name: str) -> None:
    status, told = await site.send(type="image", media_url=f"{site.files.url}/{name}")
    assert (status, told["code"], told["field"]) == (422, "media_refused", "media_url")
    assert site.instance.got == [] and site.kept == [] and site.left == []


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "file:///etc/passwd", "http://localhost.:1/x"])
async def test_a_url_that_leads_inside_is_not_called(site: Site, url: str) -> None:
    status, told = await site.send(type="image", media_url=url)
    assert (status, told["code"]) == (422, "media_refused")


async def test_without_room_on_disk_nothing_is_accepted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any) -> None:
        raise MediaUnavailable("No space left on device")

    monkeypatch.setattr("homing.store.media.objects.FileSpool.write", full)
    status, told = await site.send(type="image", media_url=f"{site.files.url}/photo.png")
    assert (status, told["code"]) == (503, "media_unavailable")
    assert site.instance.got == [] and site.kept == [] and site.left == []


async def test_who_may_not_send_brings_no_file(site: Site) -> None:
    assert (await site.upload(PNG, key="reader", type="image"))[0] == 403
    assert (await site.upload(PNG, key="nobody", type="image"))[0] == 401
    status, told = await site.send("reader", type="image", media_base64=base64.b64encode(PNG).decode())
    assert (status, told["code"]) == (403, "forbidden")
    assert site.kept == [] and site.left == []


async def test_the_same_key_with_the_same_bytes_is_the_same_message(site: Site) -> None:
    text = base64.b64encode(PNG).decode()
    first = await site.send(type="image", media_base64=text, idempotency_key="k1")
    again = await site.send(type="image", media_base64=text, idempotency_key="k1")
    assert first == again and len(site.instance.got) == 1
    other = await site.send(type="image", media_base64=base64.b64encode(PNG + b"1").decode(), idempotency_key="k1")
    assert (other[0], other[1]["code"]) == (422, "idempotency_key_reused")
    url = f"{site.files.url}/photo.png"
    assert (await site.send(type="image", media_url=url, idempotency_key="k2"))[0] == 200
    assert (await site.send(type="image", media_url=url, caption="x", idempotency_key="k2"))[0] == 422


@pytest.mark.parametrize("token", ["x", "A" * 300, "..%2f..%2fetc%2fpasswd", "%00", "A" * 2_500])
async def test_an_address_that_we_did_not_sign_leads_nowhere(site: Site, token: str) -> None:
    async with site.http.get(f"{site.url}/media/{token}") as answer:
        assert answer.status == 404


async def test_a_file_is_given_out_as_nothing_that_a_browser_would_run(site: Site) -> None:
    html = b"<script>alert(1)</script>" * 10
    _, told = await site.upload(html, type="document", file_name="x.html")
    kept = site.gateway.media.links.named(WorkspaceId(1), told["media_id"])
    async with site.http.get(site.gateway.media.links.link(kept, 'a"b\r\n.html')) as answer:
        assert await answer.read() == html
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''a%22b%0D%0A.html"


async def test_a_file_that_is_gone_is_503_and_no_half_answer(site: Site) -> None:
    _, told = await site.upload(PNG, type="image")
    kept = site.gateway.media.links.named(WorkspaceId(1), told["media_id"])
    for each in site.kept:
        each.unlink()
    async with site.http.get(site.gateway.media.links.link(kept)) as answer:
        assert (answer.status, (await answer.json())["code"]) == (503, "media_unavailable")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"media_base64": "!!!"}',
        b'{"media_base64": "data:image/png;base64"}',
        b'{"media_base64": "AAAA',
        b'{"media_base64": "AAAA", "media_base64": "AAAA"}',
        b'{"type": "image", "media_base64": 5}',
        b'{"a": {"media_base64": "AAAA"}}',
    ],
)  # fmt: skip
async def test_a_body_with_a_file_that_is_none_is_refused(site: Site, raw: bytes) -> None:
    headers = {"Authorization": f"Bearer {site.keys['sender']}"}
    async with site.http.post(f"{site.url}/api/v1/messages/send", data=raw, headers=headers) as answer:
        assert answer.status in (400, 422), await answer.text()
        assert json.loads(await answer.text())["code"] in ("malformed_body", "invalid_request")
    assert site.left == []


# --- files that wait ----------------------------------------------------------------------------------------------


async def bulk(site: Site, *lines: dict[str, Any], **query: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {site.keys['sender']}", "Content-Type": "application/x-ndjson"}
    body = io.BytesIO("\n".join(json.dumps(line) for line in lines).encode())
    asked = {"account_uuid": site.account, "workspace_id": "1"} | query
    async with site.http.post(f"{site.url}/api/v1/messages/bulk", data=body, params=asked, headers=headers) as answer:
        assert answer.status == 202, await answer.text()
        return dict(await answer.json())


async def told(site: Site, path: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {site.keys['sender']}"}
    async with site.http.get(f"{site.url}/api/v1{path}", headers=headers) as answer:
        return dict(await answer.json())


async def test_a_file_that_many_lines_of_a_batch_name_is_fetched_once(site: Site) -> None:
    photo = {"type": "image", "media_url": f"{site.files.url}/photo.png"}
    _, named = await site.upload(PNG, type="image")
    batch = await bulk(
        site,
        *({"phone": f"+6281180164{n}", "caption": f"{n}", **photo} for n in range(5)),
        {"phone": "+62811801649", "type": "image", "media_id": named["media_id"]},
        {"phone": "+62811801648", "type": "image", "media_url": f"{site.files.url}/gone"},
        {"phone": "+62811801648", "type": "image", "media_url": "http://10.0.0.1/photo.png"},
    )
    assert (batch["messages"], batch["invalid"], site.files.asked) == (6, 2, 2)
    errors = (await told(site, f"/batches/{batch['batch_id']}/errors"))["data"]
    assert [(each["line"], each["code"]) for each in errors] == [(7, "media_refused"), (8, "media_refused")]
    for _ in range(500):
        if len(site.instance.files) == 6:
            break
        await asyncio.sleep(0.02)
    assert {digest for digest, *_ in site.instance.files} == {sha(PNG)}
    assert {told.get("caption") for told in site.instance.got} >= {"0", "4"}


async def test_a_file_is_kept_for_a_message_that_goes_after_its_days(site: Site) -> None:
    _, named = await site.upload(PNG, type="image")
    assert len(site.kept) == 1
    later = (datetime.now(UTC) + timedelta(days=40)).isoformat()
    line = {"phone": "+62811801641", "type": "image", "media_id": named["media_id"]}
    await bulk(site, line, line | {"phone": "+62811801642"}, send_at=later)
    days = sorted(date.fromisoformat(path.parent.name) for path in site.kept)
    assert len(days) == 2 and days[1] >= date.fromisoformat(later[:10]), days
    kept = site.gateway.media.links.store
    assert await kept.forget_before(date.fromisoformat(later[:10])) == 1
    assert [path.read_bytes() for path in site.kept] == [PNG], "what the message needs is still there"
