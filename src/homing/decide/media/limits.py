"""May a file be sent as a message of this type?"""

from collections.abc import Mapping
from dataclasses import dataclass

from homing.decide.media.sniffing import is_opus, sniffed
from homing.model.sends.content import MEDIA_TYPES, MessageType

MIB = 1024 * 1024
DEFAULT_MIB: Mapping[MessageType, int] = {
    MessageType.IMAGE: 16,
    MessageType.VIDEO: 64,
    MessageType.AUDIO: 16,
    MessageType.VOICE: 16,
    MessageType.DOCUMENT: 100,
    MessageType.STICKER: 1,
}
_TAKEN: Mapping[MessageType, tuple[str, ...]] = {
    MessageType.IMAGE: ("image/jpeg", "image/png", "image/webp", "image/gif"),
    MessageType.VIDEO: ("video/mp4", "video/3gpp", "video/quicktime"),
    MessageType.AUDIO: ("audio/mpeg", "audio/mp4", "audio/ogg", "audio/aac", "audio/amr", "audio/wav", "audio/flac"),
    MessageType.VOICE: ("audio/ogg",),
    MessageType.STICKER: ("image/webp",),
}
"""What phones show as such. A document may be anything."""


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """The largest file of each type, in bytes."""

    bytes_of: Mapping[MessageType, int]

    @property
    def largest(self) -> int:
        return max(self.bytes_of.values())

    def of(self, kind: MessageType) -> int:
        return self.bytes_of[kind]


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why a file is not sent as that."""

    reason: str


def limits_of(text: str) -> MediaLimits:
    """The limits as a setting writes them: `image=16,document=200`, in MiB; what is not named has its default.

    Raises ValueError with a sentence.
    """
    found = dict(DEFAULT_MIB)
    for each in filter(None, (part.strip() for part in text.split(","))):
        name, _, size = each.partition("=")
        if name.strip() not in {kind.value for kind in MEDIA_TYPES} or not size.strip().isdecimal() or int(size) < 1:
            known = ", ".join(sorted(kind.value for kind in MEDIA_TYPES))
            raise ValueError(f"{each!r} is no limit; write such as document=200, in MiB, for {known}")
        found[MessageType(name.strip())] = int(size)
    return MediaLimits({kind: size * MIB for kind, size in found.items()})


def judged(kind: MessageType, head: bytes, size: int, file_name: str | None, limits: MediaLimits) -> str | Unfit:
    """The MIME type of a file that may be sent so."""
    if size == 0:
        return Unfit("the file is empty")
    if size > limits.of(kind):
        return Unfit(f"the file has {size} bytes, and one of type `{kind.value}` has at most {limits.of(kind)}")
    mime_type = sniffed(head, file_name)
    taken = _TAKEN.get(kind)
    if taken is not None and mime_type not in taken:
        return Unfit(f"the file is {mime_type} by its bytes, and `{kind.value}` takes {', '.join(taken)}")
    if kind is MessageType.VOICE and not is_opus(head):
        return Unfit("the file is no Opus in an OGG container, which a voice note is; send it as `audio`")
    return mime_type
