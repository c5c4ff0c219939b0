"""What is in a file, by its first bytes? What its sender, its server or its name says of it is no evidence."""

from mimetypes import guess_type

HEAD_BYTES = 4_096
"""So much of the beginning is looked at."""
UNKNOWN = "application/octet-stream"
TEXT = "text/plain"
_ZIP = "application/zip"
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", _ZIP),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"\xff\xf9", "audio/aac"),
)
"""Offset, bytes, type. WebP and WAV stand inside of a RIFF, whose first bytes they share."""
_MPEG_AUDIO = (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")
_BRANDS = {b"M4A ": "audio/mp4", b"M4B ": "audio/mp4", b"qt  ": "video/quicktime"}
_INSIDE = {_ZIP: ("application/vnd.", "application/epub"), TEXT: ("text/", "application/json", "application/xml")}
"""What a name may say more exactly of what the bytes leave open: an office document is a ZIP, a CSV is a text."""


def sniffed(head: bytes, file_name: str | None = None) -> str:
    """The MIME type of a file that begins so. A name refines it, and never contradicts it."""
    found = _by_bytes(head)
    guessed = guess_type(file_name)[0] if file_name else None
    return guessed if guessed is not None and guessed.startswith(_INSIDE.get(found, "\x00")) else found


def is_opus(head: bytes) -> bool:
    """Whether it is Opus in an OGG container: what plays as a voice note."""
    return head.startswith(b"OggS") and b"OpusHead" in head[:128]


def _by_bytes(head: bytes) -> str:
    for offset, signature, mime_type in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature and (offset == 0 or head.startswith(b"RIFF")):
            return mime_type
    if head[4:8] == b"ftyp":
        return "video/3gpp" if head[8:11] == b"3gp" else _BRANDS.get(head[8:12], "video/mp4")
    if head.startswith(b"OggS"):
        return "audio/ogg" if is_opus(head) or b"vorbis" in head[:128] else "application/ogg"
    if head[:2] in _MPEG_AUDIO:
        return "audio/mpeg"
    return TEXT if _is_text(head) else UNKNOWN


def _is_text(head: bytes) -> bool:
    """UTF-8 without control characters; its last character may be cut."""
    if not head or any(byte < 9 or 13 < byte < 27 for byte in head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return len(head) >= HEAD_BYTES and error.start >= len(head) - 3
    return True
