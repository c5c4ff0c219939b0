"""WhatsApp's hosts for files, over HTTPS: one that fails is passed over, and what is gone is told from what is away."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from homing.instance.engine import FileGone
from homing.instance.engines.baileys.media_hosts import MediaAccess, MediaHosts
from simulated_whatsapp.multidevice.server.files import server_keys

NAMELESS = "127.0.0.1:1"
"""Nobody listens there."""


class Host:
    """One host, and what it answers."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.statuses: list[int] = []
        self.asked: list[tuple[str, str]] = []
        self.cuts_after: int | None = None
        self.says: Any = {"direct_path": "/v/1", "url": "https://x/v/1"}

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/{path:.+}", self._taken), web.get("/{path:.+}", self._given)]

    async def _taken(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, request.rel_url.raw_query_string))
        data = await request.read()
        if self.statuses:
            return web.Response(status=self.statuses.pop(0))
        self.kept["/v/1"] = data
        return web.json_response(self.says)

    async def _given(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path, request.rel_url.raw_query_string))
        if self.statuses:
            return web.Response(status=self.statuses.pop(0), headers={"Location": "/v/1"})
        response = web.StreamResponse()
        response.content_length = len(self.kept["/v/1"])
        await response.prepare(request)
        await response.write(self.kept["/v/1"][: self.cuts_after])
        if self.cuts_after is not None:
            assert request.transport is not None
            request.transport.abort()
        return response


class Access:
    """What WhatsApp says of its hosts; the first word is too old."""

    def __init__(self, *hosts: str) -> None:
        self.hosts, self.asked = hosts, list[bool]()

    async def __call__(self, anew: bool) -> MediaAccess:
        self.asked.append(anew)
        return MediaAccess(self.hosts, "new+1" if anew else "old/0")


@pytest.fixture
async def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Host, str, MediaHosts]]:
    keys, host = server_keys(tmp_path), Host()
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(keys.authority))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys.certificate)
    app = web.Application(client_max_size=2**26)
    app.add_routes(host.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    wire = MediaHosts()
    yield host, f"127.0.0.1:{runner.addresses[0][1]}", wire
    await wire.close()
    await runner.cleanup()


async def read(wire: MediaHosts, access: Access, path: str = "/v/1") -> bytes:
    return b"".join([piece async for piece in wire.read(access, path)])


async def test_a_file_is_put_whole_with_the_word_that_lets_us_in(there) -> None:
    host, at, wire = there
    access = Access(at)
    data = bytes(range(256)) * 4000
    told = await wire.put(access, "/mms/image/abc-_", {"token": "abc-_"}, BytesIO(data))
    assert told["direct_path"] == "/v/1" and host.kept["/v/1"] == data
    assert host.asked == [("/mms/image/abc-_", "auth=old%2F0&token=abc-_")] and access.asked == [False]
    assert await read(wire, access) == data


async def test_a_host_that_is_away_is_passed_over(there) -> None:
    host, at, wire = there
    assert await wire.put(Access(NAMELESS, at), "/mms/image/a", {"token": "a"}, BytesIO(b"file")) == host.says
    assert host.kept["/v/1"] == b"file"


async def test_a_word_that_is_too_old_is_asked_for_anew_once(there) -> None:
    host, at, wire = there
    access, host.statuses = Access(at), [401]
    await wire.put(access, "/mms/image/a", {"token": "a"}, BytesIO(b"file"))
    assert access.asked == [False, True]
    assert host.asked[1][1] == "auth=new%2B1&token=a" and host.kept["/v/1"] == b"file"


@pytest.mark.parametrize("says", [[], {"url": "https://x"}, {"direct_path": 5}, None])
async def test_whoever_does_not_say_where_the_file_is_has_not_taken_it(there, says: Any) -> None:
    host, at, wire = there
    host.says = says
    with pytest.raises(ConnectionError, match="where the file is"):
        await wire.put(Access(at), "/mms/image/a", {"token": "a"}, BytesIO(b"file"))


async def test_a_stranger_in_place_of_the_host_gets_nothing(there, monkeypatch: pytest.MonkeyPatch) -> None:
    host, at, _ = there
    monkeypatch.delenv("NODE_EXTRA_CA_CERTS")
    wire = MediaHosts()
    try:
        with pytest.raises(ConnectionError, match=r"[Cc]ertificate|CERTIFICATE"):
            await wire.put(Access(at), "/mms/image/a", {"token": "a"}, BytesIO(b"file"))
    finally:
        await wire.close()
    assert host.asked == []


@pytest.mark.parametrize("status", [404, 410, 403])
async def test_what_whatsapp_does_not_keep_any_more_is_gone(there, status: int) -> None:
    host, at, wire = there
    host.statuses = [status]
    with pytest.raises(FileGone):
        await read(wire, Access(at))


@pytest.mark.parametrize("status", [302, 500, 503])
async def test_whoever_gives_nothing_at_the_moment_may_be_asked_again(there, status: int) -> None:
    host, at, wire = there
    host.statuses = [status]
    with pytest.raises(ConnectionError):
        await read(wire, Access(at))
    assert len(host.asked) == 1, "a redirect is not followed"


async def test_the_next_host_is_asked_for_what_the_first_does_not_have(there) -> None:
    host, at, wire = there
    host.kept["/v/1"], host.statuses = b"file", [404]
    assert await read(wire, Access(at, at)) == b"file"


async def test_a_file_that_breaks_off_is_not_taken_for_a_whole_one(there) -> None:
    host, at, wire = there
    host.kept["/v/1"], host.cuts_after = b"file" * 1000, 100
    with pytest.raises(ConnectionError):
        await read(wire, Access(at))


@pytest.mark.parametrize("path", ["v/1", "", "/v 1", "/v\r\nX: 1", "/é", "/v\\1", "@elsewhere/v"])
async def test_no_place_that_a_stranger_writes_leads_elsewhere(there, path: str) -> None:
    host, at, wire = there
    with pytest.raises(FileGone):
        await asyncio.wait_for(read(wire, Access(at), path), 5)
    assert host.asked == []


@pytest.mark.parametrize("path", ["//elsewhere.example/v", "/@elsewhere.example/v", "/v/../../v/1", "/v/1?a=//b"])
async def test_every_other_place_is_the_hosts_own(there, path: str) -> None:
    host, at, wire = there
    host.kept["/v/1"] = b"file"
    assert await read(wire, Access(at), path) == b"file"
    assert len(host.asked) == 1
