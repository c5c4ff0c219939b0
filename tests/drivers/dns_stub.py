"""A name server on loopback that says what a test wants, and the question asked of it over UDP."""

import asyncio
import ipaddress
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

_A, _AAAA = 1, 28


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """Answers each question for a name with the next of its answers; the last one stays."""

    answers: dict[str, list[list[str]]]
    asked: list[str] = field(default_factory=list)
    port: int = 0
    _transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        name, kind = _question(data)
        if kind == _A:
            self.asked.append(name)
        turns = self.answers.get(name, [[]])
        now = turns[min(self.asked.count(name), len(turns)) - 1]
        found = [each for each in now if (":" in each) == (kind == _AAAA)]
        head = data[:2] + struct.pack(">HHHHH", 0x8180, 1, len(found), 0, 0)
        records = b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(packed)) + packed
            for packed in (ipaddress.ip_address(each).packed for each in found)
        )
        self._transport.sendto(head + data[12:] + records, addr)

    async def resolve(self, host: str) -> list[str]:
        """What a stub resolver without a cache gets: IPv4 first."""
        return [*await self._ask(host, _A), *await self._ask(host, _AAAA)]

    async def _ask(self, host: str, kind: int) -> list[str]:
        labels = b"".join(bytes([len(each)]) + each.encode() for each in host.split(".")) + b"\x00"
        question = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">HH", kind, 1)
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.setblocking(False)
            await loop.sock_sendto(asking, question, ("127.0.0.1", self.port))
            reply = await asyncio.wait_for(loop.sock_recv(asking, 4096), 5)
        return _records(reply, len(question))


def _question(data: bytes) -> tuple[str, int]:
    at, labels = 12, []
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode())
        at += 1 + data[at]
    return ".".join(labels), int.from_bytes(data[at + 1 : at + 3], "big")


def _records(reply: bytes, at: int) -> list[str]:
    found = []
    for _ in range(int.from_bytes(reply[6:8], "big")):
        size = int.from_bytes(reply[at + 10 : at + 12], "big")
        found.append(str(ipaddress.ip_address(reply[at + 12 : at + 12 + size])))
        at += 12 + size
    return found


@asynccontextmanager
async def name_server(answers: dict[str, list[list[str]]]) -> AsyncIterator[NameServer]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(answers), local_addr=("127.0.0.1", 0)
    )
    yield server
    transport.close()
