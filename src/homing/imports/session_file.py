"""A session in a file, sealed under a passphrase: what `homing sessions export` writes and `import` reads.

A line that names the format, a line of JSON that says how it is sealed (scrypt, AES-256-GCM), and the sealed part. The
lines are bound to it: changed by one character, it does not open. Whoever knows the passphrase has the login.
"""

import base64
import binascii
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from homing.model.instances.vault import InboxMessage, SessionKey, Unfinished
from homing.model.sessions.carried import CarriedSession

MAGIC = b"homing session\n"
VERSION = 1
FILE_MAX = 256 * 1024 * 1024
PASSPHRASE_MIN = 8
HEADER_MAX = 4096
_N, _R, _P = 2**17, 8, 1
"""Scrypt with 128 MB: about half a second for whoever knows the passphrase, and for each that is tried."""
_P_MAX, _MEMORY_MAX = 4, 256 * 1024 * 1024
"""Trying a passphrase takes `128 * n * r` bytes: 128 MiB for what is written here."""


class FileUnusable(Exception):
    """The file cannot be read; `code` is stable, the sentence says why and what to do."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A file whose lines were read, and whose sealed part is whole."""

    bound: bytes
    header: Mapping[str, Any]
    text: bytes


def sealed(
    carried: CarriedSession, passphrase: str, *, at: str, token: Callable[[int], bytes] = secrets.token_bytes
) -> bytes:
    """The file of a session that was taken out `at` that time."""
    plain = json.dumps(_said(carried, at), separators=(",", ":")).encode()
    salt, nonce = token(16), token(12)
    key, check = _derived(passphrase, salt, _N, _R, _P)
    header = {
        "version": VERSION,
        "kdf": "scrypt",
        "n": _N,
        "r": _R,
        "p": _P,
        "salt": base64.b64encode(salt).decode(),
        "aead": "aes-256-gcm",
        "nonce": base64.b64encode(nonce).decode(),
        "check": base64.b64encode(check).decode(),
        "bytes": len(plain) + 16,
    }
    bound = MAGIC + json.dumps(header).encode() + b"\n"
    return bound + AESGCM(key).encrypt(nonce, plain, bound)


def read(data: bytes) -> SealedFile:
    """Raises FileUnusable for what is no such file, not whole, or of a newer version."""
    if not data.startswith(MAGIC):
        raise FileUnusable("not_a_session", "This is no file that `homing sessions export` wrote")
    line, newline, text = data[len(MAGIC) :].partition(b"\n")
    try:
        header = json.loads(line[:HEADER_MAX]) if newline else None
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or not isinstance(header.get("version"), int):
        raise FileUnusable("file_damaged", "The file is not whole: its second line does not say how it is sealed")
    if header["version"] > VERSION:
        detail = f"The file is of version {header['version']}, and this Homing reads up to {VERSION}: upgrade it first"
        raise FileUnusable("newer_version", detail)
    if len(text) != header.get("bytes"):
        detail = f"The file is not whole: {len(text)} of {header.get('bytes')} bytes are there; copy it anew"
        raise FileUnusable("file_damaged", detail)
    return SealedFile(data[: len(MAGIC) + len(line) + 1], header, text)


def opened(file: SealedFile, passphrase: str) -> CarriedSession:
    """Raises FileUnusable for a wrong passphrase, and for a file that was changed."""
    try:
        salt, nonce, given, costs = _sealing(file.header)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FileUnusable("file_damaged", f"The file cannot be read: its second line was changed ({error})") from None
    key, check = _derived(passphrase, salt, *costs)
    if not hmac.compare_digest(given, check):
        raise FileUnusable("wrong_passphrase", "The passphrase is not the one that the file was written with")
    try:
        return _meant(json.loads(AESGCM(key).decrypt(nonce, file.text, file.bound)))
    except (InvalidTag, KeyError, TypeError, ValueError, OverflowError, RecursionError, binascii.Error):
        raise FileUnusable("file_damaged", "The file was damaged or changed; the passphrase is right") from None


def _derived(passphrase: str, salt: bytes, n: int, r: int, p: int) -> tuple[bytes, bytes]:
    """The key that seals, and what tells a wrong passphrase from a damaged file."""
    both = Scrypt(salt=salt, length=64, n=n, r=r, p=p).derive(passphrase.encode())
    return both[:32], hmac.digest(both[32:], b"homing session file", "sha256")[:16]


def _sealing(header: Mapping[str, Any]) -> tuple[bytes, bytes, bytes, tuple[int, int, int]]:
    """Salt, nonce, what tells a wrong passphrase, and the costs of trying one. A file does not get to fill the memory.

    Raises KeyError, TypeError, ValueError and OverflowError.
    """
    n, r, p = (int(header[name]) for name in ("n", "r", "p"))
    are_costs = n >= 2 and n & (n - 1) == 0 and r >= 1 and 128 * n * r <= _MEMORY_MAX and 1 <= p <= _P_MAX
    if header["kdf"] != "scrypt" or header["aead"] != "aes-256-gcm" or not are_costs:
        raise ValueError("it is sealed in another way")
    return _bytes(header["salt"], 16), _bytes(header["nonce"], 12), _bytes(header["check"], 16), (n, r, p)


def _bytes(text: str, length: int) -> bytes:
    decoded = base64.b64decode(text, validate=True)
    if len(decoded) != length:
        raise ValueError(f"{length} bytes were expected, and not {len(decoded)}")
    return decoded


def _said(carried: CarriedSession, at: str) -> dict[str, Any]:
    return {
        "session_id": carried.session_id,
        "phone": carried.phone,
        "exported_at": at,
        "login": dict(carried.login),
        "keys": [[key.kind, key.id, _text(key.value)] for key in carried.keys if key.value is not None],
        "next_counter": carried.next_counter,
        "unfinished": [[each.counter, each.message_id, _text(each.frame), each.age_s] for each in carried.unfinished],
        "inbox": [[each.message_id, each.digest, _text(each.body)] for each in carried.inbox],
    }


def _meant(said: Mapping[str, Any]) -> CarriedSession:
    return CarriedSession(
        str(said["session_id"]),
        dict(said["login"]),
        [SessionKey(kind, name, base64.b64decode(value)) for kind, name, value in said["keys"]],
        phone=said["phone"],
        next_counter=int(said["next_counter"]),
        unfinished=[
            Unfinished(int(counter), message_id, base64.b64decode(frame), float(age_s))
            for counter, message_id, frame, age_s in said["unfinished"]
        ],
        inbox=[
            InboxMessage(message_id, digest, None if body is None else base64.b64decode(body))
            for message_id, digest, body in said["inbox"]
        ],
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()
