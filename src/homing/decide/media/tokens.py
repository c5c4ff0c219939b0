"""Who may read a file? Whoever shows a token of ours that is still good.

A token says all that is to be known of the file, so that any gateway with our secret and our store can answer it. Two
kinds do not open each other's doors: one names a file in a message, the other one is the way to its bytes.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from homing.model.sends.content import KeptMedia

TOKEN_MAX = 2_000
_MAC_BYTES = 16


class TokenUse(StrEnum):
    """What a token is good for."""

    NAME = "name"
    READ = "read"


@dataclass(frozen=True, slots=True)
class FileGrant:
    """One file, until when (Unix seconds), and under which name; `workspace` is whose message may name it."""

    media: KeptMedia
    until_s: int
    file_name: str = ""
    workspace: int | None = None


class _Said(msgspec.Struct, array_like=True, frozen=True):
    id: str
    sha256: str
    size: int
    mime_type: str
    until_s: int
    file_name: str
    workspace: int | None


_decoder = msgspec.msgpack.Decoder(_Said)


def token(secret: bytes, use: TokenUse, grant: FileGrant) -> str:
    media = grant.media
    said = _Said(media.id, media.sha256, media.size, media.mime_type, grant.until_s, grant.file_name, grant.workspace)
    packed = msgspec.msgpack.encode(said)
    return urlsafe_b64encode(_mac(secret, use, packed) + packed).rstrip(b"=").decode()


def granted(secret: bytes, use: TokenUse, given: str, now_s: float) -> FileGrant | None:
    """What a token grants; None for one that is not ours, is for something else, or is over."""
    if not given.isascii() or len(given) > TOKEN_MAX:
        return None
    try:
        raw = urlsafe_b64decode(given + "=" * (-len(given) % 4))
        mac, packed = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, _mac(secret, use, packed)):
            return None
        said = _decoder.decode(packed)
    except (ValueError, msgspec.DecodeError):
        return None
    if said.until_s <= now_s:
        return None
    media = KeptMedia(said.id, said.sha256, said.size, said.mime_type)
    return FileGrant(media, said.until_s, said.file_name, said.workspace)


def _mac(secret: bytes, use: TokenUse, packed: bytes) -> bytes:
    key = hmac.new(secret, b"homing media " + use.value.encode(), hashlib.sha256).digest()
    return hmac.new(key, packed, hashlib.sha256).digest()[:_MAC_BYTES]
