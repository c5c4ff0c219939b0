"""Groups, through the simulated WhatsApp: one key for each sender, given to each device once."""

import pytest

from simulated_whatsapp.multidevice.phones import content
from simulated_whatsapp.multidevice.wire.jids import HIDDEN, Jid
from simulated_whatsapp.multidevice.wire.nodes import Node, leaf, node
from simulated_whatsapp.multidevice.world.people import hidden_of
from tests.simulated_whatsapp.multidevice.companion import Companion, admin, ledger

ANA, BEN, CEM = "628111", "628222", "628333"


async def made(whatsapp, *members: str) -> str:
    return (await admin(whatsapp, "group", {"subject": "The three", "members": list(members)}))["group"]


async def to_group(device: Companion, group: str, message_id: str, text: str, *, keys_for=()) -> Node:
    """Send to a group; the devices of the numbers in ``keys_for`` get this device's key with it."""
    distribution = content.padded(content.with_sender_key(group, device.groups.distribution(group)))
    parts = []
    for number in keys_for:
        jid = str(Jid(hidden_of(number), HIDDEN))
        if not device.identity.knows(jid):
            device.identity.open(jid, await device.bundle_of(Jid.read(jid)))
        kind, data = device.identity.encrypt(jid, distribution)
        parts.append(node("to", leaf("enc", data, v="2", type=kind), jid=jid))
    sealed = device.groups.encrypt(group, content.padded(content.text_message(text)))
    message = node(
        "message",
        node("participants", *parts),
        leaf("enc", sealed, v="2", type="skmsg"),
        leaf("device-identity", device.signed_identity),
        id=message_id,
        to=group,
        type="text",
    )
    return await device.transmit(message)


async def shown(whatsapp, message_id: str) -> set[str]:
    return {line["recipient"] for line in await ledger(whatsapp, "shown") if line["message_id"] == message_id}


async def test_a_group_message_is_shown_by_every_members_phone(whatsapp, linked):
    ana, group = await linked(ANA), await made(whatsapp, ANA, BEN, CEM)
    await to_group(ana, group, "3EB0D1", "to all", keys_for=(ANA, BEN, CEM))
    await to_group(ana, group, "3EB0D2", "and again")
    assert await shown(whatsapp, "3EB0D1") == await shown(whatsapp, "3EB0D2") == {ANA, BEN, CEM}
    receipts = [each for each in ana.all("receipt", "3EB0D2") if each.get("participant")]
    assert {each.get("from") for each in receipts} <= {group}


async def test_a_phone_without_the_key_asks_for_the_message_again(whatsapp, linked):
    ana, group = await linked(ANA), await made(whatsapp, ANA, BEN, CEM)
    await to_group(ana, group, "3EB0D3", "not for Cem", keys_for=(ANA, BEN))
    assert await shown(whatsapp, "3EB0D3") == {ANA, BEN}
    retry = await ana.until(lambda: next((each for each in ana.all("receipt") if each.get("type") == "retry"), None))
    assert (retry.get("from"), retry.get("participant")) == (group, f"{hidden_of(CEM)}@lid")


async def test_what_phones_write_to_a_group_is_read_by_its_devices(whatsapp, linked):
    ana, ben, group = await linked(ANA), await linked(BEN), await made(whatsapp, ANA, BEN, CEM)
    for text in ("first", "second"):
        await admin(whatsapp, "write", {"from": CEM, "to": group, "text": text})
    for device in (ana, ben):
        await device.until(lambda device=device: len(device.inbox) == 2)
        assert [text for _, text in device.inbox] == ["first", "second"]
    kinds = [[enc.get("type") for enc in message.all("enc")] for message in ana.all("message")]
    assert kinds == [["pkmsg", "skmsg"], ["skmsg"]]


async def test_a_device_that_lost_the_key_gets_message_and_key_again(whatsapp, linked):
    ana, group = await linked(ANA), await made(whatsapp, ANA, CEM)
    await admin(whatsapp, "write", {"from": CEM, "to": group, "text": "first"})
    await ana.until(lambda: ana.inbox)
    ana.groups.forget()
    ana.receipts = False
    await admin(whatsapp, "write", {"from": CEM, "to": group, "text": "second", "id": "3AD4"})
    message = await ana.until(lambda: ana.answer("message", "3AD4"))
    ana.receipts = True
    await ana.receipt(message, "retry", node("retry", v="1", count="1", id="3AD4", t="1"))
    await ana.until(lambda: len(ana.inbox) == 2)
    assert ana.inbox[1] == ("3AD4", "second")


async def test_groups_are_made_asked_for_and_changed_by_devices(whatsapp, linked):
    ana, ben = await linked(ANA), await linked(BEN)
    jids = [node("participant", jid=f"{number}@s.whatsapp.net") for number in (BEN, CEM)]
    create = Node("create", {"subject": "Made here"}, tuple(jids))
    answer = await asked(ana, "set", "@g.us", create)
    group = f"{answer.child('group').get('id')}@g.us"
    assert (await ben.until(lambda: next(iter(ben.all("notification")), None))).child("create") is not None
    told = (await asked(ben, "get", group, node("query", request="interactive"))).child("group")
    assert [each.get("phone_number").partition("@")[0] for each in told.all("participant")] == [ANA, BEN, CEM]
    await asked(ana, "set", group, node("remove", jids[1]))
    told = (await asked(ana, "get", "@g.us", node("participating"))).child("groups")
    assert [each.get("size") for each in told.children] == ["2"]
    await asked(ben, "set", "@g.us", node("leave", node("group", id=group)))
    assert (await asked(ben, "get", group, node("query"))).child("error").get("code") == "403"
    assert (await asked(ben, "get", "1@g.us", node("query"))).child("error").get("code") == "404"


async def asked(device: Companion, kind: str, to: str, *content: Node) -> Node:
    number = f"g{len(device.heard)}"
    await device.say(node("iq", *content, to=to, type=kind, xmlns="w:g2", id=number))
    return await device.until(lambda: device.answer("iq", number))


async def test_who_is_in_no_such_group_sends_nothing_to_it(whatsapp, linked):
    ana, group = await linked(ANA), await made(whatsapp, BEN, CEM)
    assert (await to_group(ana, group, "3EB0D5", "let me in")).get("error") == "400"
    assert await ledger(whatsapp, "accepted", "shown") == []
    with pytest.raises(ValueError, match="is in no group"):
        await admin(whatsapp, "write", {"from": ANA, "to": group, "text": "let me in"})
