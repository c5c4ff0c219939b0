"""A session that hangs takes its share of the connections, and what is no send has others."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from scripted_peers import Peer, Serve, answer

from homing.drivers.around.metered import MeteredDriver
from homing.drivers.http.wire import Wire, WireLimits
from homing.drivers.webjs.driver import WebjsDriver
from homing.model.fleet import Epoch, InstanceUrl, ListedSession, SessionId, SessionList, WorkspaceId
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Receipt
from homing.ports import InstanceHealth, OutgoingText, SessionStart
from homing.serve.metrics import Metrics

HANGING, WELL = SessionId("hanging"), SessionId("well")
START = SessionStart(WELL, WorkspaceId(1), 7, Epoch(1))
SENT = b'{"success": true, "message_id": "3EB0", "timestamp": 1795000000}'
ROW = b'{"session_id": "well", "status": "connected"}'


async def one_session_hangs(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A gateway that answers nothing about one of its sessions."""
    while (asked := await peer.read(reader)) is not None:
        path = asked.target.partition("?")[0]
        if b'"hanging"' in asked.body:
            continue
        if path == "/health":
            writer.write(answer(b'{"status": "healthy"}'))
        elif path == "/api/sessions":
            writer.write(answer(b'{"success": true, "sessions": [' + ROW + b"]}"))
        else:
            writer.write(answer(SENT if path.endswith("/send") else ROW))


def send(driver: MeteredDriver, at: InstanceUrl, session: SessionId) -> Awaitable[Receipt | Fault]:
    message = OutgoingText(session, WorkspaceId(1), "6281", "hello", "3EB0", Epoch(1))
    return driver.send(at, message, timeout_s=5.0)


CALLS: dict[str, tuple[Callable[[MeteredDriver, InstanceUrl], Awaitable[object]], type]] = {
    "health": (lambda driver, at: driver.health(at, timeout_s=5.0), InstanceHealth),
    "list": (lambda driver, at: driver.sessions(at, timeout_s=5.0), SessionList),
    "status": (lambda driver, at: driver.session(at, WELL, timeout_s=5.0), ListedSession),
    "stop": (lambda driver, at: driver.stop(at, START, timeout_s=5.0), type(None)),
    "a neighbour's send": (lambda driver, at: send(driver, at, WELL), Receipt),
}


@pytest.mark.parametrize("call", CALLS)
async def test_sends_of_a_hanging_session_delay_nothing_else(serve: Serve, nothing_left: None, call: str) -> None:
    peer = await serve(one_session_hangs)
    wire, at = Wire(WireLimits(connections=2, of_a_session=1, connect_timeout_s=0.05)), InstanceUrl(peer.url)
    driver = MeteredDriver(WebjsDriver(wire), Metrics())
    hanging = [asyncio.ensure_future(send(driver, at, HANGING)) for _ in range(6)]
    _, waiting = await asyncio.wait(hanging, timeout=0.5)
    assert len(waiting) == 1, "it has one of the two connections"
    ask, well = CALLS[call]
    assert isinstance(await ask(driver, at), well)
    for each in hanging:
        each.cancel()
    ended = await asyncio.gather(*hanging, return_exceptions=True)
    assert [each.phase for each in ended if isinstance(each, Fault)] == [Phase.NOT_ATTEMPTED] * 5
    await wire.close()


async def test_sends_that_hang_in_many_sessions_do_not_delay_health(serve: Serve, nothing_left: None) -> None:
    async def sends_hang(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (asked := await peer.read(reader)) is not None:
            if asked.method == "GET":
                writer.write(answer(b'{"status": "healthy"}'))

    peer = await serve(sends_hang)
    wire, at = Wire(WireLimits(connections=4, of_a_session=1)), InstanceUrl(peer.url)
    driver = MeteredDriver(WebjsDriver(wire), Metrics())
    hanging = [asyncio.ensure_future(send(driver, at, SessionId(f"s{number}"))) for number in range(4)]
    await asyncio.wait(hanging, timeout=0.2)
    assert peer.connections == 4
    assert isinstance(await driver.health(at, timeout_s=0.5), InstanceHealth)
    for each in hanging:
        each.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    await wire.close()
