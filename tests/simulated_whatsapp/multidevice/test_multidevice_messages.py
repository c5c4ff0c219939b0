"""Messages through the simulated WhatsApp, as linked devices and phones meet them."""

from simulated_whatsapp.multidevice.wire.nodes import Node, leaf, node
from tests.simulated_whatsapp.multidevice.companion import Companion, admin, ledger

ANA, BEN = "628111", "628222"


async def shown(server, event="shown", number=BEN):
    return [(line["message_id"], line["text"]) for line in await ledger(server, event) if line["recipient"] == number]


async def test_a_message_is_shown_once_by_the_recipients_phone_and_as_a_copy_by_ones_own(whatsapp, linked):
    ana = await linked(ANA, label="?holder=a&epoch=3")
    ack = await ana.send(BEN, "3EB0A1", "hello")
    assert "error" not in ack.attrs
    accepted, theirs, own = await ledger(whatsapp, "accepted", "shown")
    assert accepted["label"] == theirs["label"] == {"holder": "a", "epoch": "3"}
    assert (theirs["recipient"], theirs["text"], theirs["own_copy"]) == (BEN, "hello", False)
    assert (own["recipient"], own["text"], own["own_copy"]) == (ANA, "hello", True)
    delivered = await ana.until(lambda: ana.answer("receipt", "3EB0A1"))
    assert delivered.get("from") == f"{BEN}@s.whatsapp.net"


async def test_the_same_bytes_are_refused_by_the_recipients_ratchet(whatsapp, linked):
    ana = await linked(ANA)
    message = await ana.sealed(BEN, "3EB0A2", "once")
    await ana.transmit(message)
    await ana.transmit(message)
    assert await shown(whatsapp) == [("3EB0A2", "once")]
    first, second = await ledger(whatsapp, "accepted")
    assert first["frame_sha256"] == second["frame_sha256"]
    assert [line["recipient"] for line in await ledger(whatsapp, "duplicate")].count(BEN) == 1


async def test_other_bytes_under_the_same_id_are_dropped_by_the_recipient_alone(whatsapp, linked):
    ana = await linked(ANA)
    await ana.send(BEN, "3EB0A3", "once")
    await ana.send(BEN, "3EB0A3", "once")
    assert await shown(whatsapp) == await shown(whatsapp, "repeated") == [("3EB0A3", "once")]
    await admin(whatsapp, "rules", {"drop_repeats": False})
    await ana.send(BEN, "3EB0A3", "once")
    assert len(await shown(whatsapp)) == 2


async def test_a_dropped_acknowledgement_leaves_the_message_shown(whatsapp, linked):
    ana = await linked(ANA)
    await admin(whatsapp, "arm", {"fault": "drop_ack", "device": ana.name})
    message = await ana.sealed(BEN, "3EB0A4", "no answer")
    await ana.say(message)
    await ana.until(lambda: ana.answer("receipt", "3EB0A4"))
    assert ana.count("ack", "3EB0A4") == 0
    await ana.transmit(message)
    assert await shown(whatsapp) == [("3EB0A4", "no answer")]
    assert [line["event"] for line in await ledger(whatsapp, "accepted", "acknowledged")] == [
        "accepted",
        "accepted",
        "acknowledged",
    ]


async def test_an_acknowledgement_may_come_late(whatsapp, linked):
    ana = await linked(ANA)
    await admin(whatsapp, "arm", {"fault": "delay_ack", "seconds": 0.2})
    await ana.say(await ana.sealed(BEN, "3EB0A7", "patience"))
    await ana.until(lambda: ana.answer("receipt", "3EB0A7"))
    assert ana.count("ack", "3EB0A7") == 0
    await ana.until(lambda: ana.count("ack", "3EB0A7"))


async def test_a_frozen_connection_hears_nothing_until_it_is_cut(whatsapp, linked):
    ana = await linked(ANA)
    await admin(whatsapp, "arm", {"fault": "freeze", "seconds": 600, "device": ana.name})
    await ana.ask("w:p", "get", node("ping"))
    await ana.say(node("iq", node("ping"), type="get", xmlns="w:p", id="into the ice"))
    await admin(whatsapp, "write", {"from": BEN, "to": ANA, "text": "kept"})
    assert [line["event"] for line in await ledger(whatsapp, "offered")] == ["offered"]
    await admin(whatsapp, "end", {"device": ana.name, "why": "cut"})
    await ana.until_ended()
    assert (ana.inbox, ana.answer("iq", "into the ice")) == ([], None)
    await ana.login(whatsapp)
    assert [text for _, text in ana.inbox] == ["kept"]


