"""Linking, logging in, and how connections end."""

import asyncio
import base64
import json

import pytest

from simulated_whatsapp.multidevice.wire import protobuf
from simulated_whatsapp.multidevice.wire.curve import KeyPair
from simulated_whatsapp.multidevice.wire.nodes import leaf, node
from tests.simulated_whatsapp.multidevice.companion import Companion, admin, ledger

ANA, BEN = "628111", "628222"


async def test_linked_devices_are_numbered_and_log_in(whatsapp, linked):
    first, second = await linked(ANA), await linked(ANA)
    assert (first.name, second.name) == ("628111:1", "628111:2")
    told = (await admin(whatsapp, "devices"))["devices"]
    assert [(device["device"], device["live"], device["prekeys"]) for device in told] == [
        ("628111:1", True, 20),
        ("628111:2", True, 20),
    ]


async def test_a_code_is_scanned_once_and_only_while_it_is_shown(whatsapp):
    device = Companion()
    await device.connect(whatsapp, device.registration())
    code = await device.code()
    with pytest.raises(ValueError, match="nobody shows this code"):
        await admin(whatsapp, "scan", {"qr": code.replace(code[:4], "AAAA"), "phone": ANA})
    with pytest.raises(ValueError, match="four parts"):
        await admin(whatsapp, "scan", {"qr": "nonsense", "phone": ANA})
    await admin(whatsapp, "scan", {"qr": code, "phone": ANA})
    with pytest.raises(ValueError, match="nobody shows this code"):
        await admin(whatsapp, "scan", {"qr": code, "phone": ANA})
    await device.until_ended()


async def test_a_code_of_another_clients_keys_is_refused(whatsapp):
    device, other = Companion(), Companion()
    await device.connect(whatsapp, device.registration())
    code = await device.code()
    other.heard = device.heard
    with pytest.raises(ValueError, match="nobody shows this code"):
        await admin(whatsapp, "scan", {"qr": await other.code(), "phone": ANA})
    assert code
    await device.close()


async def test_a_newcomer_replaces_the_incumbent(whatsapp, linked):
    ana = await linked(ANA, label="?holder=a")
    twin = Companion()
    for name in ("identity", "noise", "number", "device", "signed_identity"):
        setattr(twin, name, getattr(ana, name))
    await twin.login(whatsapp, "?holder=b")
    last = await ana.until_ended()
    assert (last.tag, last.child("conflict").get("type")) == ("stream:error", "replaced")
    assert [line["label"] for line in await ledger(whatsapp, "ended") if line["why"] == "replaced"] == [{"holder": "a"}]
    await twin.send(BEN, "3EB0C1", "mine now")
    await twin.close()


async def test_a_login_with_another_key_is_refused(whatsapp, linked):
    ana = await linked(ANA)
    thief = Companion()
    thief.number, thief.device = ana.number, ana.device
    refused = await thief.login(whatsapp)
    assert (refused.tag, refused.get("reason")) == ("failure", "401")
    await thief.until_ended()
    assert (await admin(whatsapp, "devices"))["devices"][0]["live"]


async def test_a_removed_device_is_told_and_refused_from_then_on(whatsapp, linked):
    ana = await linked(ANA)
    await admin(whatsapp, "remove-device", {"device": ana.name})
    last = await ana.until_ended()
    assert (last.get("code"), last.child("conflict").get("type")) == ("401", "device_removed")
    assert (await ana.login(whatsapp)).get("reason") == "401"
    await ana.until_ended()
    assert [str(jid) for jid in await (await linked(BEN)).devices_of(ANA)] == ["628111@s.whatsapp.net"]


async def test_a_device_unlinks_itself(whatsapp, linked):
    ana = await linked(ANA)
    jid = f"{ana.name}@s.whatsapp.net"
    removal = node("remove-companion-device", jid=jid, reason="user_initiated")
    await ana.say(node("iq", removal, to="s.whatsapp.net", type="set", xmlns="md", id="1"))
    await ana.until_ended()
    assert (await admin(whatsapp, "devices"))["devices"] == []


