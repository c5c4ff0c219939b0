"""Whatever a peer does to a call, the fault names the phase, and the request is delivered at most once."""

import asyncio
import socket
from contextlib import suppress

import pytest
from scripted_peers import Peer, Serve, answer, reset, saying, silence

from homing.drivers.http.resolving import Dialer
from homing.drivers.http.wire import MIB, Reply, Wire, WireLimits
from homing.model.sends.faults import Fault, Phase

OK_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


async def post(wire: Wire, url: str, *, timeout_s: float = 2.0, limit: int = MIB) -> Reply | Fault:
    return await wire.call("POST", url, "/api", body=b'{"text":"hi"}', timeout_s=timeout_s, body_limit_bytes=limit)


async def fault(wire: Wire, url: str, **options: float) -> Fault:
    ended = await post(wire, url, **options)  # type: ignore[arg-type]
    assert isinstance(ended, Fault), ended
    return ended


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def test_a_port_nobody_listens_on_is_refused(wire: Wire) -> None:
    assert (await fault(wire, f"http://127.0.0.1:{free_port()}")).phase is Phase.REFUSED


async def test_localhost_is_refused_only_when_both_its_addresses_refuse(wire: Wire) -> None:
    met = await fault(wire, f"http://localhost:{free_port()}")
    assert met.phase is Phase.REFUSED
    assert "ECONNREFUSED" in met.detail


