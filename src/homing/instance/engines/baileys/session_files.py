"""The files of one session's messages: given to WhatsApp before a message names them, and read again by a reference.

A reference that we give out is sealed under a key of the session's login: it holds the key of somebody's file, and
travels in reports and paths. Whoever has the login opens it, on whichever instance.
"""

import asyncio
import base64
import os
import tempfile
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from homing.instance.engine import CameWith, FileGone, Uploaded
from homing.instance.engines.baileys.encrypted_files import FILE_KINDS, KEY_BYTES, Encrypting, FileBroken, decrypted
from homing.instance.engines.baileys.media_hosts import AskAccess, MediaHosts
from homing.model.instances.vault import Login
from homing.model.sends.content import MessageType

IN_MEMORY_BYTES = 1024 * 1024
_PATHS = {
    MessageType.IMAGE: "/mms/image",
    MessageType.VIDEO: "/mms/video",
    MessageType.AUDIO: "/mms/audio",
    MessageType.VOICE: "/mms/audio",
    MessageType.DOCUMENT: "/mms/document",
    MessageType.STICKER: "/mms/image",
}
"""MEDIA_PATH_MAP of Baileys 7.0.0-rc14."""
_NONCE_BYTES = 12
_MIME_MAX = 200


class _FoundBy(msgspec.Struct, frozen=True, array_like=True):
    """By what a file is found and opened."""

    kind: str
    path: str
    key: bytes


class SessionFiles:
    """One session's way to WhatsApp's hosts for files."""

    def __init__(self, hosts: MediaHosts, ask: AskAccess) -> None:
        self._hosts, self._ask = hosts, ask

    async def upload(self, pieces: AsyncIterator[bytes], kind: MessageType) -> Uploaded:
        """What waits on the disk for its hash meanwhile is encrypted. Raises ConnectionError."""
        key = os.urandom(KEY_BYTES)
        sealing = Encrypting(kind, key)
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as file:
            async for piece in pieces:
                await _write(file, sealing.piece(piece))
            await _write(file, sealing.end())
            name = base64.urlsafe_b64encode(sealing.sealed_sha256.digest()).decode().rstrip("=")
            told = await self._hosts.put(self._ask, f"{_PATHS[kind]}/{name}", {"token": name}, file)
        stored = {
            "url": told.get("url") if isinstance(told.get("url"), str) else None,
            "direct_path": told["direct_path"],
            "key": base64.b64encode(key).decode(),
            "sha256": base64.b64encode(sealing.sha256.digest()).decode(),
            "sealed_sha256": base64.b64encode(sealing.sealed_sha256.digest()).decode(),
            "size": sealing.size,
        }
        return Uploaded(sealing.sha256.hexdigest(), msgspec.json.encode(stored).decode())

    async def download(self, reference: str, login: Login) -> AsyncIterator[bytes]:
        """Raises FileGone, also for a reference of another login, or ConnectionError."""
        found = _opened(reference, login)
        try:
            async for piece in decrypted(self._hosts.read(self._ask, found.path), MessageType(found.kind), found.key):
                yield piece
        except FileBroken as problem:
            raise ConnectionError(str(problem)) from problem


def came_with(told: dict[str, Any] | None, login: Login | None) -> CameWith | None:
    """The file that the engine's process tells of; None where it cannot be read by anybody."""
    if not told or login is None or told.get("kind") not in FILE_KINDS:
        return None
    try:
        key = base64.b64decode(told["key"], validate=True)
    except (TypeError, ValueError):
        return None
    if len(key) != KEY_BYTES or not isinstance(told.get("direct_path"), str):
        return None
    found = msgspec.msgpack.encode(_FoundBy(told["kind"], told["direct_path"], key))
    nonce = os.urandom(_NONCE_BYTES)
    sealed = nonce + _box(login).encrypt(nonce, found, None)
    mime_type = str(told.get("mime_type") or "application/octet-stream").partition(";")[0].strip()[:_MIME_MAX]
    return CameWith(base64.urlsafe_b64encode(sealed).decode().rstrip("="), mime_type, str(told.get("file_name") or ""))


def _opened(reference: str, login: Login) -> _FoundBy:
    try:
        sealed = base64.urlsafe_b64decode(reference + "=" * (-len(reference) % 4))
        found = _box(login).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        return msgspec.msgpack.decode(found, type=_FoundBy)
    except (ValueError, InvalidTag, msgspec.MsgspecError) as problem:
        raise FileGone("the reference is of no file that came to this login") from problem


def _box(login: Login) -> AESGCM:
    """A device has its identity from when it is linked until it is unlinked."""
    identity = msgspec.json.decode(login["creds"])["signedIdentityKey"]["private"]["data"]
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"homing: where a file is").derive(identity.encode())
    return AESGCM(key)


async def _write(file: "tempfile.SpooledTemporaryFile[bytes]", sealed: bytes) -> None:
    """In a thread: a disk that is slow must not hold up leases."""
    try:
        await asyncio.to_thread(file.write, sealed)
    except OSError as problem:
        raise ConnectionError(f"the file could not be kept on its way: {problem.strerror or problem}") from problem
