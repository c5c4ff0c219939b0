"""A session of our own instance goes out by its exit proxy each time that it connects, or not at all and says why."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field

import pytest

from homing.instance.engines.simulated import SimulatedEngine
from homing.model.fleet import SessionId
from homing.model.sessions.exit_proxies import ExitProxy
from homing.ports import StoreUnavailable
from simulated_whatsapp.wire import tcp


@dataclass
class Exit:
    """An HTTP proxy that passes on what it is asked to connect."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    refuses: bool = False
    server: asyncio.Server | None = None
    open: list[asyncio.StreamWriter] = field(default_factory=list)

    async def begin(self, port: int = 0) -> None:
        self.server = await asyncio.start_server(self._served, "127.0.0.1", port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def end(self) -> None:
        assert self.server is not None
        self.server.close()
        for each in self.open:
            each.close()
        self.open.clear()

    def as_proxy(self) -> ExitProxy:
        return ExitProxy("http", "127.0.0.1", self.port, "owner", "pass-word")

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head)
        if self.refuses:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            writer.close()
            return
        host, _, port = head.split()[1].rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        self.open += [writer, far_writer]
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pumped(reader, far_writer), _pumped(far_reader, writer))


async def _pumped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while part := await reader.read(65_536):
            writer.write(part)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


class Known:
    """What is known of exits: of every session the same."""

    def __init__(self, answer: ExitProxy | str | None) -> None:
        self.answer, self.away = answer, False

    async def of(self, sessions: Collection[SessionId]) -> Mapping[SessionId, ExitProxy | str]:
        if self.away:
            raise StoreUnavailable("the database is away")
        return {} if self.answer is None else dict.fromkeys(sessions, self.answer)


@pytest.fixture
async def exit_() -> AsyncIterator[Exit]:
    proxy = Exit()
    await proxy.begin()
    yield proxy
    await proxy.end()


async def row(one) -> dict:
    return (await one.get("/api/sessions/s1/status"))[1]


async def test_every_start_goes_out_by_the_proxy_also_those_that_nobody_asked_for(fleet, exit_, eventually):
    await fleet.link("s1")
    exits = Known(exit_.as_proxy())
    one = await fleet.instance(exits=exits)
    assert (await one.start())[1]["status"] == "connected"
    assert [head.split()[1] for head in exit_.asked] == [fleet.server.address]
    assert "Proxy-Authorization: Basic b3duZXI6cGFzcy13b3Jk" in exit_.asked[0]
    assert (await one.post("/api/sessions/s1/reconnect", {"workspace_id": 1}))[1]["status"] == "connected"
    assert len(exit_.asked) == 2
    assert (await one.send())[0] == 200
    await exit_.end()  # what goes through it is cut
    await exit_.begin(exit_.port)

    async def up_again() -> bool:
        return len(exit_.asked) >= 3 and (await row(one))["status"] == "connected"

    await eventually(up_again)
    await one.instance.stop()
    two = await fleet.instance(exits=exits, port=int(one.url.rpartition(":")[2]))

    async def restored() -> bool:
        return (await two.get("/api/sessions/s1/status"))[0] == 200 and (await row(two))["status"] == "connected"

    await eventually(restored)
    assert len(exit_.asked) >= 4


async def test_while_its_exit_is_down_a_session_stays_down_and_says_so(fleet, exit_, eventually):
    await fleet.link("s1")
    await exit_.end()
    one = await fleet.instance(exits=Known(exit_.as_proxy()))
    status, started = await one.start()
    assert (status, started["success"], started["status"]) == (200, False, "disconnected")
    assert started["error"] == f"its exit http://***@127.0.0.1:{exit_.port} does not let it out: ConnectionRefusedError"
    assert await _logins(fleet) == 0
    await exit_.begin(exit_.port)

    async def up() -> bool:
        return (await row(one))["status"] == "connected"

    await eventually(up)
    assert len(exit_.asked) == 1


async def test_an_exit_that_refuses_lets_nobody_out(fleet, exit_):
    await fleet.link("s1")
    exit_.refuses = True
    one = await fleet.instance(exits=Known(exit_.as_proxy()))
    assert (await one.start())[1]["status"] == "disconnected"
    assert exit_.asked
    assert await _logins(fleet) == 0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            "its account goes out by http://***@far:1, which no secret of this process opens",
            "no secret of this process",
        ),
        (ExitProxy("socks5", "127.0.0.1", 9), "does not let it out"),
    ],
)
async def test_what_cannot_be_used_as_an_exit_is_no_reason_to_go_out_without_one(fleet, answer, said):
    await fleet.link("s1")
    one = await fleet.instance(exits=Known(answer))
    started = (await one.start())[1]
    assert started["status"] == "disconnected"
    assert said in started["error"]
    assert await _logins(fleet) == 0


async def test_while_its_exit_cannot_be_read_a_session_stays_down(fleet):
    await fleet.link("s1")
    exits = Known(None)
    exits.away = True
    one = await fleet.instance(exits=exits)
    assert (await one.start())[1]["status"] == "disconnected"
    assert await _logins(fleet) == 0
    exits.away = False


async def test_an_engine_that_takes_no_proxy_opens_no_session_that_has_one(fleet, exit_, monkeypatch):
    monkeypatch.setattr(
        "homing.instance.run.open_engine", lambda _, setup: SimulatedEngine(tcp(setup.whatsapp_address))
    )
    await fleet.link("s1")
    one = await fleet.instance(exits=Known(exit_.as_proxy()))
    started = (await one.start())[1]
    assert started["status"] == "disconnected"
    assert "the engine simulated takes no proxy" in started["error"]
    assert exit_.asked == []
    assert await _logins(fleet) == 0


async def _logins(fleet) -> int:
    """How often the device logged in to WhatsApp."""
    return int((await fleet.whatsapp.stats())["logins"])
