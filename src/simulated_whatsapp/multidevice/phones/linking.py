"""How a phone makes another device one of its own: it signs the device's identity, which the device signs in turn.

``ADVSignedDeviceIdentityHMAC`` {1 details, 2 hmac} around ``ADVSignedDeviceIdentity`` {1 details, 2 account's key, 3
account's signature, 4 device's signature} around ``ADVDeviceIdentity`` {1 raw id, 2 time, 3 key index}. As checked by
Baileys 7.0.0-rc14.
"""

import base64
import binascii
import secrets
from dataclasses import dataclass
from functools import lru_cache

from simulated_whatsapp.multidevice.wire import protobuf
from simulated_whatsapp.multidevice.wire.curve import KeyPair, sign, verified
from simulated_whatsapp.multidevice.wire.secrets import authenticated

_ACCOUNT, _DEVICE = b"\x06\x00", b"\x06\x01"


class BadCode(ValueError):
    """What a phone looked at is no code to link a device."""


@dataclass(frozen=True, slots=True)
class ScannedCode:
    """What a code shows: the server's reference, the device's two public keys and its secret."""

    ref: str
    noise: bytes
    identity: bytes
    secret: bytes


def read_code(shown: str) -> ScannedCode:
    """``ref,noise,identity,secret[,platform]``, with an address in front or not. Raises ``BadCode``."""
    parts = shown.rpartition("#")[2].split(",")
    if len(parts) < 4:
        raise BadCode("a code has four parts with commas between them")
    # The reference may hold commas itself.
    fixed = 4 if len(parts[-1]) < 30 and len(parts) > 4 else 3
    try:
        noise, identity, secret = (base64.b64decode(part, validate=True) for part in parts[-fixed:][:3])
    except (binascii.Error, ValueError) as wrong:
        raise BadCode("the keys of the code are no base64") from wrong
    return ScannedCode(",".join(parts[:-fixed]), noise, identity, secret)


def vouched(account: KeyPair, device_identity: bytes, secret: bytes, key_index: int, now: float) -> bytes:
    """What the phone says of a device, sealed with the secret of its code."""
    details = protobuf.message((1, secrets.randbits(31)), (2, int(now)), (3, key_index), (4, 0), (5, 0))
    signature = sign(account.private, _ACCOUNT + details + device_identity)
    signed = protobuf.message((1, details), (2, account.public), (3, signature))
    return protobuf.message((1, signed), (2, authenticated(secret, signed)))


@lru_cache(4096)
def is_accepted(signed: bytes, account_key: bytes, device_identity: bytes) -> bool:
    """Whether account and device both signed. The account's key may be missing inside: both sides know it."""
    try:
        given = protobuf.fields(signed)
    except protobuf.Malformed:
        return False
    details = protobuf.part(given, 1) or b""
    inside = protobuf.part(given, 2) or account_key
    return (
        inside == account_key
        and verified(account_key, _ACCOUNT + details + device_identity, protobuf.part(given, 3) or b"")
        and verified(device_identity, _DEVICE + details + device_identity + account_key, protobuf.part(given, 4) or b"")
    )


def with_account_key(signed: bytes, account_key: bytes) -> bytes:
    """The same identity with the account's key in it: for those who do not know it."""
    given = protobuf.fields(signed)
    return protobuf.message(
        (1, protobuf.part(given, 1)), (2, account_key), (3, protobuf.part(given, 3)), (4, protobuf.part(given, 4))
    )


def counter_signed(device: KeyPair, sealed: bytes, secret: bytes) -> bytes:
    """The device's side: the identity signed by both. Raises ``BadCode`` where the phone's part is not right."""
    outer = protobuf.fields(sealed)
    signed = protobuf.part(outer, 1) or b""
    given = protobuf.fields(signed)
    details, account, signature = (protobuf.part(given, number) or b"" for number in (1, 2, 3))
    if protobuf.part(outer, 2) != authenticated(secret, signed):
        raise BadCode("sealed with another secret")
    if not verified(account, _ACCOUNT + details + device.public, signature):
        raise BadCode("not signed by the account")
    own = sign(device.private, _DEVICE + details + device.public + account)
    return protobuf.message((1, details), (2, account), (3, signature), (4, own))
