"""Files as WhatsApp keeps them: encrypted by who sends them, under a key that goes in the message that names them.

AES-256-CBC; behind it stand the first ten bytes of an HMAC-SHA256 of the initial vector and the ciphertext. The keys
are derived from the file's own one, in other words for each kind (Baileys 7.0.0-rc14, lib/Utils/messages-media.js and
lib/Defaults/index.js).
"""

import hashlib
import hmac
from collections.abc import AsyncIterator

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.padding import PKCS7

from homing.model.sends.content import MessageType

KEY_BYTES = 32
_MAC_BYTES = 10
_BLOCK_BITS = 128
_WORDS = {
    MessageType.IMAGE: b"WhatsApp Image Keys",
    MessageType.VIDEO: b"WhatsApp Video Keys",
    MessageType.AUDIO: b"WhatsApp Audio Keys",
    MessageType.VOICE: b"WhatsApp Audio Keys",
    MessageType.DOCUMENT: b"WhatsApp Document Keys",
    MessageType.STICKER: b"WhatsApp Image Keys",
}
FILE_KINDS = frozenset(_WORDS)


class FileBroken(Exception):
    """What came is not what the key was made for. The message says how it shows."""


class Encrypting:
    """One file on its way out. `sha256` is of its bytes, `sealed_sha256` of all that came out of here."""

    def __init__(self, kind: MessageType, key: bytes) -> None:
        iv, cipher_key, mac_key = _derived(kind, key)
        self._cipher = Cipher(AES256(cipher_key), CBC(iv)).encryptor()
        self._padder = PKCS7(_BLOCK_BITS).padder()
        self._mac = hmac.new(mac_key, iv, hashlib.sha256)
        self.sha256, self.sealed_sha256 = hashlib.sha256(), hashlib.sha256()
        self.size = 0

    def piece(self, plain: bytes) -> bytes:
        self.size += len(plain)
        self.sha256.update(plain)
        return self._out(self._cipher.update(self._padder.update(plain)))

    def end(self) -> bytes:
        """The last bytes. Nothing may follow them."""
        last = self._out(self._cipher.update(self._padder.finalize()) + self._cipher.finalize())
        mac = self._mac.digest()[:_MAC_BYTES]
        self.sealed_sha256.update(mac)
        return last + mac

    def _out(self, sealed: bytes) -> bytes:
        self._mac.update(sealed)
        self.sealed_sha256.update(sealed)
        return sealed


async def decrypted(sealed: AsyncIterator[bytes], kind: MessageType, key: bytes) -> AsyncIterator[bytes]:
    """The file's bytes while they come. Raises FileBroken before the last piece of one that is not as it was sent."""
    iv, cipher_key, mac_key = _derived(kind, key)
    cipher = Cipher(AES256(cipher_key), CBC(iv)).decryptor()
    unpadder = PKCS7(_BLOCK_BITS).unpadder()
    mac, held = hmac.new(mac_key, iv, hashlib.sha256), b""
    async for piece in sealed:
        whole = held + piece
        held = whole[-_MAC_BYTES:]
        if passed := whole[:-_MAC_BYTES]:
            mac.update(passed)
            if plain := unpadder.update(cipher.update(passed)):
                yield plain
    if len(held) < _MAC_BYTES or not hmac.compare_digest(mac.digest()[:_MAC_BYTES], held):
        raise FileBroken("its bytes are not those that were sent")
    try:
        last = unpadder.update(cipher.finalize()) + unpadder.finalize()
    except ValueError as problem:
        raise FileBroken(str(problem)) from problem
    if last:
        yield last


def _derived(kind: MessageType, key: bytes) -> tuple[bytes, bytes, bytes]:
    """Initial vector, key of the cipher, key of the code."""
    whole = HKDF(algorithm=SHA256(), length=112, salt=None, info=_WORDS[kind]).derive(key)
    return whole[:16], whole[16:48], whole[48:80]
