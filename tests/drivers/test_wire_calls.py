"""What the wire writes, what it reads, and which connection it uses for it."""

import asyncio
import gc
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from scripted_peers import Peer, Serve, answer, saying, silence

from homing.drivers.http.connection import Connection
from homing.drivers.http.lanes import Lane, in_lane
from homing.drivers.http.wire import Reply, Wire, WireLimits
from homing.model.sends.faults import Fault, Phase
from homing.model.tracing import Trace, tracing


async def get(wire: Wire, url: str, path: str = "/x", *, timeout_s: float = 2.0) -> Reply:
    ended = await wire.call("GET", url, path, timeout_s=timeout_s)
    assert isinstance(ended, Reply), ended
    return ended


async def test_a_request_goes_out_as_it_was_asked_for(wire: Wire, serve: Serve) -> None:
    peer = await serve(saying(answer()))
    ended = await wire.call(
        "DELETE", f"{peer.url}/gateway", "/a?b=c", body=b"{}", headers={"X-Homing-Epoch": "7"}, timeout_s=2.0
    )
    assert isinstance(ended, Reply)
    (asked,) = peer.asked
    assert (asked.method, asked.target, asked.body) == ("DELETE", "/gateway/a?b=c", b"{}")
    assert asked.headers["host"] == peer.url.removeprefix("http://")
    assert asked.headers["x-homing-epoch"] == "7"
    assert asked.headers["content-length"] == "2"


async def test_calls_within_a_trace_carry_it_each_under_a_span_of_its_own(wire: Wire, serve: Serve) -> None:
    peer = await serve(saying(answer()))
    trace = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "01")
    before = tracing.set(trace)
    await get(wire, peer.url)
    await get(wire, peer.url)
    tracing.reset(before)
    await get(wire, peer.url)
    first, second, without = [asked.headers.get("traceparent") for asked in peer.asked]
    assert first is not None
    assert second is not None
    assert first.startswith(f"00-{trace.trace_id}-")
    assert first.endswith("-01")
    assert len({first, second, trace.header(trace.parent_id)}) == 3
    assert without is None


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/a b", {}),
        ("GET", "/a\r\nX: y", {}),
        ("GET", "/ü", {}),
        ("GET", "a", {}),
        ("TRACE", "/a", {}),
        ("GET", "/a", {"X": "1\r\nEvil: 2"}),
        ("GET", "/a", {"X": "1\n2"}),
    ],
)
async def test_what_would_not_be_one_request_is_never_written(
    wire: Wire, serve: Serve, method: str, path: str, headers: dict[str, str]
) -> None:
    peer = await serve(saying(answer()))
    with pytest.raises(ValueError, match="one request"):
        await wire.call(method, peer.url, path, headers=headers, timeout_s=1.0)
    assert peer.connections == 0


WHOLE = {
    "with its length": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\n{\r\n1\r\n}\r\n0\r\nT: r\r\n\r\n",
    "until the connection closes": b"HTTP/1.1 200 OK\r\n\r\n{}",
    "after a continue": b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "after early hints": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "in HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n{}",
}


@pytest.mark.parametrize("said", WHOLE.values(), ids=WHOLE.keys())
async def test_a_body_is_read_whole_however_it_is_framed(wire: Wire, serve: Serve, said: bytes) -> None:
    peer = await serve(saying(said, then_close=True))
    ended = await get(wire, peer.url)
    assert (ended.status, ended.body) == (200, b"{}")


async def test_header_names_are_lower_case_and_repeated_values_joined(wire: Wire, serve: Serve) -> None:
    peer = await serve(saying(answer(headers="X-Twice: a\r\nx-twice: b\r\n")))
    ended = await get(wire, peer.url)
    assert ended.headers["x-twice"] == "a, b"
    assert ended.headers["content-type"] == "application/json; charset=utf-8"


async def test_a_connection_is_used_again(wire: Wire, serve: Serve) -> None:
    peer = await serve(saying(answer()))
    for _ in range(20):
        await get(wire, peer.url)
    assert (peer.connections, len(peer.asked)) == (1, 20)


