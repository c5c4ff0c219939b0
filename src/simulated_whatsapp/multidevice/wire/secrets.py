"""What is derived, sealed and opened with symmetric keys: HKDF, HMAC, AES in the three modes that the protocol uses."""

import hashlib
import hmac

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derived(secret: bytes, length: int, *, salt: bytes = b"", info: bytes = b"") -> bytes:
    """HKDF with SHA-256 (RFC 5869); no salt is as many zeros."""
    return HKDF(hashes.SHA256(), length, salt or bytes(32), info).derive(secret)


def authenticated(key: bytes, data: bytes) -> bytes:
    """HMAC with SHA-256: 32 bytes."""
    return hmac.digest(key, data, "sha256")


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def gcm_sealed(key: bytes, nonce: bytes, plain: bytes, beside: bytes = b"") -> bytes:
    return AESGCM(key).encrypt(nonce, plain, beside)


def gcm_opened(key: bytes, nonce: bytes, sealed: bytes, beside: bytes = b"") -> bytes:
    """Raises ``cryptography.exceptions.InvalidTag``."""
    return AESGCM(key).decrypt(nonce, sealed, beside)


def cbc_sealed(key: bytes, start: bytes, plain: bytes) -> bytes:
    padder, cipher = padding.PKCS7(128).padder(), Cipher(algorithms.AES(key), modes.CBC(start)).encryptor()
    return cipher.update(padder.update(plain) + padder.finalize()) + cipher.finalize()


def cbc_opened(key: bytes, start: bytes, sealed: bytes) -> bytes:
    """Raises ``ValueError`` where the padding is wrong."""
    unpadder, cipher = padding.PKCS7(128).unpadder(), Cipher(algorithms.AES(key), modes.CBC(start)).decryptor()
    return unpadder.update(cipher.update(sealed) + cipher.finalize()) + unpadder.finalize()


def ctr(key: bytes, start: bytes, data: bytes) -> bytes:
    """Sealed or opened: in counter mode they are the same."""
    cipher = Cipher(algorithms.AES(key), modes.CTR(start)).encryptor()
    return cipher.update(data) + cipher.finalize()
