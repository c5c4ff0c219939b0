"""Files as WhatsApp keeps them, by the code of the simulated phones, which shares nothing with the engine's."""

import hashlib
import json
import os
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from typing import IO, Any

import pytest

from homing.instance.engine import FileGone
from homing.instance.engines.baileys.encrypted_files import FILE_KINDS, Encrypting, FileBroken, decrypted
from homing.instance.engines.baileys.media_hosts import AskAccess, MediaAccess
from homing.instance.engines.baileys.session_files import SessionFiles, came_with
from homing.model.sends.content import MessageType
from simulated_whatsapp.multidevice.phones.files import NamedFile, file_message, named_file
from simulated_whatsapp.multidevice.wire import protobuf

SIZES = [0, 1, 9, 10, 15, 16, 17, 26, 31, 32, 65_535, 65_536, 300_001]
KINDS = sorted(FILE_KINDS)


def login_of(identity: str = "aWRlbnRpdHk=") -> dict[str, Any]:
    return {"creds": json.dumps({"signedIdentityKey": {"private": {"type": "Buffer", "data": identity}}})}


async def in_pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def read(sealed: bytes, kind: MessageType, key: bytes, size: int = 1000) -> bytes:
    return b"".join([piece async for piece in decrypted(in_pieces(sealed, size), kind, key)])


def phones_kind(kind: MessageType) -> str:
    return "audio" if kind is MessageType.VOICE else kind.value


class Hosts:
    """WhatsApp's hosts for files, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.gone_at: list[str] = []

    async def put(self, ask: AskAccess, path: str, query: dict[str, str], file: IO[bytes]) -> dict[str, Any]:
        assert (await ask(False)).auth == "let me in"
        file.seek(0)
        where = f"/v{path}?ccb=11-4&oh={query['token'][:4]}"
        self.kept[where] = file.read()
        return {"direct_path": where, "url": f"https://media.example{where}"}

    async def read(self, ask: AskAccess, path: str) -> AsyncIterator[bytes]:
        if path not in self.kept:
            raise FileGone(path)
        async for piece in in_pieces(self.kept[path], 777):
            yield piece


async def let_in(anew: bool) -> MediaAccess:
    return MediaAccess(("media.example",), "let me in")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_phone_opens_what_a_session_gave_to_whatsapp(kind: MessageType) -> None:
    hosts, data = Hosts(), os.urandom(70_001)
    given = await SessionFiles(hosts, let_in).upload(in_pieces(data), kind)  # type: ignore[arg-type]
    assert given.sha256 == hashlib.sha256(data).hexdigest()
    said = json.loads(given.reference)
    assert said["size"] == len(data) and said["direct_path"] in hosts.kept
    keys = (b64decode(said["key"]), b64decode(said["sha256"]), b64decode(said["sealed_sha256"]))
    named = NamedFile(phones_kind(kind), said["direct_path"], *keys, len(data), "x/y", "")
    assert named.opened(hosts.kept.get) == data
    assert data[:64] not in hosts.kept[said["direct_path"]]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pieces", [1, 11, 1000])
async def test_any_length_comes_back_in_any_pieces(size: int, pieces: int) -> None:
    data, key = os.urandom(min(size, 3000) if pieces < 1000 else size), os.urandom(32)
    sealing = Encrypting(MessageType.IMAGE, key)
    sealed = b"".join([sealing.piece(piece) async for piece in in_pieces(data, pieces)]) + sealing.end()
    assert sealing.sealed_sha256.digest() == hashlib.sha256(sealed).digest()
    assert await read(sealed, MessageType.IMAGE, key, pieces) == data


@pytest.mark.parametrize("at", [0, 20, -11, -1])
async def test_a_file_that_was_changed_on_its_way_is_never_whole(at: int) -> None:
    key = os.urandom(32)
    sealing = Encrypting(MessageType.DOCUMENT, key)
    sealed = bytearray(sealing.piece(b"a page " * 500) + sealing.end())
    sealed[at] ^= 1
    with pytest.raises(FileBroken):
        await read(bytes(sealed), MessageType.DOCUMENT, key)


@pytest.mark.parametrize("kept", [0, 5, 10, 25, 3000])
async def test_a_file_of_which_the_end_is_missing_is_never_whole(kept: int) -> None:
    key = os.urandom(32)
    sealing = Encrypting(MessageType.DOCUMENT, key)
    sealed = sealing.piece(b"a page " * 500) + sealing.end()
    with pytest.raises(FileBroken):
        await read(sealed[:kept], MessageType.DOCUMENT, key)


def told(hosts: Hosts, kind: str, data: bytes) -> dict[str, Any]:
    """As the engine's process tells of a file that a phone sent."""

    def keep(sealed: bytes) -> str:
        hosts.kept["/v/1?oh=1"] = sealed
        return "/v/1?oh=1"

    message = protobuf.fields(file_message(kind, data, keep, mime_type="image/jpeg; x=1", name="a.jpg"))
    [inner] = [value for values in message.values() for value in values if isinstance(value, bytes)]
    named = named_file(kind, protobuf.fields(inner))
    assert named is not None
    key = b64encode(named.key).decode()
    return {"kind": kind, "direct_path": named.path, "key": key, "mime_type": named.mime_type, "file_name": named.name}


@pytest.mark.parametrize("kind", ["image", "video", "audio", "document", "sticker"])
async def test_a_file_that_a_phone_sent_is_read_by_its_reference(kind: str) -> None:
    hosts, data = Hosts(), os.urandom(5_000)
    file = came_with(told(hosts, kind, data), login_of())
    assert file is not None and file.mime_type == "image/jpeg"
    elsewhere = SessionFiles(hosts, let_in)  # type: ignore[arg-type]
    assert b"".join([piece async for piece in elsewhere.download(file.reference, login_of())]) == data


async def test_a_reference_shows_nothing_and_opens_nothing_to_another_login() -> None:
    hosts = Hosts()
    said = told(hosts, "image", b"a picture")
    file = came_with(said, login_of())
    assert file is not None and said["key"] not in file.reference and file.reference.isascii()
    assert all(each not in file.reference for each in "/+=?&")
    files = SessionFiles(hosts, let_in)  # type: ignore[arg-type]
    for reference, login in [
        (file.reference, login_of("YW5vdGhlcg==")),
        (file.reference[:-4], login_of()),
        ("", login_of()),
        ("not a reference", login_of()),
    ]:
        with pytest.raises(FileGone):
            [piece async for piece in files.download(reference, login)]


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "location"}, {"key": "AA=="}, {"key": "!"}, {"key": None}, {"direct_path": None}, {"direct_path": 5}],
)
async def test_a_file_that_nobody_can_read_is_none(wrong: dict[str, Any]) -> None:
    assert came_with(told(Hosts(), "image", b"a picture") | wrong, login_of()) is None
    assert came_with(None, login_of()) is None and came_with(told(Hosts(), "image", b""), None) is None
