"""A client of the multi-device protocol, small enough to be read: linked devices in tests are this one.

It says and hears what it has to in order to be linked, to log in, to send and to receive; all else it ignores.
"""

import asyncio
import base64
import contextlib
import os
from collections.abc import Callable
from typing import Any, TypeVar

import aiohttp

from simulated_whatsapp.multidevice.phones import content, linking
from simulated_whatsapp.multidevice.protocol.keys import bundle_nodes, read_bundle
from simulated_whatsapp.multidevice.server.listening import MultideviceServer
from simulated_whatsapp.multidevice.signal.bundles import Bundle, Prekey
from simulated_whatsapp.multidevice.signal.identity import Identity
from simulated_whatsapp.multidevice.signal.sender_keys import GroupKeys
from simulated_whatsapp.multidevice.wire import protobuf
from simulated_whatsapp.multidevice.wire.certificates import is_vouched_for
from simulated_whatsapp.multidevice.wire.codec import decoded, encoded
from simulated_whatsapp.multidevice.wire.curve import KeyPair, new_pair
from simulated_whatsapp.multidevice.wire.frames import Frames, framed, opening
from simulated_whatsapp.multidevice.wire.jids import HIDDEN, NUMBERS, Jid
from simulated_whatsapp.multidevice.wire.nodes import Node, leaf, node
from simulated_whatsapp.multidevice.wire.noise import Initiator, Transport
from simulated_whatsapp.multidevice.world.people import hidden_of

PATIENCE_S = 20.0
Found = TypeVar("Found")


