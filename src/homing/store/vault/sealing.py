"""Credentials at rest: sealed with AES-GCM under a named key, each bound to the row that it belongs to.

A sealed text opens only in its own place: another session's, or an older version of the same, is refused. Each session
has a key of its own, derived from the named one, so that no key ever seals more than random nonces allow.
"""

import base64
import binascii
import hmac
import json
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from homing.model.instances.vault import Login, VaultSealed
from homing.store.db.schema.columns import storable

KEY_BYTES = 32
_NONCE_BYTES = 12
_ID = re.compile(r"[A-Za-z0-9._-]{1,40}")
_CIPHERS_KEPT = 20_000
_EXPECTED = "expected a name, a colon and 32 bytes in base64; `homing db vault-key` makes one"


@dataclass(frozen=True, slots=True)
class VaultKey:
    """A key by its name."""

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def read(cls, line: str) -> Self:
        """The key that `id:base64` says. Raises ValueError, without a word of the key."""
        name, colon, encoded = line.strip().partition(":")
        if not colon or not _ID.fullmatch(name):
            raise ValueError(f"it does not begin with the name of a key; {_EXPECTED}")
        try:
            secret = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise ValueError(f"what follows {name!r} is no base64; {_EXPECTED}") from error
        if len(secret) != KEY_BYTES:
            raise ValueError(f"the key {name!r} has {len(secret)} bytes; {_EXPECTED}")
        return cls(name, secret)

    def __str__(self) -> str:
        return f"{self.id}:{base64.b64encode(self.secret).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class SealedPlace:
    """Where a sealed text belongs: it opens nowhere else."""

    what: str
    session_id: str
    which: str

    def __str__(self) -> str:
        return f"the {self.what} {self.which}, of session {self.session_id}" if self.session_id else f"the {self.what}"


def login_place(session_id: str, version: int) -> SealedPlace:
    return SealedPlace("login, version", storable(session_id), str(version))


def frame_place(session_id: str, message_id: str) -> SealedPlace:
    return SealedPlace("message", storable(session_id), storable(message_id))


def key_place(session_id: str, kind: str, id: str) -> SealedPlace:
    return SealedPlace(f"session key, {kind}", storable(session_id), id)


def inbox_place(session_id: str, message_id: str, digest: str) -> SealedPlace:
    return SealedPlace(f"inbox message, {digest}", storable(session_id), storable(message_id))


@dataclass(frozen=True, slots=True)
class SealedText:
    """A sealed text, and the name of the key that opens it."""

    key_id: str
    text: bytes


class KeyRing:
    """The key that seals, and older ones that still open."""

    def __init__(
        self,
        newest: VaultKey,
        old: Iterable[VaultKey] = (),
        *,
        token: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._newest, self._token = newest, token
        self._secrets = {key.id: key.secret for key in (*old, newest)}
        self._cipher = lru_cache(_CIPHERS_KEPT)(self._derive)

    @classmethod
    def read(cls, newest: str, old: str = "") -> Self:
        """The ring that the settings write down: one key, and a list of older ones with commas in between."""
        keys = [VaultKey.read(newest), *(VaultKey.read(line) for line in old.split(",") if line.strip())]
        for key in keys:
            if any(other.id == key.id and other.secret != key.secret for other in keys):
                raise ValueError(f"two different keys are both called {key.id!r}")
        return cls(keys[0], keys[1:])

    @property
    def newest_id(self) -> str:
        return self._newest.id

    @property
    def ids(self) -> Sequence[str]:
        """The names of all keys at hand."""
        return list(self._secrets)

    def seal(self, place: SealedPlace, plain: bytes, *, key_id: str | None = None) -> SealedText:
        """Seal it for this place, under the newest key if none is named."""
        key_id = key_id or self._newest.id
        nonce = self._token(_NONCE_BYTES)
        cipher = self._cipher(key_id, place.session_id)
        return SealedText(key_id, nonce + cipher.encrypt(nonce, plain, _bound(place, key_id)))

    def unseal(self, place: SealedPlace, sealed: SealedText) -> bytes:
        """What was sealed for this place. Raises VaultSealed."""
        if sealed.key_id not in self._secrets:
            raise VaultSealed(
                f"{place} is sealed under the vault key {sealed.key_id!r}, which is not at hand;"
                " add it to HOMING_VAULT_OLD_KEYS"
            )
        nonce, text = sealed.text[:_NONCE_BYTES], sealed.text[_NONCE_BYTES:]
        try:
            return self._cipher(sealed.key_id, place.session_id).decrypt(nonce, text, _bound(place, sealed.key_id))
        except (InvalidTag, ValueError) as error:
            raise VaultSealed(
                f"{place} does not open under the vault key {sealed.key_id!r}: it is not what was last written there"
            ) from error

    def seal_login(self, session_id: str, version: int, login: Login) -> SealedText:
        return self.seal(login_place(session_id, version), json.dumps(dict(login), separators=(",", ":")).encode())

    def unseal_login(self, session_id: str, version: int, sealed: SealedText) -> Login:
        login: Login = json.loads(self.unseal(login_place(session_id, version), sealed))
        return login

    def _derive(self, key_id: str, session_id: str) -> AESGCM:
        named = f"homing vault: {session_id}".encode()
        return AESGCM(hmac.digest(self._secrets[key_id], named, "sha256"))


def _bound(place: SealedPlace, key_id: str) -> bytes:
    return json.dumps([place.what, place.session_id, place.which, key_id]).encode()


def fresh_key(id: str = "", *, token: Callable[[int], bytes] = secrets.token_bytes) -> VaultKey:
    """A key that nobody has yet."""
    return VaultKey(id or f"key-{token(4).hex()}", token(KEY_BYTES))
