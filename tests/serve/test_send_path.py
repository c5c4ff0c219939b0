"""How much of the code a plain send meets, between the last byte of its request and its answer."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import homing
from homing.compose import Gateway, open_gateway
from homing.config import Settings
from homing.model.directory.access import Scope
from homing.serve.app import Application
from homing.serve.callers.keyring import new_key
from tests.serve.port import PortTransport

FILES_MAX = 14
_SOURCE = str(Path(homing.__file__).parent) + "/"


class Instance(asyncio.Protocol):
    """A webjs service that sends everything."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        told: dict[str, Any] = {"status": "healthy"}
        if data.startswith(b"POST"):
            told = {"success": True, "message_id": "3EB0AA", "timestamp": 1_795_000_000}
        elif data.startswith(b"GET /api/sessions"):
            told = {"success": True, "sessions": [{"session_id": "s", "status": "connected"}], "total": 1}
        raw = json.dumps(told).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(raw) + raw)


class Met:
    """The code that runs until the answer is written: by file, and each call's name with those it was made from."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.twice: set[str] = set()
        self.made_in_python: set[str] = set()

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call" and (frame.f_code.co_filename, frame.f_code.co_name) == ("<string>", "__init__"):
            if not self._is_behind(frame):
                self.made_in_python.add(type(frame.f_locals["self"]).__name__)
            return
        if event != "call" or not frame.f_code.co_filename.startswith(_SOURCE):
            return
        if self._is_behind(frame):
            return
        self.files.add(frame.f_code.co_filename.removeprefix(_SOURCE))
        above, names = frame.f_back, {frame.f_code.co_name}
        while above is not None:
            name = above.f_code.co_name
            if above.f_code.co_filename.startswith(_SOURCE):
                self.twice |= {name} & names
                names.add(name)
            above = above.f_back

    @staticmethod
    def _is_behind(frame: FrameType | None) -> bool:
        """Whether it is who hears of sends, on a turn of the loop of its own, which tells of many at once."""
        while frame is not None:
            if frame.f_code.co_name == "_tell":
                return True
            frame = frame.f_back
        return False


@pytest.fixture
async def gateway(sqlite_url: str) -> AsyncIterator[tuple[Gateway, PortTransport, bytes]]:
    server = await asyncio.get_running_loop().create_server(Instance, "127.0.0.1", 0)
    url = f"http://localhost:{server.sockets[0].getsockname()[1]}"
    settings = Settings(_env_file=None, homing_database_url=sqlite_url, instances=(url,), homing_probe_every=60)  # type: ignore[call-arg]
    async with open_gateway(settings) as opened:
        key, secret = new_key(opened.entropy, opened.clock, workspace=None, scope=Scope.ADMIN, name="")
        await opened.stores.directory.add_key(key)
        await opened.keyring.refresh()
        application = Application(opened)
        yield opened, PortTransport(settings, application), b"Bearer " + secret.encode()
        await application.close()
    server.close()


def request(path: bytes, authorization: bytes, body: dict[str, Any]) -> bytes:
    raw = json.dumps(body).encode()
    head = b"POST /api/v1%b HTTP/1.1\r\nHost: h\r\nAuthorization: %b\r\nContent-Type: application/json\r\n"
    return head % (path, authorization) + b"Content-Length: %d\r\n\r\n" % len(raw) + raw


async def told(port: PortTransport, said: bytes, met: Met | None = None) -> dict[str, Any]:
    protocol, line = port.connected()
    written = line.write

    def write(data: Any) -> None:
        sys.setprofile(None)
        written(data)

    line.write = write  # type: ignore[method-assign]
    if met is not None:
        sys.setprofile(met)
    try:
        protocol.data_received(said)
        await line.said.wait()
        await asyncio.sleep(0)
    finally:
        sys.setprofile(None)
    answer = b"".join(line.written)
    assert answer.split()[1][:1] == b"2", answer
    protocol.connection_lost(None)
    return dict(json.loads(answer.partition(b"\r\n\r\n")[2]))


@pytest.fixture
async def mets(gateway: tuple[Gateway, PortTransport, bytes]) -> list[Met]:
    """What each of some plain sends met, all but the first few. Others run on the same loop now and then."""
    opened, port, key = gateway
    url = next(iter(opened.fleet.roster.instances))
    made = {"workspace_id": 1, "phone": "+62816108641", "session_id": "s", "instance_url": url, "start": False}
    account = await told(port, request(b"/accounts", key, made))
    send = {"workspace_id": 1, "account_uuid": account["uuid"], "phone": "+62811801641", "message": "hello"}
    said = request(b"/messages/send", key, send)
    for _ in range(3):
        await told(port, said)
    mets = [Met() for _ in range(4)]
    for met in mets:
        assert (await told(port, said, met))["attempts"] == 1
    return mets


async def test_a_plain_send_meets_few_files_and_no_name_twice(mets: list[Met]) -> None:
    files = set.intersection(*(met.files for met in mets))
    assert len(files) <= FILES_MAX, " ".join(sorted(files))
    assert {"serve/http/send_protocol.py", "flows/sending/send.py", "drivers/http/connection.py"} <= files
    twice = set.intersection(*(met.twice for met in mets))
    assert twice <= {"send"}, twice  # the word of `ports.Driver`, which whoever counts calls passes on


async def test_what_a_plain_send_makes_is_made_without_python(mets: list[Met]) -> None:
    """A frozen dataclass sets its fields one by one, which takes ten times as long as a struct."""
    made = set.intersection(*(met.made_in_python for met in mets))
    assert made <= {"TextContent"}, made
