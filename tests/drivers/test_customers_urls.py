"""Calling where a customer says: to public addresses, to the address that was judged, within limits."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from dns_stub import name_server
from scripted_peers import Peer, Serve, answer, saying
from test_tls import authority

from homing.decide.egress.addresses import PublicOnly
from homing.decide.egress.rules import EgressRules
from homing.decide.fleet.addresses import networks
from homing.drivers.egress.client import EgressClient
from homing.model.deliveries.egress import CallAnswer, CallFailed, CallFailure, Unfetched, UrlRefused

HERE = EgressRules(PublicOnly(networks("127.0.0.1/32")))
"""As a demo has it: only this one address of the inside may be called."""


@asynccontextmanager
async def client(
    rules: EgressRules = HERE, names: Mapping[str, list[list[str]]] | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[EgressClient]:
    async with name_server(dict(names or {})) as server:
        opened = EgressClient.opened(rules, resolve=server.resolve, tls=(lambda: tls) if tls else None)
        yield opened
        await opened.close()


async def post(to: EgressClient, url: str, **more: object) -> CallAnswer | CallFailed:
    return await to.post(url, b"{}", {"content-type": "application/json"}, timeout_s=2.0, **more)  # type: ignore[arg-type]


async def fetched(to: EgressClient, url: str, most_bytes: int = 1_000, timeout_s: float = 2.0) -> bytes:
    async with to.fetch(url, most_bytes=most_bytes, timeout_s=timeout_s) as body:
        return b"".join([chunk async for chunk in body.chunks()])


def port_of(peer: Peer) -> int:
    return int(peer.url.rpartition(":")[2])


async def test_a_call_takes_the_status_and_the_beginning_of_the_answer(serve: Serve) -> None:
    peer = await serve(saying(answer(b"x" * 10_000, status="202 Accepted", headers="Retry-After: 7\r\n")))
    async with client() as to:
        got = await post(to, f"{peer.url}/hook?a=1", keep_bytes=100)
    assert isinstance(got, CallAnswer)
    assert (got.status, got.body, got.headers["retry-after"]) == (202, b"x" * 100, "7")
    assert (peer.asked[0].method, peer.asked[0].target, peer.asked[0].body) == ("POST", "/hook?a=1", b"{}")
    assert peer.asked[0].headers["host"] == f"127.0.0.1:{port_of(peer)}"


async def test_a_name_is_asked_for_once_and_its_answer_is_what_is_connected_to(serve: Serve) -> None:
    peer = await serve(saying(answer()))
    names = {"hook.example": [["127.0.0.1"], ["127.0.0.2"]]}
    async with name_server(names) as server:
        to = EgressClient.opened(HERE, resolve=server.resolve)
        got = await post(to, f"http://hook.example:{port_of(peer)}/")
        await to.close()
        assert isinstance(got, CallAnswer)
        assert server.asked == ["hook.example"]
    assert peer.asked[0].headers["host"] == f"hook.example:{port_of(peer)}"


async def test_a_name_that_was_public_when_it_was_checked_is_judged_again_when_it_is_called(serve: Serve) -> None:
    peer = await serve(saying(answer()))
    async with client(EgressRules(), {"rebinding.example": [["93.184.216.34"], ["127.0.0.1"]]}) as to:
        await to.check(f"http://rebinding.example:{port_of(peer)}/")
        got = await post(to, f"http://rebinding.example:{port_of(peer)}/")
    assert isinstance(got, CallFailed)
    assert got.failure is CallFailure.REFUSED
    assert "127.0.0.1" in got.reason
    assert peer.connections == 0


INSIDE = [
    "127.0.0.1",
    "::1",
    "10.0.0.1",
    "169.254.169.254",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "fd00::1",
    "fe80::1",
]


@pytest.mark.parametrize("inside", INSIDE)
async def test_a_name_with_one_address_inside_is_not_called_at_all(inside: str) -> None:
    for both in ([inside], ["93.184.216.34", inside], [inside, "93.184.216.34"]):
        async with client(EgressRules(), {"mixed.example": [both]}) as to:
            with pytest.raises(UrlRefused, match="is not a public address"):
                await to.check("https://mixed.example/")
            got = await post(to, "http://mixed.example/")
            assert isinstance(got, CallFailed)
            assert got.failure is CallFailure.REFUSED
            with pytest.raises(Unfetched) as met:
                await fetched(to, "http://mixed.example/")
            assert met.value.failure is CallFailure.REFUSED


async def test_a_name_that_leads_nowhere_is_told_apart() -> None:
    async with client() as to:
        with pytest.raises(UrlRefused, match="leads nowhere"):
            await to.check("https://nowhere.example/")
        got = await post(to, "https://nowhere.example/")
    assert isinstance(got, CallFailed)
    assert got.failure is CallFailure.UNRESOLVED


async def test_we_are_not_called_by_whatever_name_or_address(serve: Serve) -> None:
    us = await serve(saying(answer()))
    here = _an_address_of_this_machine()
    rules = EgressRules(PublicOnly(networks("0.0.0.0/0")), own=frozenset({("us.example", 443)}), own_port=port_of(us))
    names = {"elsewhere.example": [["127.0.0.1"]], "by-its-address.example": [[here]]}
    async with client(rules, names) as to:
        for host in ("127.0.0.1", "127.0.0.2", here, "0.0.0.0", "elsewhere.example", "by-its-address.example"):
            got = await post(to, f"http://{host}:{port_of(us)}/")
            assert isinstance(got, CallFailed)
            assert "this gateway itself" in got.reason, host
        with pytest.raises(UrlRefused, match="this gateway itself"):
            await to.check("https://us.example/api/v1/endpoints")
    assert us.connections == 0


def _an_address_of_this_machine() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.3"
        return str(asking.getsockname()[0])


async def test_a_redirect_of_a_webhook_is_an_answer_and_is_not_followed(serve: Serve) -> None:
    inside = await serve(saying(answer()))
    peer = await serve(saying(answer(status="307 Temporary Redirect", headers=f"Location: {inside.url}/\r\n")))
    async with client() as to:
        got = await post(to, peer.url)
    assert isinstance(got, CallAnswer)
    assert got.status == 307
    assert inside.connections == 0


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "//[::1]:{port}/",
        "http://2130706433:{port}/",
        "http://inside.example:{port}/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_x",
        "http://user@127.0.0.1:{port}/",
        "http://127.0.0.1:22/",
    ],
)
async def test_each_hop_of_a_file_is_judged(serve: Serve, location: str) -> None:
    inside = await serve(saying(answer(b"secret")))
    to_there = location.format(port=port_of(inside))
    peer = await serve(saying(answer(status="302 Found", headers=f"Location: {to_there}\r\n")))
    async with client(names={"inside.example": [["10.0.0.1"]]}) as to:
        with pytest.raises((UrlRefused, Unfetched)) as met:
            await fetched(to, f"{peer.url}/a.png")
    assert isinstance(met.value, UrlRefused) or met.value.failure is CallFailure.REFUSED
    assert inside.connections == 0


async def test_a_file_is_found_over_a_few_redirects_and_not_over_many(serve: Serve) -> None:
    def script(hops: int) -> Callable[..., object]:
        async def talk(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while (asked := await peer.read(reader)) is not None:
                hop = int(asked.target[1:])
                moved = answer(status="302 Found", headers=f"Location: /{hop + 1}\r\n")
                writer.write(answer(b"file") if hop == hops else moved)

        return talk

    few, many = await serve(script(3)), await serve(script(4))  # type: ignore[arg-type]
    async with client() as to:
        assert await fetched(to, f"{few.url}/0") == b"file"
        with pytest.raises(Unfetched) as met:
            await fetched(to, f"{many.url}/0")
    assert met.value.failure is CallFailure.TOO_MANY_REDIRECTS


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"


@pytest.mark.parametrize(
    ("sent", "failure"),
    [
        (HEAD + b"Content-Length: 1001\r\n\r\n", CallFailure.TOO_LARGE),
        (
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n",
            CallFailure.TOO_LARGE,
        ),
        (HEAD + b"Content-Length: 10\r\n\r\nshort", CallFailure.BROKEN),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", CallFailure.BROKEN),
        (HEAD + b"Content-Length: -5\r\n\r\n", CallFailure.BROKEN),
        (b"SSH-2.0-OpenSSH_9.2\r\n", CallFailure.BROKEN),
        (HEAD + b"X: " + b"y" * 100_000 + b"\r\n\r\n", CallFailure.BROKEN),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", CallFailure.STATUS),
        (b"HTTP/1.1 206 Partial Content\r\nContent-Length: 0\r\n\r\n", CallFailure.STATUS),
    ],
)
async def test_a_file_that_lies_or_is_none_fails_with_its_reason(
    serve: Serve, sent: bytes, failure: CallFailure
) -> None:
    peer = await serve(saying(sent, then_close=True))
    async with client() as to:
        with pytest.raises(Unfetched) as met:
            await fetched(to, peer.url)
    assert met.value.failure is failure
    assert met.value.reason


async def test_a_file_that_never_ends_is_ended_by_time_or_size(serve: Serve) -> None:
    async def drip(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.read(reader)
        writer.write(HEAD + b"\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    peer = await serve(drip)
    async with client() as to:
        with pytest.raises(Unfetched) as met:
            await fetched(to, peer.url, timeout_s=0.3)
        assert met.value.failure is CallFailure.TIMED_OUT
        with pytest.raises(Unfetched) as met:
            await fetched(to, peer.url, most_bytes=5)
        assert met.value.failure is CallFailure.TOO_LARGE


async def test_who_never_answers_costs_the_time_that_was_given(serve: Serve) -> None:
    async def tar_pit(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.read(reader)
        await asyncio.sleep(60)

    peer = await serve(tar_pit)
    async with client() as to:
        got = await to.post(peer.url, b"", {}, timeout_s=0.2)
    assert got == CallFailed(CallFailure.TIMED_OUT, "no whole answer within 0.2 s")


BROKEN_ANSWERS = {
    b"SSH-2.0-OpenSSH_9.2 secret-of-the-inside\r\n": "what answers there does not speak HTTP",
    b"HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n": "what answers there does not speak HTTP",
    b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nsecret": "its answer broke off",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nsecret": "its answer broke off",
    b"": "the connection was closed before an answer came",
}


@pytest.mark.parametrize("raw", BROKEN_ANSWERS)
async def test_how_a_connection_broke_is_said_without_the_bytes_that_came(serve: Serve, raw: bytes) -> None:
    async def broken(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.read(reader)
        writer.write(raw)
        await writer.drain()

    peer = await serve(broken)
    async with client() as to:
        got = await post(to, peer.url, keep_bytes=1_000)
        with pytest.raises(Unfetched) as met:
            await fetched(to, peer.url)
    assert got == CallFailed(CallFailure.BROKEN, BROKEN_ANSWERS[raw])
    assert met.value.reason == BROKEN_ANSWERS[raw]


async def test_nobody_listening_is_unreached(serve: Serve) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with client() as to:
        got = await post(to, f"http://127.0.0.1:{port}/")
    assert isinstance(got, CallFailed)
    assert got.failure is CallFailure.UNREACHED


async def test_a_compressed_bomb_is_not_unpacked(serve: Serve) -> None:
    import gzip

    packed = gzip.compress(b"\x00" * 1_000_000)
    peer = await serve(saying(answer(packed, headers="Content-Encoding: gzip\r\n")))
    async with client() as to:
        assert await fetched(to, peer.url, most_bytes=2_000) == packed


async def test_proxies_of_the_environment_are_not_asked(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, peer = await serve(saying(answer())), await serve(saying(answer()))
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    async with client() as to:
        assert isinstance(await post(to, peer.url), CallAnswer)
    assert proxy.connections == 0


async def test_tls_asks_for_the_name_and_connects_to_the_address(tmp_path: Path) -> None:
    ours = authority(tmp_path, "private-ca")  # the same certificates as for instances
    seen: list[str | None] = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*ours.issue("server", host="hook.example"))
    context.sni_callback = lambda _socket, name, _context: seen.append(name)
    server = await asyncio.start_server(_says_ok, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    names = {"hook.example": [["127.0.0.1"]], "other.example": [["127.0.0.1"]]}
    async with client(names=names, tls=ssl.create_default_context(cafile=ours.file)) as to:
        assert isinstance(await post(to, f"https://hook.example:{port}/"), CallAnswer)
        wrong = await post(to, f"https://other.example:{port}/")
    server.close()
    assert seen == ["hook.example", "other.example"]
    assert isinstance(wrong, CallFailed)
    assert wrong.failure is CallFailure.TLS


async def _says_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(answer())
    await writer.drain()
    writer.close()
