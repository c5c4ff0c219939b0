"""Bytes: what independent implementations write is read, and what is written here reads back."""

import json
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from simulated_whatsapp.multidevice.wire import certificates, curve, noise, protobuf
from simulated_whatsapp.multidevice.wire.codec import BadNode, Dictionary, decoded, encoded
from simulated_whatsapp.multidevice.wire.frames import BadFrame, Frames, framed, opening
from simulated_whatsapp.multidevice.wire.jids import Jid
from simulated_whatsapp.multidevice.wire.nodes import Node, leaf, node
from simulated_whatsapp.multidevice.wire.noise import HandshakeFailed, Initiator, Responder
from simulated_whatsapp.multidevice.wire.secrets import derived

few = settings(deadline=None, max_examples=40)
INTEROP = json.loads((Path(__file__).parent / "interop.json").read_text())
"""Written by libsignal 6.0.0 and Baileys 7.0.0-rc14, with keys drawn for the purpose."""


def test_keys_agree_with_those_of_another_implementation():
    told = {name: bytes.fromhex(value) for name, value in INTEROP["agreement"].items()}
    assert curve.agreed(told["private"], told["public"]) == told["shared"]
    assert curve.agreed(told["private"], curve.typed(told["public"])) == told["shared"]
    for wrong in (bytes(32), told["public"][1:], b"\x06" + told["public"]):
        with pytest.raises(ValueError):
            curve.agreed(told["private"], wrong)


def test_secrets_are_derived_as_in_rfc_5869():
    found = derived(b"\x0b" * 22, 42, salt=bytes(range(13)), info=bytes(range(0xF0, 0xFA)))
    assert found.hex() == ("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")


def test_signatures_of_another_implementation_are_verified():
    told = {name: bytes.fromhex(value) for name, value in INTEROP["signature"].items()}
    assert curve.pair_of(told["private"]).public == told["public"]
    assert curve.verified(told["public"], told["message"], told["signature"])
    assert not curve.verified(told["public"], told["message"] + b"!", told["signature"])
    assert not curve.verified(told["public"], told["message"], told["signature"][:63])


@few
@given(some.binary(min_size=32, max_size=32), some.binary(max_size=100))
def test_a_signature_is_its_keys_and_its_messages(private, message):
    pair = curve.pair_of(private)
    signature = curve.sign(private, message)
    assert curve.verified(pair.public, message, signature)
    assert curve.verified(curve.typed(pair.public), message, signature)
    assert not curve.verified(curve.new_pair().public, message, signature)
    assert not curve.verified(pair.public, message, bytes([signature[0] ^ 1]) + signature[1:])