async def test_a_cut_before_accepting_leaves_nothing_and_one_after_it_everything(whatsapp, linked):
    for fault, expected in (("cut_before_accepting", []), ("cut_after_accepting", [("3EB0A5", "cut")])):
        ana = await linked(ANA)
        await admin(whatsapp, "arm", {"fault": fault, "device": ana.name})
        await ana.say(await ana.sealed(BEN, "3EB0A5", "cut"))
        await ana.until_ended()
        assert await shown(whatsapp) == expected


async def test_an_error_in_the_acknowledgement_means_that_nobody_got_it(whatsapp, linked):
    ana = await linked(ANA)
    await admin(whatsapp, "arm", {"fault": "error_ack", "code": 463})
    ack = await ana.send(BEN, "3EB0A6", "restricted")
    assert ack.get("error") == "463"
    assert await ledger(whatsapp, "accepted", "shown") == []


async def test_a_phone_that_lost_its_sessions_asks_again(whatsapp, linked):
    ana = await linked(ANA)
    await ana.send(BEN, "3EB0B1", "first")
    await admin(whatsapp, "write", {"from": BEN, "to": ANA, "text": "an answer ends the first messages"})
    await ana.until(lambda: ana.inbox)
    await admin(whatsapp, "forget-sessions", {"phone": BEN})
    await ana.send(BEN, "3EB0B2", "second")
    retry = await ana.until(lambda: next((each for each in ana.all("receipt", "3EB0B2")), None))
    assert (retry.get("type"), retry.child("retry").get("count")) == ("retry", "1")
    ana.identity.forget(f"{BEN}@s.whatsapp.net")
    await ana.send(BEN, "3EB0B2", "second")
    assert await shown(whatsapp) == [("3EB0B1", "first"), ("3EB0B2", "second")]


async def test_a_first_message_without_its_identity_is_not_read(whatsapp, linked):
    ana = await linked(ANA)
    ana.signed_identity = b""
    await ana.send(BEN, "3EB0B3", "who is this?")
    [line] = [line for line in await ledger(whatsapp, "undecryptable") if line["recipient"] == BEN]
    assert "prove" in line["why"]


async def test_a_phone_without_network_reads_when_it_is_back(whatsapp, linked):
    ana = await linked(ANA)
    await admin(whatsapp, "phone", {"phone": BEN, "online": False})
    await ana.send(BEN, "3EB0B4", "later")
    assert await shown(whatsapp) == []
    await admin(whatsapp, "phone", {"phone": BEN, "online": True})
    assert await shown(whatsapp) == [("3EB0B4", "later")]


async def test_linked_devices_of_both_sides_get_it(whatsapp, linked):
    ana, other, ben = await linked(ANA), await linked(ANA), await linked(BEN)
    await ana.send(BEN, "3EB0B5", "to all of you")
    for device in (other, ben):
        await device.until(lambda device=device: device.inbox)
        assert device.inbox == [("3EB0B5", "to all of you")]
    assert ana.inbox == []
    told = await ana.until(lambda: [each for each in ana.all("receipt", "3EB0B5") if ":" in each.get("from")])
    assert told[0].get("from") == f"{ben.name}@s.whatsapp.net"


async def test_what_came_while_the_device_was_away_comes_with_its_next_login(whatsapp, linked):
    ana = await linked(ANA)
    await ana.close()
    texts = [f"text {number}" for number in range(3)]
    for text in texts:
        await admin(whatsapp, "write", {"from": BEN, "to": ANA, "text": text})
    await ana.login(whatsapp)
    assert [text for _, text in ana.inbox] == texts
    marked = ana.all("notification") + ana.all("message")  # the first is a token of trust
    assert [each.get("offline") for each in marked] == ["0", "1", "2", "3"]
    [end] = [each.child("offline") for each in ana.all("ib") if each.child("offline")]
    assert end.get("count") == "4"
    await ana.until(lambda: ana.count("ack") == 3)
    assert (await admin(whatsapp, "devices"))["devices"][0]["waiting"] == 0


