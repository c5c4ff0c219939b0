"""What people are told of each other: changes of devices, and tokens of trust."""

from simulated_whatsapp.multidevice.wire.nodes import leaf, node
from tests.simulated_whatsapp.multidevice.companion import Companion, admin, ledger

ANA, BEN = "628111", "628222"


def news(device: Companion, kind: str) -> list:
    return [each for each in device.all("notification") if each.get("type") == kind]


async def test_whoever_asked_for_devices_hears_of_new_and_removed_ones(whatsapp, linked):
    ana, ben = await linked(ANA), await linked(BEN)
    await ana.send(BEN, "3EB0F1", "hello")
    second = await linked(BEN)
    added = await ana.until(lambda: news(ana, "devices"))
    assert added[0].child("add").children[0].get("jid") == f"{second.name}@s.whatsapp.net"
    assert (await ben.until(lambda: news(ben, "devices")))[0].child("add") is not None
    await admin(whatsapp, "remove-device", {"device": second.name})
    await ana.until(lambda: len(news(ana, "devices")) == 2)
    assert news(ana, "devices")[1].child("remove").children[0].get("jid") == f"{second.name}@s.whatsapp.net"
    assert news(second, "devices") == []


async def test_where_tokens_are_wanted_a_stranger_is_refused_until_it_was_written_to(whatsapp, linked):
    ana = await linked(ANA)
    await admin(whatsapp, "rules", {"tokens_required": True})
    assert (await ana.send(BEN, "3EB0F2", "who are you?")).get("error") == "463"
    await admin(whatsapp, "write", {"from": BEN, "to": ANA, "text": "a friend"})
    [told] = await ana.until(lambda: news(ana, "privacy_token"))
    token = told.child("tokens").bytes_of("token")
    message = await ana.sealed(BEN, "3EB0F3", "good to know")
    shown = node("message", *message.children, leaf("tctoken", token)).with_attrs(**message.attrs)
    assert (await ana.transmit(shown)).get("error") == ""
    assert {line["text"] for line in await ledger(whatsapp, "shown")} == {"good to know"}


async def test_a_device_trusts_in_its_numbers_name(whatsapp, linked):
    ana, ben = await linked(ANA), await linked(BEN)
    token = node("token", jid=f"{BEN}@s.whatsapp.net", t="1", type="trusted_contact")
    await ana.ask("privacy", "set", node("tokens", token))
    [told] = await ben.until(lambda: news(ben, "privacy_token"))
    assert told.get("from") == f"{ANA}@s.whatsapp.net"


async def test_an_address_that_makes_no_sense_is_refused_and_the_connection_goes_on(whatsapp, linked):
    ana = await linked(ANA)
    token = node("token", jid="nobody", type="trusted_contact")
    assert (await ana.ask("privacy", "set", node("tokens", token))).child("error").get("code") == "400"
    assert (await ana.ask("w:p", "get", node("ping"))).get("type") == "result"
