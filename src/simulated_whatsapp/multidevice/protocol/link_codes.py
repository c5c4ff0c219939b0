"""Linking by a typed code: between the client that shows one and the phone that it is typed into."""

import secrets

from simulated_whatsapp.multidevice.phones.link_code import TypedCode
from simulated_whatsapp.multidevice.phones.linking import BadCode
from simulated_whatsapp.multidevice.protocol.pairing import Pairing, Registration
from simulated_whatsapp.multidevice.wire.jids import NUMBERS, Jid
from simulated_whatsapp.multidevice.wire.nodes import Node, leaf, node
from simulated_whatsapp.multidevice.world.world import World

NAME = "link_code_companion_reg"


class LinkCodes:
    """Every client that waits for its code to be typed."""

    def __init__(self, world: World, pairing: Pairing) -> None:
        self._world, self._pairing = world, pairing

    def said(self, registration: Registration, told: Node) -> tuple[Node, ...]:
        """A client shows a code, or answers to a phone that it was typed into."""
        if told.get("stage") == "companion_hello":
            registration.wrapped = told.bytes_of("link_code_pairing_wrapped_companion_ephemeral_pub")
            registration.number = Jid.read(told.get("jid")).user
            ref = leaf("link_code_pairing_ref", registration.refs[0].encode())
            return (node(NAME, ref, stage="companion_hello"),)
        if told.get("stage") == "companion_finish":
            self._finish(registration, told)
        return ()

    def entered(self, code: str, number: str) -> Registration:
        """Somebody types a code into their phone. Raises ``BadCode`` where no client waits for this number's."""
        found = next((each for each in self._pairing.waiting() if each.number == number and each.wrapped), None)
        if found is None:
            raise BadCode(f"no client waits for a code of {number}")
        account = self._world.people.person(number).phone.identity.pair
        found.typed = TypedCode(account, code, found.wrapped)
        told = node(
            NAME,
            leaf("link_code_pairing_wrapped_primary_ephemeral_pub", found.typed.wrapped),
            leaf("primary_identity_pub", account.public),
            leaf("link_code_pairing_ref", found.refs[0].encode()),
            stage="primary_hello",
        )
        asked = node("notification", told, from_=NUMBERS, type=NAME, id=secrets.token_hex(8), t=self._world.seconds)
        found.line.send(asked)
        return found

    def _finish(self, registration: Registration, told: Node) -> None:
        if registration.typed is None:
            return
        try:
            bundle = told.bytes_of("link_code_pairing_wrapped_key_bundle")
            secret = registration.typed.secret(bundle, registration.identity)
            self._pairing.link(registration, registration.number, secret)
        except BadCode as wrong:
            if not registration.done.done():
                registration.done.set_exception(wrong)
            registration.line.end(node("stream:error", code="401"))