async def test_a_message_without_a_receipt_comes_again(whatsapp, linked):
    ana = await linked(ANA, receipts=False)
    await admin(whatsapp, "write", {"from": BEN, "to": ANA, "text": "keep me", "id": "3AF0"})
    await ana.until(lambda: ana.answer("message", "3AF0"))
    await ana.close()
    await ana.login(whatsapp)
    [message] = ana.all("message")
    await ana.take(message)
    assert ana.inbox == [("3AF0", "keep me")]
    await ana.until(lambda: ana.answer("ack", "3AF0"))
    await ana.close()
    await ana.login(whatsapp)
    assert ana.all("message") == []
    assert [line["offline"] for line in await ledger(whatsapp, "offered")] == [False, True]


async def test_a_lost_receipt_has_it_offered_again(whatsapp, linked):
    ana = await linked(ANA)
    await admin(whatsapp, "arm", {"fault": "ignore_receipt", "device": ana.name})
    await admin(whatsapp, "write", {"from": BEN, "to": ANA, "text": "again", "id": "3AF1"})
    await ana.until(lambda: ana.inbox)
    ana.receipts = False
    await ana.close()
    await ana.login(whatsapp)
    assert [message.get("id") for message in ana.all("message")] == ["3AF1"]


async def test_a_device_that_cannot_read_is_written_to_again_under_the_same_id(whatsapp, linked):
    ana = await linked(ANA)
    await admin(whatsapp, "write", {"from": BEN, "to": ANA, "text": "one"})
    await ana.until(lambda: ana.inbox)
    await ana.send(BEN, "3EB0B6", "so that the phone stops to introduce itself")
    ana.identity.forget()
    ana.receipts = False
    await admin(whatsapp, "write", {"from": BEN, "to": ANA, "text": "two", "id": "3AF2"})
    message = await ana.until(lambda: ana.answer("message", "3AF2"))
    ana.receipts = True
    await ask_again(ana, message)
    await ana.until(lambda: len(ana.inbox) > 1)
    assert ana.inbox[1] == ("3AF2", "two")
    assert ana.all("message", "3AF2")[1].children[0].get("count") == "1"


async def ask_again(device: Companion, message) -> None:
    await device.receipt(
        message,
        "retry",
        node("retry", v="1", count="1", id=message.get("id"), t="1"),
        leaf("registration", device.identity.registration.to_bytes(4, "big")),
    )


async def test_a_refused_message_is_forgotten_or_not_as_the_rule_says(whatsapp, linked):
    ana = await linked(ANA, receipts=False)
    for forget, left in ((False, 1), (True, 0)):
        await admin(whatsapp, "rules", {"nacks_forget": forget})
        await admin(whatsapp, "write", {"from": BEN, "to": ANA, "text": "unread", "id": f"3AF3{left}"})
        message = await ana.until(lambda left=left: ana.answer("message", f"3AF3{left}"))
        about = {"class": "message", "id": message.get("id"), "to": message.get("from"), "error": "500"}
        await ana.say(Node("ack", about))
        await ana.ask("w:p", "get")
        assert (await admin(whatsapp, "devices"))["devices"][0]["waiting"] == 1
    assert [line["error"] for line in await ledger(whatsapp, "nacked")] == ["500", "500"]


async def test_what_a_device_shows_to_a_chat_is_told(whatsapp, linked):
    ana = await linked(ANA, label="?holder=a")
    chat = f"{BEN}@s.whatsapp.net"
    await ana.say(Node("chatstate", {"to": chat, "from": f"{ANA}@s.whatsapp.net"}, (node("composing"),)))
    await ana.say(Node("receipt", {"to": chat, "id": "3A01", "type": "read"}))
    await ana.until(lambda: ana.answer("ack", "3A01"))
    [state, read] = await ledger(whatsapp, "chat_state", "receipted")
    assert (state["device"], state["chat"], state["state"]) == (ana.name, chat, "composing")
    assert (read["message_id"], read["receipt"], read["label"]) == ("3A01", "read", {"holder": "a"})
