"""End-to-end keys: what libsignal wrote opens here, once; both ways round, late and out of order."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from simulated_whatsapp.multidevice.phones import content
from simulated_whatsapp.multidevice.phones.phone import Incoming, Phone, Sealed
from simulated_whatsapp.multidevice.signal.bundles import Bundle, SignedPrekey
from simulated_whatsapp.multidevice.signal.identity import Identity
from simulated_whatsapp.multidevice.signal.ratchet import AlreadyDecrypted, Undecryptable
from simulated_whatsapp.multidevice.signal.sender_keys import GroupKeys
from simulated_whatsapp.multidevice.signal.sessions import incoming, read_first
from simulated_whatsapp.multidevice.wire import protobuf
from simulated_whatsapp.multidevice.wire.curve import KeyPair

INTEROP = json.loads((Path(__file__).parent / "interop.json").read_text())
"""Written by libsignal 6.0.0 and Baileys 7.0.0-rc14, with keys drawn for the purpose."""


def pair(told) -> KeyPair:
    return KeyPair(bytes.fromhex(told["private"]), bytes.fromhex(told["public"]))


def test_a_session_that_libsignal_began_opens_here():
    told = INTEROP["session"]
    messages = [bytes.fromhex(each["data"]) for each in told["said"]]
    first = read_first(messages[0])
    assert (first.prekey, first.signed_prekey, first.registration) == (42, 7, 1234)
    assert first.identity.hex() == told["identity_a"]
    session = incoming(pair(told["identity_b"]), pair(told["signed_b"]), pair(told["prekey_b"]), first)
    assert session.decrypt(first.message) == b"one"
    assert session.decrypt(read_first(messages[1]).message) == b"two"
    with pytest.raises(AlreadyDecrypted):
        session.decrypt(first.message)


def test_a_signed_prekey_of_libsignal_is_its_identitys():
    told = INTEROP["session"]
    signed = SignedPrekey(7, bytes.fromhex(told["signed_b"]["public"]), bytes.fromhex(told["signed_b"]["signature"]))
    assert signed.is_by(bytes.fromhex(told["identity_b"]["public"]))
    assert not signed.is_by(bytes.fromhex(told["identity_a"]))


def test_group_messages_of_another_implementation_open_here_in_any_order():
    keys, told = GroupKeys(), INTEROP["group"]
    keys.learn("1@g.us", "a", bytes.fromhex(told["distribution"]))
    first, second, third = (bytes.fromhex(each["data"]) for each in told["said"])
    assert keys.decrypt("1@g.us", "a", third) == b"drei"
    assert keys.decrypt("1@g.us", "a", first) == b"eins"
    with pytest.raises(AlreadyDecrypted):
        keys.decrypt("1@g.us", "a", third)
    with pytest.raises(Undecryptable, match="not signed"):
        keys.decrypt("1@g.us", "a", second[:-1] + bytes([second[-1] ^ 1]))
    with pytest.raises(Undecryptable, match="not known"):
        keys.decrypt("2@g.us", "a", second)
    assert keys.decrypt("1@g.us", "a", second) == b"zwei"


@settings(deadline=None, max_examples=25)
@given(some.lists(some.tuples(some.booleans(), some.booleans()), max_size=30), some.randoms(use_true_random=False))
def test_everything_said_opens_once_in_whatever_order_it_comes(turns, order):
    """Each turn: who speaks, and whether the other side has its post delivered afterwards."""
    sides = {True: Identity(), False: Identity()}
    sides[True].open("False", sides[False].bundle())
    sides[False].open("True", sides[True].bundle())
    post = {True: [], False: []}
    for number, (speaker, delivered) in enumerate(turns):
        kind, data = sides[speaker].encrypt(str(not speaker), b"%d" % number)
        post[not speaker].append((kind, data, b"%d" % number))
        if delivered:
            deliver(sides[not speaker], str(speaker), post[not speaker], order)
    for reader in (True, False):
        deliver(sides[reader], str(not reader), post[reader], order)


def deliver(reader: Identity, peer: str, waiting: list, order) -> None:
    order.shuffle(waiting)
    for kind, data, plain in waiting:
        assert reader.decrypt(peer, kind, data) == plain
        with pytest.raises(Undecryptable):
            reader.decrypt(peer, kind, data)
    waiting.clear()


def test_the_same_bytes_are_told_from_bytes_that_do_not_open():
    ana, ben = Identity(), Identity()
    ana.open("ben", ben.bundle())
    kind, data = ana.encrypt("ben", b"hello")
    assert ben.decrypt("ana", kind, data) == b"hello"
    with pytest.raises(AlreadyDecrypted):
        ben.decrypt("ana", kind, data)
    ben.forget("ana")
    with pytest.raises(Undecryptable) as lost:
        ben.decrypt("ana", kind, data)
    assert not isinstance(lost.value, AlreadyDecrypted)


def test_a_message_that_was_changed_on_its_way_leaves_the_session_as_it_was():
    ana, ben = Identity(), Identity()
    ana.open("ben", ben.bundle())
    for writer, reader, name, peer in ((ana, ben, "ana", "ben"), (ben, ana, "ben", "ana"), (ana, ben, "ana", "ben")):
        for text in (b"one", b"two"):
            kind, data = writer.encrypt(peer, text)
            with pytest.raises(Undecryptable):
                reader.decrypt(name, kind, data[:-1] + bytes([data[-1] ^ 1]))
            assert reader.decrypt(name, kind, data) == text


def test_a_forged_bundle_is_refused():
    ana, ben, eve = Identity(), Identity(), Identity()
    forged = Bundle(ben.registration, ben.pair.public, eve.current, None)
    with pytest.raises(Undecryptable, match="not signed by its identity"):
        ana.open("ben", forged)


def test_a_prekey_is_good_for_one_session():
    ana, cem, ben = Identity(), Identity(), Identity()
    bundle = ben.bundle()
    for writer in (ana, cem):
        writer.open("ben", bundle)
    assert ben.decrypt("ana", *ana.encrypt("ben", b"first come")) == b"first come"
    with pytest.raises(Undecryptable, match="was used"):
        ben.decrypt("cem", *cem.encrypt("ben", b"too late"))


def test_sessions_without_a_one_time_prekey_work():
    ana, ben = Identity(), Identity()
    ana.open("ben", ben.bundle(with_prekey=False))
    ben.rotate()
    assert ben.decrypt("ana", *ana.encrypt("ben", b"hello")) == b"hello"


def test_what_phones_show_is_read_from_the_message():
    def text(inner):
        return content.read_content(inner)

    key = protobuf.message((1, "628111@s.whatsapp.net"), (3, "3EB0"))
    assert text(content.text_message("hi")).text == "hi"
    assert text(protobuf.message((6, protobuf.message((1, "with a link"))))).text == "with a link"
    image = protobuf.message((3, protobuf.message((3, "a caption"))))
    assert (text(image).kind, text(image).text) == ("image", "a caption")
    once = protobuf.message((55, protobuf.message((1, image))))
    assert text(once).text == "a caption"
    reaction = text(protobuf.message((46, protobuf.message((1, key), (2, "👍")))))
    assert (reaction.kind, reaction.text, reaction.about) == ("reaction", "👍", "3EB0")
    revoked = text(protobuf.message((12, protobuf.message((1, key), (2, 0)))))
    assert (revoked.kind, revoked.about) == ("revoke", "3EB0")
    edited = text(protobuf.message((12, protobuf.message((1, key), (2, 14), (14, content.text_message("better"))))))
    assert (edited.kind, edited.text, edited.about) == ("edit", "better", "3EB0")
    copy = text(content.own_copy("628222@s.whatsapp.net", content.text_message("mine")))
    assert (copy.text, copy.sent_to) == ("mine", "628222@s.whatsapp.net")
    assert text(content.with_sender_key("1@g.us", b"key")).kind == "nothing"
    assert text(protobuf.message((99, b""))).kind == "other"


@settings(deadline=None)
@given(some.binary(max_size=60))
def test_padding_comes_off_again(data):
    assert content.unpadded(content.padded(data)) == data


def test_wrong_padding_is_refused():
    for plain in (b"", b"abc\x00", b"a\x11"):
        with pytest.raises(protobuf.Malformed):
            content.unpadded(plain)


def test_a_phone_asks_a_limited_number_of_times():
    phone = Phone("628222")
    lost = Incoming("3EB0", "628111:1", "628222", (Sealed("msg", b"\x33garbage"),))
    assert [phone.read(lost).retry for _ in range(7)] == [1, 2, 3, 4, 5, 0, 0]