async def admin(server: MultideviceServer, name: str, order: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the administration answers. Raises ``ValueError`` with its reason."""
    url = f"http://{server.address}/admin/{name}"
    async with aiohttp.ClientSession() as http:
        asked = http.get(url) if order is None else http.post(url, json=order)
        async with asked as answer:
            told: dict[str, Any] = await answer.json()
            if answer.status != 200:
                raise ValueError(told["reason"])
            return told


async def ledger(server: MultideviceServer, *events: str) -> list[dict[str, Any]]:
    """What was written down; of these events, where any are named."""
    lines: list[dict[str, Any]] = (await admin(server, "ledger?after=0"))["lines"]
    return [line for line in lines if not events or line["event"] in events]


class Companion:
    """One linked device, over all of its connections. ``heard`` are all nodes of the present one, in order."""

    def __init__(self, *, receipts: bool = True, routing: bytes = b"") -> None:
        self.identity, self.groups = Identity(), GroupKeys()
        self.noise = new_pair()
        self.secret = os.urandom(32)
        self.number, self.device = "", 0
        self.account: bytes = b""
        self.signed_identity = b""
        self.receipts = receipts
        self.inbox: list[tuple[str, str]] = []
        self.heard: list[Node] = []
        self.open = False
        self._routing = routing
        self._news = asyncio.Condition()
        self._asked = 0

    @property
    def name(self) -> str:
        return f"{self.number}:{self.device}"

    # Connections

    async def connect(self, server: MultideviceServer, payload: bytes, label: str = "") -> None:
        self._http = aiohttp.ClientSession()
        self._socket = await self._http.ws_connect(server.url + label, max_msg_size=0)
        self._frames, self.heard, self.open = Frames(intro=False), [], True
        initiator = Initiator(self.noise)
        await self._socket.send_bytes(opening(self._routing) + framed(initiator.hello()))
        [answer] = self._frames.fed(await self._socket.receive_bytes())
        static, chain = initiator.server(answer)
        assert is_vouched_for(chain, server.keys.root.public, static)
        finish, self._transport = initiator.finish(payload)
        await self._socket.send_bytes(framed(finish))
        self._reading = asyncio.create_task(self._read(self._transport))

    async def pair(self, server: MultideviceServer, number: str) -> str:
        """Be linked to a number: the device's name, once it has to log in."""
        await self.connect(server, self.registration())
        asked = asyncio.create_task(admin(server, "scan", {"qr": await self.code(), "phone": number}))
        told = await asked
        assert (await self.until_ended()).get("code") == "515"
        assert told["device"] == self.name
        return self.name

    def registration(self) -> bytes:
        signed = self.identity.current
        keys = protobuf.message(
            (1, self.identity.registration.to_bytes(4, "big")),
            (2, b"\x05"),
            (3, self.identity.pair.public),
            (4, signed.id.to_bytes(3, "big")),
            (5, signed.public),
            (6, signed.signature),
        )
        return protobuf.message((19, keys))

    async def code(self) -> str:
        """What this client shows a phone."""
        shown = await self.until(lambda: self._first("iq", "pair-device"))
        refs = [ref.data.decode() for ref in (shown.child("pair-device") or shown).all("ref")]
        keys = (self.noise.public, self.identity.pair.public, self.secret)
        return ",".join([refs[0], *(base64.b64encode(key).decode() for key in keys), "1"])

    async def login(self, server: MultideviceServer, label: str = "", *, prekeys: int = 20) -> Node:
        """Log in, publish prekeys where the server has none, and take what waits. ``success``, or the refusal."""
        payload = protobuf.message((1, int(self.number)), (3, 1), (7, "Companion"), (18, self.device))
        await self.connect(server, payload, label)
        greeting = await self.until(lambda: self._first("success") or self._first("failure"))
        if greeting.tag == "success":
            await self.publish(prekeys)
            await self.ask("passive", "set", node("active"))
            await self.until(lambda: self._first("ib", "offline"))
        return greeting

    async def publish(self, count: int) -> None:
        held = await self.ask("encrypt", "get", node("count"))
        if count and held.children[0].get("value") == "0":
            fresh = self.identity.new_prekeys(count)
            keys = bundle_nodes(self.identity.bundle(with_prekey=False))
            await self.ask("encrypt", "set", *keys, node("list", *map(_prekey, fresh)))

    async def close(self) -> None:
        if self.open:
            await self._socket.close()
        await self._reading
        await self._http.close()

    # Saying

    async def say(self, given: Node) -> None:
        await self._socket.send_bytes(framed(self._transport.seal(encoded(given))))

    async def ask(self, namespace: str, kind: str, *content: Node) -> Node:
        self._asked += 1
        number = f"{id(self):x}.{self._asked}"
        await self.say(node("iq", *content, to=NUMBERS, type=kind, xmlns=namespace, id=number))
        return await self.until(lambda: self.answer("iq", number))

    async def devices_of(self, number: str) -> list[Jid]:
        """The number's devices, but for this one."""
        query = node("query", node("devices", version="2"), node("lid"))
        users = node("list", node("user", jid=str(Jid(number, NUMBERS))))
        answer = await self.ask("usync", "get", node("usync", query, users, context="message"))
        [user] = answer.children[0].child("list").children  # type: ignore[union-attr]
        listed = user.child("devices").children[0].children  # type: ignore[union-attr]
        assert user.child("lid").get("val") == f"{hidden_of(number)}@{HIDDEN}"  # type: ignore[union-attr]
        found = [Jid(number, NUMBERS, int(each.get("id"))) for each in listed]
        return [jid for jid in found if (jid.user, jid.device) != (self.number, self.device)]

    async def bundle_of(self, jid: Jid) -> Bundle:
        answer = await self.ask("encrypt", "get", node("key", node("user", jid=str(jid))))
        return read_bundle(answer.children[0].children[0])

    async def sealed(self, to: str, message_id: str, text: str) -> Node:
        """A message for all devices of a number and all others of one's own, ready to be said."""
        message, parts = content.text_message(text), []
        targets = [(jid, message) for jid in await self.devices_of(to)]
        copy = content.own_copy(f"{to}@{NUMBERS}", message)
        targets += [(jid, copy) for jid in await self.devices_of(self.number)]
        for jid, plain in targets:
            if not self.identity.knows(str(jid)):
                self.identity.open(str(jid), await self.bundle_of(jid))
            kind, data = self.identity.encrypt(str(jid), content.padded(plain))
            parts.append(node("to", leaf("enc", data, v="2", type=kind), jid=str(jid)))
        return node(
            "message",
            node("participants", *parts),
            leaf("device-identity", self.signed_identity),
            id=message_id,
            to=f"{to}@{NUMBERS}",
            type="text",
        )

    async def send(self, to: str, message_id: str, text: str) -> Node:
        """Send, and wait for the acknowledgement."""
        return await self.transmit(await self.sealed(to, message_id, text))

    async def transmit(self, message: Node) -> Node:
        before = self.count("ack", message.get("id"))
        await self.say(message)
        await self.until(lambda: self.count("ack", message.get("id")) > before)
        return self.all("ack", message.get("id"))[-1]

    async def receipt(self, message: Node, kind: str = "", *more: Node) -> None:
        about = {"to": message.get("from"), "id": message.get("id")}
        about |= {name: message.get(name) for name in ("participant", "recipient") if message.get(name)}
        await self.say(Node("receipt", about | ({"type": kind} if kind else {}), more))

    # Hearing

    async def until(self, found: Callable[[], Found]) -> Found:
        """What ``found`` gives, once that is something."""
        async with asyncio.timeout(PATIENCE_S), self._news:
            while not (value := found()):
                await self._news.wait()
            return value

    async def until_ended(self) -> Node:
        """The server's last word, once the connection is closed."""
        await self.until(lambda: not self.open)
        await self._http.close()
        return self.heard[-1]

    def all(self, tag: str, id: str = "") -> list[Node]:
        return [each for each in self.heard if each.tag == tag and id in ("", each.get("id"))]

    def count(self, tag: str, id: str = "") -> int:
        return len(self.all(tag, id))

    def answer(self, tag: str, id: str) -> Node | None:
        return next(iter(self.all(tag, id)), None)

    def _first(self, tag: str, child: str = "") -> Node | None:
        return next((each for each in self.all(tag) if not child or each.child(child)), None)

    async def _read(self, transport: Transport) -> None:
        with contextlib.suppress(ConnectionError):
            async for message in self._socket:
                for frame in self._frames.fed(message.data):
                    heard = decoded(transport.open(frame))
                    self.heard.append(heard)
                    await self._answer(heard)
                    await self._tell()
        self.open = False
        await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _answer(self, heard: Node) -> None:
        success = heard.child("pair-success")
        if success is not None:
            await self._linked(heard, success)
        elif heard.tag == "message" and self.receipts:
            await self.take(heard)
        elif heard.tag in ("receipt", "notification"):
            about = {"class": heard.tag, "id": heard.get("id"), "to": heard.get("from"), "type": heard.get("type")}
            await self.say(Node("ack", {name: value for name, value in about.items() if value}))

    async def take(self, message: Node) -> None:
        """Read a message, and say so."""
        sender = message.get("participant") or message.get("from")
        for enc in message.all("enc"):
            if enc.get("type") == "skmsg":
                plain = self.groups.decrypt(message.get("from"), sender, enc.data)
            else:
                plain = self.identity.decrypt(sender, enc.get("type"), enc.data)
            said = content.read_content(content.unpadded(plain))
            if said.sender_key is not None:
                self.groups.learn(said.sender_key.group, sender, said.sender_key.distribution)
            if said.kind != "nothing":
                self.inbox.append((message.get("id"), said.text))
        await self.receipt(message, "sender" if message.get("recipient") else "")

    async def _linked(self, heard: Node, success: Node) -> None:
        jid = Jid.read((success.child("device") or success).get("jid"))
        self.number, self.device = jid.user, jid.device
        pair = KeyPair(self.identity.pair.private, self.identity.pair.public)
        self.signed_identity = linking.counter_signed(pair, success.bytes_of("device-identity"), self.secret)
        sign = node("pair-device-sign", leaf("device-identity", self.signed_identity))
        await self.say(node("iq", sign, to=NUMBERS, type="result", id=heard.get("id")))


def _prekey(key: Prekey) -> Node:
    return node("key", leaf("id", key.id.to_bytes(3, "big")), leaf("value", key.public))
