"""X25519 agreements, and XEdDSA: signatures made with the same keys.

From "The XEdDSA and VXEdDSA Signature Schemes" (Signal, 2016), RFC 7748 and RFC 8032. Keys are 32 raw bytes; where the
protocol wants a key with its type in front (one byte, 5) it is ``typed``.
"""

import hashlib
import os
from dataclasses import dataclass
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

KEY_TYPE = b"\x05"
KEY_BYTES = 32

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_BASE_Y = 4 * pow(5, -1, _P) % _P
_BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_HASH_ONE = (2**256 - 2).to_bytes(32, "little")

_Point = tuple[int, int, int, int]
_NEUTRAL: _Point = (0, 1, 1, 0)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and its public one."""

    private: bytes
    public: bytes


def new_pair() -> KeyPair:
    return pair_of(os.urandom(KEY_BYTES))


def pair_of(private: bytes) -> KeyPair:
    """The pair of a private key."""
    return KeyPair(private, X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw())


def agreed(private: bytes, public: bytes) -> bytes:
    """The 32 bytes that both sides come to. Raises ``ValueError`` for a public key of low order or a wrong length."""
    theirs = X25519PublicKey.from_public_bytes(untyped(public))
    return X25519PrivateKey.from_private_bytes(private).exchange(theirs)


def typed(public: bytes) -> bytes:
    return public if len(public) == KEY_BYTES + 1 else KEY_TYPE + public


def untyped(public: bytes) -> bytes:
    """Raises ``ValueError`` for what is no key of this type."""
    if len(public) == KEY_BYTES + 1 and public.startswith(KEY_TYPE):
        return public[1:]
    if len(public) != KEY_BYTES:
        raise ValueError(f"a public key has {KEY_BYTES} bytes, this has {len(public)}")
    return public


def sign(private: bytes, message: bytes, random: bytes | None = None) -> bytes:
    """An XEdDSA signature of 64 bytes; ``random`` are the 64 bytes that make it unlike any other."""
    scalar, public = _signing_key(private)
    drawn = hashlib.sha512(_HASH_ONE + _bytes(scalar) + message + (random or os.urandom(64))).digest()
    nonce = int.from_bytes(drawn, "little") % _ORDER
    commitment = _compressed(_times_base(nonce))
    challenge = int.from_bytes(hashlib.sha512(commitment + public + message).digest(), "little") % _ORDER
    return commitment + _bytes((nonce + challenge * scalar) % _ORDER)


def verified(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the owner of ``public`` signed. The last bit may say the sign of the point, as older signers do."""
    if len(signature) != 64:
        return False
    sign_bit = signature[63] & 0x80
    try:
        point = _edwards(untyped(public), sign_bit)
        Ed25519PublicKey.from_public_bytes(point).verify(signature[:63] + bytes([signature[63] & 0x7F]), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _signing_key(private: bytes) -> tuple[int, bytes]:
    """The Edwards scalar and public key whose sign is 0."""
    clamped = bytearray(private)
    clamped[0] &= 248
    clamped[31] = (clamped[31] & 127) | 64
    scalar = int.from_bytes(clamped, "little")
    public = _compressed(_times_base(scalar))
    if public[31] & 0x80:
        scalar = -scalar
    return scalar % _ORDER, public[:31] + bytes([public[31] & 0x7F])


def _edwards(montgomery: bytes, sign_bit: int) -> bytes:
    """The Edwards form of a Montgomery key: y = (u - 1) / (u + 1)."""
    u = int.from_bytes(montgomery, "little") % 2**255
    if u >= _P or u == _P - 1:
        raise ValueError("not a public key")
    y = (u - 1) * pow(u + 1, -1, _P) % _P
    encoded = _bytes(y)
    return encoded[:31] + bytes([encoded[31] | sign_bit])


def _bytes(number: int) -> bytes:
    return number.to_bytes(32, "little")


def _added(one: _Point, two: _Point) -> _Point:
    """The sum of two points in extended coordinates (RFC 8032, 5.1.4)."""
    a = (one[1] - one[0]) * (two[1] - two[0]) % _P
    b = (one[1] + one[0]) * (two[1] + two[0]) % _P
    c = 2 * one[3] * two[3] * _D % _P
    d = 2 * one[2] * two[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


@cache
def _doublings() -> tuple[_Point, ...]:
    """The base point times each power of two below the order's size."""
    point: _Point = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % _P)
    found = [point]
    for _ in range(255):
        point = _added(point, point)
        found.append(point)
    return tuple(found)


def _times_base(scalar: int) -> _Point:
    total = _NEUTRAL
    for place, point in enumerate(_doublings()):
        if scalar >> place & 1:
            total = _added(total, point)
    return total


def _compressed(point: _Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return _bytes(y | (x & 1) << 255)
