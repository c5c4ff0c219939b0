"""Linking by a code that somebody types into their phone."""

import asyncio
import os

import pytest

from simulated_whatsapp.multidevice.phones.link_code import unwrapped, wrapped
from simulated_whatsapp.multidevice.wire.curve import agreed, new_pair
from simulated_whatsapp.multidevice.wire.nodes import Node, leaf, node
from simulated_whatsapp.multidevice.wire.secrets import derived, gcm_sealed
from tests.simulated_whatsapp.multidevice.companion import Companion, admin

ANA, BEN, CODE = "628111", "628222", "ABCD1234"
NAME = "link_code_companion_reg"


class CodeCompanion(Companion):
    """A client that shows a code to be typed."""

    async def show(self, server, number: str) -> None:
        self.ephemeral = new_pair()
        await self.connect(server, self.registration())
        await self.code()
        key = leaf("link_code_pairing_wrapped_companion_ephemeral_pub", wrapped(CODE, self.ephemeral.public))
        hello = node(NAME, key, jid=f"{number}@s.whatsapp.net", stage="companion_hello")
        answer = await self.ask("md", "set", hello)
        assert answer.child(NAME).bytes_of("link_code_pairing_ref")

    async def finish(self) -> None:
        told = await self.until(lambda: next(iter(self.all("notification")), None))
        given = told.child(NAME)
        theirs = unwrapped(CODE, given.bytes_of("link_code_pairing_wrapped_primary_ephemeral_pub"))
        account, random, salt = given.bytes_of("primary_identity_pub"), os.urandom(32), os.urandom(32)
        shared, own = agreed(self.ephemeral.private, theirs), self.identity.pair
        key = derived(shared, 32, salt=salt, info=b"link_code_pairing_key_bundle_encryption_key")
        nonce = os.urandom(12)
        bundle = salt + nonce + gcm_sealed(key, nonce, own.public + account + random)
        self.secret = derived(shared + agreed(own.private, account) + random, 32, info=b"adv_secret")
        parts = leaf("link_code_pairing_wrapped_key_bundle", bundle), leaf("companion_identity_public", own.public)
        finish = node(NAME, *parts, stage="companion_finish")
        await self.say(node("iq", finish, to="s.whatsapp.net", type="set", xmlns="md", id="finish"))


async def typed(whatsapp, device: CodeCompanion, code: str, number: str = ANA) -> dict:
    entering = asyncio.create_task(admin(whatsapp, "enter-code", {"code": code, "phone": number}))
    await device.finish()
    return await entering


async def test_a_device_is_linked_by_its_code(whatsapp):
    device = CodeCompanion()
    await device.show(whatsapp, ANA)
    assert (await typed(whatsapp, device, "abcd-1234"))["device"] == "628111:1"
    assert (await device.until_ended()).get("code") == "515"
    assert (await device.login(whatsapp)).tag == "success"
    await device.send(BEN, "3EB0E1", "linked by a code")
    await device.close()


async def test_another_code_is_refused_and_ends_the_attempt(whatsapp):
    device = CodeCompanion()
    await device.show(whatsapp, ANA)
    with pytest.raises(ValueError, match="not the code that the client shows"):
        await typed(whatsapp, device, "AAAA-AAAA")
    assert (await device.until_ended()).get("code") == "401"
    assert (await admin(whatsapp, "devices"))["devices"] == []


async def test_a_code_is_for_the_number_that_it_was_asked_for(whatsapp):
    device = CodeCompanion()
    await device.show(whatsapp, ANA)
    with pytest.raises(ValueError, match="no client waits for a code of 628222"):
        await admin(whatsapp, "enter-code", {"code": CODE, "phone": BEN})
    await device.close()
    with pytest.raises(ValueError, match="no client waits"):
        await admin(whatsapp, "enter-code", {"code": CODE, "phone": ANA})


async def test_a_finish_that_nobody_asked_for_changes_nothing(whatsapp):
    device = CodeCompanion()
    await device.show(whatsapp, ANA)
    finish = Node(NAME, {"stage": "companion_finish"}, (leaf("link_code_pairing_wrapped_key_bundle", bytes(99)),))
    assert (await device.ask("md", "set", finish)).get("type") == "result"
    assert (await admin(whatsapp, "devices"))["devices"] == []
    await device.close()