ONCE_ONLY = {
    "connection: close": answer().replace(b"Connection: keep-alive", b"Connection: close"),
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "keep-alive of no time": answer().replace(b"timeout=5", b"timeout=0"),
    "bytes beyond the reply": answer() + b"HTTP/1.1 200 OK\r\n",
    "garbage beyond the reply": answer() + b"\x00\xff",
}


@pytest.mark.parametrize("said", ONCE_ONLY.values(), ids=ONCE_ONLY.keys())
async def test_such_a_connection_is_not_used_again(wire: Wire, serve: Serve, said: bytes) -> None:
    peer = await serve(saying(said))
    await get(wire, peer.url)
    await get(wire, peer.url)
    assert (peer.connections, len(peer.asked)) == (2, 2)


async def test_a_connection_closed_while_idle_costs_nothing(wire: Wire, serve: Serve) -> None:
    peer = await serve(saying(answer(), then_close=True))
    for _ in range(5):
        await get(wire, peer.url)
        await asyncio.sleep(0.02)
    assert (peer.connections, len(peer.asked)) == (5, 5)


async def test_a_close_that_only_the_kernel_has_seen_costs_nothing(wire: Wire) -> None:
    """The peer dies while our loop is busy: its end waits in the kernel when the next request is written."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    async def serve_once() -> socket.socket:
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        accepted, _ = await loop.sock_accept(listener)
        await loop.sock_recv(accepted, 65536)
        await loop.sock_sendall(accepted, answer())
        return accepted

    accepted, _ = await asyncio.gather(serve_once(), get(wire, url))
    accepted.close()  # no await from here to the next call
    second, _ = await asyncio.gather(serve_once(), get(wire, url))
    second.close()
    listener.close()


async def test_bytes_nobody_asked_for_close_an_idle_connection(wire: Wire, serve: Serve) -> None:
    async def talkative(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await peer.read(reader) is not None:
            writer.write(answer(b'{"n":%d}' % len(peer.asked)))
            await writer.drain()
            await asyncio.sleep(0.03)
            writer.write(answer(b'{"n":"stray"}'))

    peer = await serve(talkative)
    assert (await get(wire, peer.url)).body == b'{"n":1}'
    await asyncio.sleep(0.1)
    assert (await get(wire, peer.url)).body == b'{"n":2}'
    assert peer.connections == 2


@pytest.mark.parametrize(("announced", "idle_s"), [(b"timeout=5", 0.1), (b"timeout=1, max=100", 4.0)])
async def test_a_connection_is_let_go_before_its_peer_would(
    serve: Serve, nothing_left: None, announced: bytes, idle_s: float
) -> None:
    peer, wire = await serve(saying(answer().replace(b"timeout=5", announced))), Wire(WireLimits(idle_s=idle_s))
    await get(wire, peer.url)
    await asyncio.sleep(min(idle_s, 0.8) + 0.1)
    assert peer.open == 0
    await get(wire, peer.url)
    assert peer.connections == 2
    await wire.close()


async def test_an_idle_connection_used_again_starts_a_new_idle_time(serve: Serve, nothing_left: None) -> None:
    peer, wire = await serve(saying(answer())), Wire(WireLimits(idle_s=0.2))
    for _ in range(5):
        await get(wire, peer.url)
        await asyncio.sleep(0.1)
    assert peer.connections == 1
    await wire.close()


async def test_calls_beyond_the_places_wait_and_are_served_in_order(serve: Serve, nothing_left: None) -> None:
    async def busy(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await peer.read(reader) is not None:
            await asyncio.sleep(0.01)
            writer.write(answer())

    peer, wire = await serve(busy), Wire(WireLimits(connections=2))
    await asyncio.gather(*(get(wire, peer.url, f"/{number}") for number in range(10)))
    assert peer.connections == 2
    assert [asked.target for asked in peer.asked[2:]] == [f"/{number}" for number in range(2, 10)]
    await wire.close()


async def test_a_wait_for_a_place_ends_within_the_time_to_connect(serve: Serve, nothing_left: None) -> None:
    peer, wire = await serve(silence), Wire(WireLimits(connections=1, waiting=1, connect_timeout_s=0.1))
    holding = asyncio.create_task(wire.call("GET", peer.url, "/", timeout_s=5.0))
    await peer.heard.wait()
    waiting = asyncio.create_task(wire.call("GET", peer.url, "/", timeout_s=5.0))
    await asyncio.sleep(0)
    one_too_many = await wire.call("GET", peer.url, "/", timeout_s=5.0)
    assert one_too_many == Fault(Phase.NOT_ATTEMPTED, "1 calls are waiting for a connection already")
    assert await waiting == Fault(Phase.NOT_ATTEMPTED, "none of the 1 connections came free in time")
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)
    assert len(peer.asked) == 1
    await wire.close()


async def asked(peer: Peer, times: int) -> None:
    """Until the peer was asked so often."""
    while len(peer.asked) < times:
        peer.heard.clear()
        await peer.heard.wait()


@pytest.mark.parametrize("lane", [Lane.HEALTH, Lane.LISTS, Lane.SESSIONS])
async def test_what_is_no_send_does_not_wait_for_sends(serve: Serve, nothing_left: None, lane: Lane) -> None:
    async def send_hangs(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await peer.read(reader)) is not None:
            if request.method == "GET":
                writer.write(answer())

    peer, wire = await serve(send_hangs), Wire(WireLimits(connections=2))
    sends = [asyncio.create_task(wire.call("POST", peer.url, "/send", timeout_s=5.0)) for _ in range(3)]
    await asked(peer, 2)
    with in_lane(lane):
        assert isinstance(await wire.call("GET", peer.url, "/", timeout_s=5.0), Reply)
    assert not any(send.done() for send in sends)
    for send in sends:
        send.cancel()
    await asyncio.gather(*sends, return_exceptions=True)
    await wire.close()


async def test_a_session_that_hangs_leaves_connections_for_its_neighbours(serve: Serve, nothing_left: None) -> None:
    async def one_hangs(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await peer.read(reader)) is not None:
            if request.target != "/hanging":
                writer.write(answer())

    peer, wire = await serve(one_hangs), Wire(WireLimits(connections=4, of_a_session=2, connect_timeout_s=0.05))
    with in_lane(Lane.SENDS, "hanging"):
        sends = [asyncio.create_task(wire.call("POST", peer.url, "/hanging", timeout_s=5.0)) for _ in range(6)]
    await asked(peer, 2)
    for _ in range(5):
        with in_lane(Lane.SENDS, "neighbour"):
            got = await wire.call("POST", peer.url, "/well", timeout_s=5.0)
        assert isinstance(got, Reply), got
    told = await asyncio.gather(*sends[2:])
    assert {each.phase for each in told if isinstance(each, Fault)} == {Phase.NOT_ATTEMPTED}
    assert "its share" in str(told[0])
    for send in sends:
        send.cancel()
    await asyncio.gather(*sends, return_exceptions=True)
    await wire.close()


async def test_a_place_whose_connection_is_lost_goes_to_the_next_in_line(serve: Serve, nothing_left: None) -> None:
    peer, wire = await serve(saying(answer(), then_close=True)), Wire(WireLimits(connections=1))
    await asyncio.gather(*(get(wire, peer.url) for _ in range(5)))
    assert (peer.connections, len(peer.asked)) == (5, 5)
    await wire.close()


async def test_refusals_free_their_places(nothing_left: None) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        wire, url = Wire(WireLimits(connections=2)), f"http://127.0.0.1:{unheard.getsockname()[1]}"
        ended = await asyncio.gather(*(wire.call("GET", url, "/", timeout_s=2.0) for _ in range(10)))
        assert {one.phase for one in ended if isinstance(one, Fault)} == {Phase.REFUSED}
        await wire.close()


async def test_fifty_at_once_with_half_of_them_cancelled_leave_a_pool_that_works(
    serve: Serve, nothing_left: None
) -> None:
    async def echo(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (asked := await peer.read(reader)) is not None:
            await asyncio.sleep(0.02)
            writer.write(answer(asked.target.encode()))

    peer, wire = await serve(echo), Wire(WireLimits(connections=10))
    calls = [asyncio.create_task(get(wire, peer.url, f"/{number}")) for number in range(50)]
    for step in range(25):
        await asyncio.sleep(0.001)
        calls[step * 2].cancel()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    for number, one in enumerate(ended):
        if isinstance(one, Reply):
            assert one.body == f"/{number}".encode()
        else:
            assert isinstance(one, asyncio.CancelledError)
            assert number % 2 == 0
    targets = [asked.target for asked in peer.asked]
    assert len(targets) == len(set(targets))
    again = await asyncio.gather(*(get(wire, peer.url, f"/again{number}") for number in range(20)))
    assert [one.body for one in again] == [f"/again{number}".encode() for number in range(20)]
    await wire.close()


async def test_a_cancelled_call_closes_its_connection(wire: Wire, serve: Serve) -> None:
    peer = await serve(silence)
    call = asyncio.create_task(get(wire, peer.url))
    await peer.heard.wait()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await asyncio.sleep(0.05)
    assert peer.open == 0


async def test_an_answer_before_the_request_was_read_whole_does_not_reuse_the_connection(
    wire: Wire, serve: Serve
) -> None:
    async def hasty(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(status="413 Payload Too Large"))
        await asyncio.sleep(1)

    peer = await serve(hasty)
    for _ in range(2):
        ended = await wire.call("POST", peer.url, "/", body=b"x" * 2**25, timeout_s=5.0)
        assert isinstance(ended, Reply)
        assert ended.status == 413
    assert peer.connections == 2


async def test_small_requests_are_not_held_back(wire: Wire, serve: Serve) -> None:
    peer = await serve(saying(answer()))
    await get(wire, peer.url)
    (connection,) = wire._peers[peer.url, Lane.SENDS].pool._members
    sock = connection._transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_an_instance_listening_on_one_of_localhosts_addresses_is_found(wire: Wire, nothing_left: None) -> None:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        peer = Peer(saying(answer()))
        try:
            server = await asyncio.start_server(peer._connected, address, 0, family=family)
        except OSError:
            pytest.skip("this machine has no IPv6")
        peer._server = server
        await get(wire, f"http://localhost:{server.sockets[0].getsockname()[1]}")
        await peer.stop()


def self_signed(folder: Path) -> Path:
    """A key and a certificate for localhost, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl here")
    made = folder / "localhost.pem"
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext"
    command = [openssl, *options.split(), "subjectAltName=DNS:localhost", "-keyout", str(made), "-out", "-"]
    certificate = subprocess.run(command, capture_output=True, check=True).stdout
    made.write_bytes(made.read_bytes() + certificate)
    return made


