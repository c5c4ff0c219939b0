"""Devices that are linked without a client at hand, and the credentials that a client has of them.

The credentials are those of Baileys 7.0.0-rc14 (``creds.json``): what it would have kept had it been linked itself,
with no prekeys published yet. Bytes are ``{"type": "Buffer", "data": base64}``.
"""

import base64
import os
from typing import Any

from simulated_whatsapp.multidevice.phones.linking import counter_signed, vouched
from simulated_whatsapp.multidevice.protocol.service import Service
from simulated_whatsapp.multidevice.signal.identity import Identity
from simulated_whatsapp.multidevice.wire import protobuf
from simulated_whatsapp.multidevice.wire.curve import KeyPair, new_pair, typed
from simulated_whatsapp.multidevice.wire.jids import HIDDEN, NUMBERS
from simulated_whatsapp.multidevice.world.people import LinkedDevice


def ready_made(service: Service, number: str) -> dict[str, Any]:
    """Link a new device to a number; its credentials."""
    world = service.world
    person, keys, noise, secret = world.people.person(number), Identity(), new_pair(), os.urandom(32)
    place, person.next_device = person.next_device, person.next_device + 1
    sealed = vouched(person.phone.identity.pair, keys.pair.public, secret, place, world.clock())
    signed = counter_signed(keys.pair, sealed, secret)
    person.devices[place] = LinkedDevice(
        number, place, noise.public, keys.pair.public, keys.registration, keys.current, signed
    )
    service.contacts.changed(person, "add", place)
    world.events.write("linked", device=person.devices[place].name, label={})
    lid = str(person.address(HIDDEN, place))
    who = {"me": {"id": str(person.address(NUMBERS, place)), "lid": lid}, "platform": "android"}
    account_key = _bytes(typed(person.phone.identity.pair.public))
    known = {"identifier": {"name": lid, "deviceId": 0}, "identifierKey": account_key}
    return _keys(keys, noise, secret) | who | {"account": _account(signed), "signalIdentities": [known]} | _FRESH


_FRESH: dict[str, Any] = {
    "processedHistoryMessages": [],
    "nextPreKeyId": 1,
    "firstUnuploadedPreKeyId": 1,
    "accountSyncCounter": 0,
    "accountSettings": {"unarchiveChats": False},
    "registered": False,
}


def _keys(keys: Identity, noise: KeyPair, secret: bytes) -> dict[str, Any]:
    signed = keys.current
    return {
        "noiseKey": _pair(noise),
        "pairingEphemeralKeyPair": _pair(new_pair()),
        "signedIdentityKey": _pair(keys.pair),
        "signedPreKey": {
            "keyPair": _pair(keys.signed_pair(signed.id)),
            "signature": _bytes(signed.signature),
            "keyId": signed.id,
        },
        "registrationId": keys.registration,
        "advSecretKey": base64.b64encode(secret).decode(),
    }


def _account(signed: bytes) -> dict[str, Any]:
    given = protobuf.fields(signed)
    names = ("details", "accountSignatureKey", "accountSignature", "deviceSignature")
    return {name: _bytes(protobuf.part(given, number) or b"") for number, name in enumerate(names, start=1)}


def _pair(pair: KeyPair) -> dict[str, Any]:
    return {"private": _bytes(pair.private), "public": _bytes(pair.public)}


def _bytes(data: bytes) -> dict[str, str]:
    return {"type": "Buffer", "data": base64.b64encode(data).decode()}
