"""The files of messages, as phones write and open them: protobuf by the field numbers of Baileys 7.0.0-rc14's WAProto.

A file is AES-256-CBC, with the first ten bytes of the HMAC-SHA256 of initial vector and ciphertext behind it.
"""

import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.padding import PKCS7

from simulated_whatsapp.multidevice.wire import protobuf
from simulated_whatsapp.multidevice.wire.protobuf import Fields, Malformed

Fetch = Callable[[str], bytes | None]
"""What WhatsApp's hosts for files have at a path."""
_MAC_BYTES = 10


@dataclass(frozen=True, slots=True)
class _Shape:
    """Where the message of one kind has what."""

    number: int
    words: str
    mime_type: int
    sha256: int
    size: int
    key: int
    sealed_sha256: int
    path: int
    name: int | None = None
    caption: int | None = None


_SHAPES = {
    "image": _Shape(3, "Image", 2, 4, 5, 8, 9, 11, caption=3),
    "video": _Shape(9, "Video", 2, 3, 4, 6, 11, 13, caption=7),
    "document": _Shape(7, "Document", 2, 4, 5, 7, 9, 10, name=8, caption=20),
    "audio": _Shape(8, "Audio", 2, 3, 4, 7, 8, 9),
    "sticker": _Shape(26, "Image", 5, 2, 9, 4, 3, 8),
}
KINDS = frozenset(_SHAPES)


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file as a message names it."""

    kind: str
    path: str
    key: bytes
    sha256: bytes
    sealed_sha256: bytes
    size: int
    mime_type: str
    name: str

    def opened(self, fetch: Fetch) -> bytes:
        """Its bytes, once all that the message says of it was found true. Raises ``Malformed``."""
        sealed = fetch(self.path)
        if sealed is None:
            raise Malformed(f"nothing is kept at {self.path!r}")
        if hashlib.sha256(sealed).digest() != self.sealed_sha256:
            raise Malformed("what is kept is not what the message names")
        iv, cipher_key, mac_key = _derived(self.kind, self.key)
        body, mac = sealed[:-_MAC_BYTES], sealed[-_MAC_BYTES:]
        if hmac.digest(mac_key, iv + body, "sha256")[:_MAC_BYTES] != mac:
            raise Malformed("the code behind the file is not its own")
        plain = _unsealed(body, iv, cipher_key)
        if hashlib.sha256(plain).digest() != self.sha256 or len(plain) != self.size:
            raise Malformed("the file is not the one that the message names")
        return plain


def named_file(kind: str, given: Fields) -> NamedFile | None:
    """The file that the part of a message names; None where it names none."""
    shape = _SHAPES[kind]
    path, key = protobuf.text(given, shape.path), protobuf.part(given, shape.key)
    if path is None or key is None:
        return None
    return NamedFile(
        kind,
        path,
        key,
        protobuf.part(given, shape.sha256) or b"",
        protobuf.part(given, shape.sealed_sha256) or b"",
        protobuf.number(given, shape.size),
        protobuf.text(given, shape.mime_type) or "",
        (protobuf.text(given, shape.name) or "") if shape.name else "",
    )


def file_message(
    kind: str, plain: bytes, keep: Callable[[bytes], str], *, mime_type: str, name: str = "", caption: str = ""
) -> bytes:
    """A message with this file, which ``keep`` puts where it answers."""
    shape, key = _SHAPES[kind], os.urandom(32)
    iv, cipher_key, mac_key = _derived(kind, key)
    padder, cipher = PKCS7(128).padder(), Cipher(AES256(cipher_key), CBC(iv)).encryptor()
    body = cipher.update(padder.update(plain) + padder.finalize()) + cipher.finalize()
    sealed = body + hmac.digest(mac_key, iv + body, "sha256")[:_MAC_BYTES]
    fields: list[tuple[int, int | bytes | str | None]] = [
        (shape.mime_type, mime_type),
        (shape.sha256, hashlib.sha256(plain).digest()),
        (shape.size, len(plain)),
        (shape.key, key),
        (shape.sealed_sha256, hashlib.sha256(sealed).digest()),
        (shape.path, keep(sealed)),
    ]
    fields += [(shape.name, name)] if shape.name and name else []
    fields += [(shape.caption, caption)] if shape.caption and caption else []
    return protobuf.message((shape.number, protobuf.message(*fields)))


def _unsealed(body: bytes, iv: bytes, cipher_key: bytes) -> bytes:
    try:
        cipher, unpadder = Cipher(AES256(cipher_key), CBC(iv)).decryptor(), PKCS7(128).unpadder()
        return unpadder.update(cipher.update(body) + cipher.finalize()) + unpadder.finalize()
    except ValueError as problem:
        raise Malformed(f"the file cannot be opened: {problem}") from problem


def _derived(kind: str, key: bytes) -> tuple[bytes, bytes, bytes]:
    info = f"WhatsApp {_SHAPES[kind].words} Keys".encode()
    whole = HKDF(algorithm=SHA256(), length=112, salt=None, info=info).derive(key)
    return whole[:16], whole[16:48], whole[48:80]