@pytest.mark.parametrize(("why", "code"), [("restart", "515"), ("unavailable", "503")])
async def test_connections_end_with_a_code(whatsapp, linked, why, code):
    ana = await linked(ANA)
    await admin(whatsapp, "end", {"device": ana.name, "why": why})
    assert (await ana.until_ended()).get("code") == code
    assert (await ana.login(whatsapp)).tag == "success"


async def test_a_cut_says_nothing(whatsapp, linked):
    ana = await linked(ANA)
    before = list(ana.heard)
    await admin(whatsapp, "end", {"device": ana.name, "why": "cut"})
    await ana.until_ended()
    assert ana.heard == before


async def test_a_banned_number_stays_out_until_it_is_pardoned(whatsapp, linked):
    ana = await linked(ANA)
    await admin(whatsapp, "end", {"device": ana.name, "why": "banned"})
    assert (await ana.until_ended()).get("reason") == "403"
    assert (await ana.login(whatsapp)).get("reason") == "403"
    await ana.until_ended()
    await admin(whatsapp, "pardon", {"phone": ANA})
    assert (await ana.login(whatsapp)).tag == "success"


async def test_logins_are_refused_or_ended_as_often_as_was_armed(whatsapp, linked):
    ana = await linked(ANA)
    await ana.close()
    await admin(whatsapp, "arm", {"fault": "refuse_login", "code": 503, "times": 2})
    for _ in range(2):
        assert (await ana.login(whatsapp)).get("reason") == "503"
        await ana.until_ended()
    await admin(whatsapp, "arm", {"fault": "end_after_login", "code": 515, "times": 1})
    payload = protobuf.message((1, int(ana.number)), (18, ana.device))
    await ana.connect(whatsapp, payload)
    assert (await ana.until_ended()).get("code") == "515"
    assert (await ana.login(whatsapp)).tag == "success"


async def test_logins_beyond_the_rate_are_throttled(whatsapp, linked):
    ana, ben = await linked(ANA), await linked(BEN)
    await ana.close()
    await ben.close()
    await asyncio.sleep(1.0)  # the logins of linking are out of the second that counts
    await admin(whatsapp, "rules", {"logins_per_second": 1})
    assert (await ana.login(whatsapp)).tag == "success"
    assert (await ben.login(whatsapp)).get("reason") == "429"
    await ben.until_ended()


async def test_a_routing_prefix_is_understood(whatsapp, linked):
    ana = await linked(ANA, routing=b"\x08\x0c\x08\x05")
    assert (await ana.send(BEN, "3EB0C2", "by a way of its own")).get("error") == ""


async def test_questions_go_unanswered_when_armed_and_orders_have_bounds(whatsapp, linked):
    ana = await linked(ANA)
    await admin(whatsapp, "arm", {"fault": "no_answer", "device": ana.name})
    await ana.say(node("iq", node("ping"), type="get", xmlns="w:p", id="lost"))
    await ana.ask("w:p", "get", node("ping"))
    assert ana.answer("iq", "lost") is None
    for order in ({"fault": "drop_ack", "times": 0}, {"fault": "drop_ack", "seconds": 1e9}, {"fault": "meteor"}, {}):
        with pytest.raises(ValueError, match=r"armed for|meteor|fault"):
            await admin(whatsapp, "arm", order)
    with pytest.raises(ValueError, match="is no rule"):
        await admin(whatsapp, "rules", {"gravity": 9.81})


async def test_prekeys_run_low_then_out_and_messages_go_on(whatsapp, linked):
    ben = await linked(BEN, prekeys=2)
    await admin(whatsapp, "rules", {"prekeys_low": 2})
    for number in range(3):
        await admin(whatsapp, "write", {"from": f"62833{number}", "to": BEN, "text": f"from {number}"})
    await ben.until(lambda: len(ben.inbox) == 3)
    low = [each for each in ben.all("notification") if each.get("type") == "encrypt"]
    assert [each.child("count").get("value") for each in low] == ["1", "0"]
    counted = await ben.ask("encrypt", "get", node("count"))
    assert counted.child("count").get("value") == "0"
    ana = await linked(ANA)
    assert (await ana.bundle_of((await ana.devices_of(BEN))[1])).prekey is None