names = some.text(some.characters(codec="utf-8"), min_size=1, max_size=20)
numbers = some.text("0123456789-.", min_size=1, max_size=130)
hexes = some.text("0123456789ABCDEF", min_size=1, max_size=40)
jids = some.builds(
    lambda user, server, device: str(Jid(user, server, device)),
    some.text("0123456789", max_size=15).filter(bool),
    some.sampled_from(["s.whatsapp.net", "lid", "g.us", "hosted"]),
    some.integers(0, 300),
)
texts = names | numbers | hexes | jids | some.just("") | some.just("@s.whatsapp.net") | some.just("a:b@c")
nodes = some.recursive(
    some.builds(Node, names, some.dictionaries(names, texts, max_size=4), some.binary(max_size=400) | some.just(())),
    lambda inner: some.builds(
        Node, names, some.dictionaries(names, texts, max_size=2), some.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=10,
)


@few
@given(nodes)
def test_nodes_read_back_as_they_were_written(given_node):
    assert decoded(encoded(given_node)) == given_node


@few
@given(nodes)
def test_a_deflated_node_is_the_same_node(given_node):
    assert decoded(b"\x02" + zlib.compress(encoded(given_node)[1:])) == given_node


@few
@given(some.binary(max_size=200))
def test_any_other_bytes_are_a_node_or_refused(data):
    with suppress(BadNode):
        decoded(data, Dictionary(("", "iq") * 100, (("word",),) * 4))


def test_long_lists_and_long_contents_read_back():
    many = node("list", *(node("item", id=str(number)) for number in range(300)))
    assert decoded(encoded(many)) == many
    for size in (255, 256, 1 << 20):
        assert decoded(encoded(leaf("big", bytes(size)))).data == bytes(size)


def test_nodes_without_end_are_refused():
    deep = b"\x00" + b"\xf8\x02\xfc\x01a\xf8\x01" * 5000 + b"\xf8\x01\xfc\x01a"
    with pytest.raises(BadNode, match="without end"):
        decoded(deep)
    with pytest.raises(BadNode, match=r"without end|too early"):
        decoded(b"\x00\xf8\x01" + b"\xfa" * 100_000)


def test_nodes_of_another_implementation_are_read():
    first, second = (decoded(bytes.fromhex(each["data"])) for each in INTEROP["nodes"])
    assert first.attrs == INTEROP["nodes"][0]["node"]["attrs"]
    assert first.bytes_of("zqe") == b"\x01\x02\x03"
    assert first.child("zqf").data == b"\x07" * 300
    assert first.child("zqf").get("zqg") == "98765432:2@lid"
    assert second.data == b"zqi text"


def test_words_are_looked_up():
    words = Dictionary(("", "iq", "type"), ((), ("result",)))
    assert decoded(bytes([0, 248, 3, 1, 2, 237, 0]), words) == node("iq", type="result")
    with pytest.raises(BadNode, match="no word"):
        decoded(bytes([0, 248, 3, 1, 2, 237, 1]), words)
    with pytest.raises(BadNode):
        decoded(bytes([0, 248, 1, 77]), words)


@few
@given(some.lists(some.binary(max_size=60), max_size=5), some.integers(1, 40), some.binary(max_size=9))
def test_frames_come_whole_however_they_are_cut(frames, size, routing):
    data = opening(routing) + b"".join(map(framed, frames))
    reader = Frames(intro=True)
    found = [frame for at in range(0, len(data), size) for frame in reader.fed(data[at : at + size])]
    assert found == frames
    assert reader.routing == routing


def test_a_connection_that_starts_with_something_else_is_refused():
    for start in (b"GET /", b"WA\x05\x03", opening(b"way")[:-2] + b"xx"):
        with pytest.raises(BadFrame):
            Frames(intro=True).fed(start)
    with pytest.raises(BadFrame):
        framed(bytes(1 << 24))


def test_a_handshake_proves_the_server_and_carries_both_ways():
    root, static, client = curve.new_pair(), curve.new_pair(), curve.new_pair()
    chain = certificates.chain_for(root, static.public, 1_800_000_000)
    initiator, responder = Initiator(client), Responder(static, chain)
    key, told = initiator.server(responder.answer(initiator.hello()))
    assert certificates.is_vouched_for(told, root.public, key)
    assert not certificates.is_vouched_for(told, curve.new_pair().public, key)
    assert not certificates.is_vouched_for(told, root.public, client.public)
    message, there = initiator.finish(b"payload")
    finished = responder.finish(message)
    assert (finished.static, finished.payload) == (client.public, b"payload")
    for number in range(3):
        assert finished.transport.open(there.seal(b"%d" % number)) == b"%d" % number
        assert there.open(finished.transport.seal(b"%d" % number)) == b"%d" % number
    with pytest.raises(HandshakeFailed):
        there.open(there.seal(b"not from there"))


def test_a_handshake_with_another_implementation_is_the_same_to_the_byte(monkeypatch):
    told = INTEROP["handshake"]
    static, ephemeral = (curve.pair_of(bytes.fromhex(told[name]["private"])) for name in ("static", "ephemeral"))
    monkeypatch.setattr(noise, "new_pair", lambda: ephemeral)
    responder = Responder(static, bytes.fromhex(told["chain"]))
    assert responder.answer(bytes.fromhex(told["hello"])).hex() == told["answer"]
    finished = responder.finish(bytes.fromhex(told["finish"]))
    assert (finished.static.hex(), finished.payload.decode()) == (told["client"], told["payload"])
    frames = Frames(intro=True).fed(b"".join(map(bytes.fromhex, told["frames"])))
    assert [finished.transport.open(frame) for frame in frames] == [b"one", b"two"]


@pytest.mark.parametrize("spoilt", range(4))
def test_a_handshake_with_wrong_bytes_fails(spoilt):
    initiator, responder = Initiator(curve.new_pair()), Responder(curve.new_pair(), b"chain")
    hello = initiator.hello()
    if spoilt == 0:
        with pytest.raises(HandshakeFailed):
            responder.answer(hello[:-1])
        return
    if spoilt == 1:
        with pytest.raises(HandshakeFailed):
            responder.answer(protobuf.message((2, protobuf.message((1, bytes(32))))))
        return
    answer = responder.answer(hello)
    if spoilt == 2:
        with pytest.raises(HandshakeFailed):
            initiator.server(answer[:-1] + bytes([answer[-1] ^ 1]))
        return
    initiator.server(answer)
    message, _ = initiator.finish(b"payload")
    with pytest.raises(HandshakeFailed):
        responder.finish(message[:-1] + bytes([message[-1] ^ 1]))


@few
@given(some.lists(some.tuples(some.integers(1, 500), some.integers(0, 2**64 - 1) | some.binary(max_size=40))))
def test_protobuf_reads_back(written):
    found = protobuf.fields(protobuf.message(*written))
    assert sum(map(len, found.values())) == len(written)
    for number, values in found.items():
        assert values == [value for field, value in written if field == number]


@few
@given(some.binary(max_size=60))
def test_any_other_bytes_are_protobuf_or_refused(data):
    with suppress(protobuf.Malformed):
        protobuf.fields(data)
