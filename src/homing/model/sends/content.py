"""What a message says: a text, a file, a place, a card, a poll, or a word about an earlier message.

A content is frozen before it is accepted: from then on every attempt, every gateway and every retry says exactly this.
"""

from dataclasses import dataclass
from enum import StrEnum

from homing.model.sends.addresses import Address


class MessageType(StrEnum):
    """The closed set of what can be sent."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    VOICE = "voice"
    """Sound that plays as a voice note: Opus in an OGG container."""
    DOCUMENT = "document"
    STICKER = "sticker"
    LOCATION = "location"
    CONTACT = "contact"
    POLL = "poll"
    REACTION = "reaction"
    EDIT = "edit"
    REVOKE = "revoke"


MEDIA_TYPES = frozenset({
    MessageType.IMAGE, MessageType.VIDEO, MessageType.AUDIO, MessageType.VOICE, MessageType.DOCUMENT,
    MessageType.STICKER,
})  # fmt: skip
CAPTIONED = frozenset({MessageType.IMAGE, MessageType.VIDEO, MessageType.DOCUMENT})


@dataclass(frozen=True, slots=True)
class MessageRef:
    """An earlier message of the same chat, by WhatsApp's id of it, bare: `3EB0…`.

    `from_me`: the account itself said it. `participant` said it, in a group, where that was told.
    """

    id: str
    from_me: bool = False
    participant: Address | None = None


@dataclass(frozen=True, slots=True)
class LinkedMedia:
    """A file that is still where the caller has it."""

    url: str


@dataclass(frozen=True, slots=True)
class KeptMedia:
    """A file that is here, as it was found to be: `mime_type` by its bytes, `size` in bytes, `sha256` in hex.

    `id` is its name in the media store.
    """

    id: str
    sha256: str
    size: int
    mime_type: str


Media = LinkedMedia | KeptMedia


@dataclass(frozen=True, slots=True)
class TextContent:
    """Plain words, which may answer an earlier message and name people."""

    text: str
    reply_to: MessageRef | None = None
    mentions: tuple[Address, ...] = ()
    type: MessageType = MessageType.TEXT


@dataclass(frozen=True, slots=True)
class MediaContent:
    """A file, with words beside it where its type has them."""

    type: MessageType
    media: Media
    caption: str = ""
    file_name: str | None = None
    reply_to: MessageRef | None = None
    mentions: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class LocationContent:
    """A place: degrees north and east."""

    latitude: float
    longitude: float
    name: str = ""
    address: str = ""
    reply_to: MessageRef | None = None
    type: MessageType = MessageType.LOCATION


@dataclass(frozen=True, slots=True)
class ContactContent:
    """One person's card. `phone` is E.164 digits."""

    name: str
    phone: str
    organisation: str = ""
    reply_to: MessageRef | None = None
    type: MessageType = MessageType.CONTACT


@dataclass(frozen=True, slots=True)
class PollContent:
    """A question with its answers, of which `selectable` may be chosen by each."""

    question: str
    options: tuple[str, ...]
    selectable: int = 1
    reply_to: MessageRef | None = None
    type: MessageType = MessageType.POLL


@dataclass(frozen=True, slots=True)
class ReactionContent:
    """An emoji at an earlier message; an empty one takes ours away."""

    target: MessageRef
    emoji: str
    type: MessageType = MessageType.REACTION


@dataclass(frozen=True, slots=True)
class EditContent:
    """Other words for a message that the account said."""

    target: MessageRef
    text: str
    mentions: tuple[Address, ...] = ()
    type: MessageType = MessageType.EDIT


@dataclass(frozen=True, slots=True)
class RevokeContent:
    """A message that the account said, taken back for everyone."""

    target: MessageRef
    type: MessageType = MessageType.REVOKE


Content = (
    TextContent
    | MediaContent
    | LocationContent
    | ContactContent
    | PollContent
    | ReactionContent
    | EditContent
    | RevokeContent
)


def words_of(content: Content) -> str:
    """The words that a person reads first: what records, logs of messages and the other side's ledger show as text."""
    match content:
        case TextContent(text=text) | EditContent(text=text):
            return text
        case MediaContent(caption=caption):
            return caption
        case LocationContent(name=name, address=address):
            return name or address
        case ContactContent(name=name):
            return name
        case PollContent(question=question):
            return question
        case ReactionContent(emoji=emoji):
            return emoji
        case RevokeContent():
            return ""


def media_of(content: Content) -> Media | None:
    return content.media if isinstance(content, MediaContent) else None
