"""Whatever is said to the service, it goes on: nonsense ends the connection that said it, at most."""

import os
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from simulated_whatsapp.multidevice.protocol.service import Service
from simulated_whatsapp.multidevice.signal.identity import Identity
from simulated_whatsapp.multidevice.wire.frames import framed, opening
from simulated_whatsapp.multidevice.wire.nodes import Node, leaf
from simulated_whatsapp.multidevice.world.ledger import Events
from simulated_whatsapp.multidevice.world.people import LinkedDevice
from tests.simulated_whatsapp.multidevice.companion import Companion, admin, ledger

ANA, BEN = "628111", "628222"
TAGS = [
    "iq",
    "message",
    "receipt",
    "ack",
    "presence",
    "chatstate",
    "ib",
    "notification",
    "participants",
    "to",
    "enc",
    "device-identity",
    "list",
    "item",
    "user",
    "key",
    "skey",
    "id",
    "value",
    "signature",
    "registration",
    "identity",
    "type",
    "rotate",
    "count",
    "digest",
    "usync",
    "query",
    "devices",
    "lid",
    "contact",
    "tokens",
    "token",
    "create",
    "participant",
    "participating",
    "leave",
    "group",
    "subject",
    "add",
    "remove",
    "retry",
    "keys",
    "active",
    "remove-companion-device",
]
VALUES = [
    "", "1", "x", ANA, f"{ANA}@s.whatsapp.net", f"{BEN}:1@s.whatsapp.net", f"{BEN}:x@lid", "1@lid",
    "120363000000000001@g.us", "2@g.us", "@", "get", "set", "result", "error", "retry", "read", "sender", "pkmsg",
    "msg", "skmsg", "500", "message", "encrypt", "usync", "w:g2", "md", "privacy", "w:m", "passive", "peer",
    "trusted_contact",
]  # fmt: skip
ATTRS = [
    "id",
    "to",
    "from",
    "type",
    "class",
    "participant",
    "recipient",
    "jid",
    "xmlns",
    "category",
    "error",
    "count",
    "subject",
    "key-index",
]
attrs = some.dictionaries(some.sampled_from(ATTRS), some.sampled_from(VALUES), max_size=5)
nodes = some.recursive(
    some.builds(Node, some.sampled_from(TAGS), attrs, some.binary(max_size=40) | some.just(())),
    lambda inner: some.builds(Node, some.sampled_from(TAGS), attrs, some.lists(inner, max_size=4).map(tuple)),
    max_leaves=12,
)


class SilentLine:
    """A connection that nobody reads."""

    name, label = "c1", {}

    def send(self, node: Node) -> None: ...

    def end(self, *last: Node) -> None: ...


def linked_in(service: Service, number: str) -> LinkedDevice:
    person, keys = service.world.people.person(number), Identity()
    device = LinkedDevice(
        number, 1, os.urandom(32), keys.pair.public, keys.registration, keys.current, b"", line=SilentLine(), live=True
    )
    person.devices[1] = device
    return device


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.lists(nodes, min_size=1, max_size=8))
def test_whatever_a_device_says_the_service_goes_on(tmp_path: Path, said: list[Node]) -> None:
    service = Service(Events(tmp_path / "ledger", lambda: 1_800_000_000.0), lambda: 1_800_000_000.0, "127.0.0.1:1")
    device, other = linked_in(service, ANA), linked_in(service, BEN)
    service.world.groups.create("group", [ANA, BEN], 0)
    for each in said:
        with suppress(ValueError):  # it ends this connection
            service._from_device(device, SilentLine(), each)  # type: ignore[arg-type]
    assert other.line is not None
    service.world.events.close()


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", opening() + framed(b"\xff" * 9), opening() + framed(b"")])
async def test_a_client_that_speaks_something_else_is_cut(whatsapp, said):
    async with aiohttp.ClientSession() as http, http.ws_connect(whatsapp.url + "?who=stranger") as socket:
        await socket.send_bytes(said)
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE)
    [line] = await ledger(whatsapp, "not_understood")
    assert line["label"] == {"who": "stranger"}
    assert (await admin(whatsapp, "stats"))["events"] == {"not_understood": 1}


async def test_a_frame_that_is_no_node_ends_its_connection_alone(whatsapp, linked):
    ana, ben = await linked(ANA), await linked(BEN)
    await ana._socket.send_bytes(framed(ana._transport.seal(b"\x00\xf8\x02nonsense")))
    await ana.until_ended()
    [ended] = await ledger(whatsapp, "ended")
    assert ended["why"].startswith("not understood")
    await ben.send(ANA, "3EB0G1", "still here")
    assert (await ana.login(whatsapp)).tag == "success"


async def test_orders_that_make_no_sense_are_refused_in_a_sentence(whatsapp):
    for name, order in (
        ("scan", {}),
        ("scan", {"qr": 5, "phone": ANA}),
        ("write", {"from": "nobody", "to": BEN, "text": "x"}),
        ("end", {"device": "628111:9", "why": "cut"}),
        ("end", {"device": "628111:9", "why": "boredom"}),
        ("arm", {"fault": "drop_ack", "colour": "red"}),
        ("rules", {"drop_repeats": "no"}),
        ("group", {"subject": "x", "members": ["nobody"]}),
        ("enter-code", {"code": "x", "phone": ANA}),
    ):
        with pytest.raises(ValueError, match=r"\w+"):
            await admin(whatsapp, name, order)


async def test_a_companion_without_its_server_says_so(whatsapp):
    device = Companion()
    await device.connect(whatsapp, leaf("x", b"").data)
    assert (await device.until_ended()).get("reason") == "401"