async def test_a_name_that_does_not_resolve_says_so(nothing_left: None) -> None:
    async def nowhere(host: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    wire = Wire(connect=Dialer(resolve=nowhere))
    assert await fault(wire, "http://gateway.invalid:3001") == Fault(
        Phase.NAME_NOT_RESOLVED, "Name or service not known"
    )
    await wire.close()


async def test_a_host_that_does_not_answer_the_connection_times_out_before_anything_left(wire: Wire) -> None:
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second, socket.socket() as third:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for filler in (first, second, third):
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(deaf.getsockname())
        started = asyncio.get_running_loop().time()
        met = await fault(wire, f"http://127.0.0.1:{deaf.getsockname()[1]}", timeout_s=5.0)
        assert met.phase is Phase.CONNECT_TIMED_OUT
        assert asyncio.get_running_loop().time() - started < 1.0


async def test_a_resolver_that_hangs_counts_as_time_to_connect(nothing_left: None) -> None:
    async def hang(host: str) -> list[str]:
        await asyncio.sleep(60)
        return []

    dialer = Dialer(resolve=hang)
    wire = Wire(WireLimits(connect_timeout_s=0.1), connect=dialer)
    assert (await fault(wire, "http://gateway.example:3001")).phase is Phase.CONNECT_TIMED_OUT
    await wire.close()
    await dialer.close()


async def test_a_reset_seen_before_the_first_byte_left_is_a_broken_connect(serve: Serve, nothing_left: None) -> None:
    async def reset_at_once(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reset(writer)

    dialer = Dialer()

    async def connect_slowly(host, port, tls, factory):  # type: ignore[no-untyped-def]
        made = await dialer(host, port, tls, factory)
        await asyncio.sleep(0.05)
        return made

    peer, wire = await serve(reset_at_once), Wire(connect=connect_slowly)
    assert (await fault(wire, peer.url)).phase is Phase.CONNECT_BROKEN
    assert peer.asked == []
    await wire.close()


async def test_a_reset_that_only_the_kernel_has_seen_is_a_broken_connect_too(serve: Serve, nothing_left: None) -> None:
    """The loop has no turn between the reset and the request: only asking the kernel can tell."""
    listener = socket.create_server(("127.0.0.1", 0))
    dialer = Dialer()

    async def connect_then_be_reset(host, port, tls, factory):  # type: ignore[no-untyped-def]
        made = await dialer(host, port, tls, factory)
        accepted, _ = listener.accept()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        accepted.close()
        return made

    wire = Wire(connect=connect_then_be_reset)
    met = await fault(wire, f"http://127.0.0.1:{listener.getsockname()[1]}")
    assert met.phase is Phase.CONNECT_BROKEN
    await wire.close()
    listener.close()


async def read_then_close(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await peer.read(reader)


async def read_then_reset(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await peer.read(reader)
    reset(writer)


CUT_SHORT = {
    "read, then closed": read_then_close,
    "read, then reset": read_then_reset,
    "half of the status line": saying(b"HTTP/1.1 20", then_close=True),
    "half of the headers": saying(OK_HEAD + b"Content-Le", then_close=True),
    "half of the body": saying(OK_HEAD + b'Content-Length: 40\r\n\r\n{"success":tr', then_close=True),
    "half of a chunk": saying(OK_HEAD + b'Transfer-Encoding: chunked\r\n\r\n20\r\n{"succ', then_close=True),
    "no last chunk": saying(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", then_close=True),
    "only a continue": saying(b"HTTP/1.1 100 Continue\r\n\r\n", then_close=True),
}


@pytest.mark.parametrize("talk", CUT_SHORT.values(), ids=CUT_SHORT.keys())
async def test_an_answer_cut_short_is_an_interruption_and_is_not_repeated(wire: Wire, serve: Serve, talk) -> None:  # type: ignore[no-untyped-def]
    peer = await serve(talk)
    assert (await fault(wire, peer.url)).phase is Phase.INTERRUPTED
    assert len(peer.asked) == 1


async def test_a_body_until_close_that_is_reset_is_not_taken_for_whole(wire: Wire, serve: Serve) -> None:
    async def talk(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.read(reader)
        writer.write(OK_HEAD + b'\r\n{"success":true')
        await writer.drain()
        await asyncio.sleep(0.05)
        reset(writer)

    peer = await serve(talk)
    assert (await fault(wire, peer.url)).phase is Phase.INTERRUPTED


CHUNK = b"80001\r\n" + b"x" * 0x80001 + b"\r\n"
NOT_HTTP = {
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "bad chunk size": OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
    "two lengths": OK_HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}!",
    "a length and chunks": OK_HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a negative length": OK_HEAD + b"Content-Length: -2\r\n\r\n{}",
    "an unknown transfer coding": OK_HEAD + b"Transfer-Encoding: gzip\r\n\r\n{}",
    "a status that is none": b"HTTP/1.1 999 Eh\r\nContent-Length: 2\r\n\r\n{}",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhi",
    "headers without an end": OK_HEAD + b"X: " + b"a" * 70_000,
    "many headers": OK_HEAD + b"X-Filler: 0123456789\r\n" * 4_000 + b"Content-Length: 2\r\n\r\n{}",
    "continues without an end": b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000,
    "a body announced too large": OK_HEAD + b"Content-Length: 10485760\r\n\r\n",
    "a body too large in chunks": OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + 2 * CHUNK,
    "a body too large until close": OK_HEAD + b"\r\n" + b"x" * (MIB + 1),
}


@pytest.mark.parametrize("said", NOT_HTTP.values(), ids=NOT_HTTP.keys())
async def test_an_answer_that_is_not_what_http_says_is_malformed(wire: Wire, serve: Serve, said: bytes) -> None:
    peer = await serve(saying(said))
    assert (await fault(wire, peer.url)).phase is Phase.REPLY_MALFORMED
    assert len(peer.asked) == 1


async def test_the_body_limit_is_the_callers(wire: Wire, serve: Serve) -> None:
    peer = await serve(saying(answer(b"x" * 100)))
    assert isinstance(await post(wire, peer.url, limit=100), Reply)
    met = await post(wire, peer.url, limit=99)
    assert isinstance(met, Fault)
    assert met.phase is Phase.REPLY_MALFORMED
    assert "99 bytes" in met.detail


async def slow_drip(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await peer.read(reader)
    for byte in answer(b'{"success":true,"message_id":"x","timestamp":1}'):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("talk", [silence, slow_drip], ids=["silence", "a drip"])
async def test_an_answer_not_whole_in_time_has_timed_out(wire: Wire, serve: Serve, talk) -> None:  # type: ignore[no-untyped-def]
    peer, started = await serve(talk), asyncio.get_running_loop().time()
    assert await fault(wire, peer.url, timeout_s=0.2) == Fault(Phase.REPLY_TIMED_OUT, "no whole reply within 0.2 s")
    assert asyncio.get_running_loop().time() - started < 0.4
    assert len(peer.asked) == 1


async def test_a_call_on_a_kept_connection_has_a_time_of_its_own(serve: Serve, nothing_left: None) -> None:
    async def once(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.read(reader)
        writer.write(answer())
        await silence(peer, reader, writer)

    peer, wire = await serve(once), Wire(WireLimits(idle_s=0.05))
    assert isinstance(await post(wire, peer.url), Reply)
    started = asyncio.get_running_loop().time()
    assert (await fault(wire, peer.url, timeout_s=0.2)).phase is Phase.REPLY_TIMED_OUT
    assert 0.19 < asyncio.get_running_loop().time() - started < 0.3
    assert (peer.connections, len(peer.asked)) == (1, 2)
    await wire.close()


async def test_a_length_longer_than_the_body_waits_for_the_rest_and_times_out(wire: Wire, serve: Serve) -> None:
    peer = await serve(saying(OK_HEAD + b"Content-Length: 3\r\n\r\n{}"))
    assert (await fault(wire, peer.url, timeout_s=0.2)).phase is Phase.REPLY_TIMED_OUT


async def test_no_time_left_means_that_nothing_is_sent(wire: Wire, serve: Serve) -> None:
    peer = await serve(saying(answer()))
    assert (await fault(wire, peer.url, timeout_s=0.0)).phase is Phase.NOT_ATTEMPTED
    assert peer.connections == 0


async def test_a_redirect_is_an_answer_and_is_not_followed(wire: Wire, serve: Serve) -> None:
    elsewhere = await serve(saying(answer()))
    peer = await serve(saying(answer(b"", status="302 Found", headers=f"Location: {elsewhere.url}/x\r\n")))
    ended = await post(wire, peer.url)
    assert isinstance(ended, Reply)
    assert ended.status == 302
    assert elsewhere.connections == 0


async def test_tls_that_cannot_be_agreed_on_breaks_the_connect(wire: Wire, serve: Serve) -> None:
    peer = await serve(saying(answer()))
    met = await fault(wire, peer.url.replace("http:", "https:"))
    assert met.phase in (Phase.CONNECT_BROKEN, Phase.CONNECT_TIMED_OUT)


async def test_a_closed_wire_interrupts_what_is_under_way_and_makes_no_call_afterwards(
    wire: Wire, serve: Serve
) -> None:
    peer = await serve(silence)
    under_way = asyncio.create_task(post(wire, peer.url))
    await peer.heard.wait()
    await wire.close()
    met = await under_way
    assert isinstance(met, Fault)
    assert met.phase is Phase.INTERRUPTED
    assert await post(wire, peer.url) == Fault(Phase.NOT_ATTEMPTED, "the wire was closed")
    assert len(peer.asked) == 1