async def test_a_signed_prekey_is_rotated_and_a_forged_one_refused(whatsapp, linked):
    ana, ben = await linked(ANA), await linked(BEN)
    fresh = ben.identity.rotate()
    number, value = leaf("id", fresh.id.to_bytes(3, "big")), leaf("value", fresh.public)
    forged = node("rotate", node("skey", number, value, leaf("signature", bytes(64))))
    assert (await ben.ask("encrypt", "set", forged)).get("type") == "error"
    right = node("rotate", node("skey", number, value, leaf("signature", fresh.signature)))
    assert (await ben.ask("encrypt", "set", right)).get("type") == "result"
    assert (await ana.bundle_of((await ana.devices_of(BEN))[1])).signed == fresh


async def test_keys_are_digested_once_there_are_some(whatsapp, linked):
    ana = await linked(ANA, prekeys=0)
    assert (await ana.ask("encrypt", "get", node("digest"))).child("error").get("code") == "404"
    await ana.publish(3)
    digest = (await ana.ask("encrypt", "get", node("digest"))).child("digest")
    assert len(digest.child("list").children) == 3


async def test_a_number_that_is_not_on_whatsapp_has_no_devices(whatsapp, linked):
    ana = await linked(ANA)
    await admin(whatsapp, "phone", {"phone": BEN, "registered": False})
    query = node("query", node("contact"), node("devices", version="2"))
    users = node("list", *(node("user", leaf("contact", number.encode())) for number in ("+628222", "+628333")))
    answer = await ana.ask("usync", "get", node("usync", query, users))
    ben, cem = answer.children[0].child("list").children
    assert (ben.child("contact").get("type"), ben.child("devices")) == ("out", None)
    assert (cem.child("contact").get("type"), cem.get("jid")) == ("in", "628333@s.whatsapp.net")


async def test_a_number_with_a_passkey_has_the_client_asked_for_it(whatsapp):
    await admin(whatsapp, "phone", {"phone": ANA, "passkey": True})
    device = Companion()
    await device.connect(whatsapp, device.registration())
    with pytest.raises(ValueError, match="by its passkey"):
        await admin(whatsapp, "scan", {"qr": await device.code(), "phone": ANA})
    asked = await device.until(lambda: next(iter(device.all("notification")), None))
    assert asked.get("type") == "passkey_prologue_request"
    assert json.loads(asked.bytes_of("passkey_request_options"))["rpId"] == "whatsapp.com"
    assert device.open
    await device.close()


async def test_devices_are_linked_without_a_client_at_hand(whatsapp):
    first, second = (await admin(whatsapp, "preregister", {"phones": [ANA, ANA]}))["credentials"]
    assert (first["me"]["id"], second["me"]["id"]) == ("628111:1@s.whatsapp.net", "628111:2@s.whatsapp.net")
    device = Companion()
    device.number, device.device = ANA, 1
    device.noise, device.identity.pair = pair_in(first["noiseKey"]), pair_in(first["signedIdentityKey"])
    names = ("details", "accountSignatureKey", "accountSignature", "deviceSignature")
    signed = [(number, told(first["account"][name])) for number, name in enumerate(names, start=1)]
    device.signed_identity = protobuf.message(*signed)
    device.identity.rotate()
    assert (await device.login(whatsapp)).tag == "success"
    await device.send(BEN, "3EB0H1", "ready made")
    [line] = [line for line in await ledger(whatsapp, "shown") if line["recipient"] == BEN]
    assert line["sender"] == "628111:1"
    await device.close()


def told(value: dict[str, str]) -> bytes:
    return base64.b64decode(value["data"])


def pair_in(value: dict[str, dict[str, str]]) -> KeyPair:
    return KeyPair(told(value["private"]), told(value["public"]))