async def test_tls_is_spoken_to_an_https_address(nothing_left: None, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    to_serve, to_call = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    to_serve.load_cert_chain(certificate)
    to_call.load_verify_locations(certificate)
    peer = Peer(saying(answer()))
    peer._server = await asyncio.start_server(peer._connected, "127.0.0.1", 0, ssl=to_serve)
    url = f"https://localhost:{peer._server.sockets[0].getsockname()[1]}"
    wire, distrustful = Wire(tls=lambda: to_call), Wire()
    for _ in range(3):
        await get(wire, url)
        await asyncio.sleep(0.02)
    assert peer.connections == 1
    met = await distrustful.call("GET", url, "/", timeout_s=2.0)
    assert isinstance(met, Fault)
    assert met.phase is Phase.CONNECT_BROKEN
    assert "certificate" in met.detail.lower()
    await wire.close()
    await distrustful.close()
    await peer.stop()


async def test_a_connection_that_was_closed_is_gone_without_the_collector(wire: Wire, serve: Serve) -> None:
    """Which looks for pairs that hold each other once in hours: nobody is to wait for it on every call."""
    peer = await serve(saying(answer(), then_close=True))
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            await get(wire, peer.url)
        await asyncio.sleep(0.1)
        assert [each for each in gc.get_objects() if isinstance(each, Connection)] == []
    finally:
        gc.enable()
