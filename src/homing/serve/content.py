"""What a request asks to be said: the fields of every message body, and the content that they make.

One reader for `messages/send`, the outbox and each line of a bulk request. Nothing is fetched, stored or guessed here:
a file that is named by its URL is a link still, and whoever accepts the message has it taken in
(`flows.media.intake`) before the content is frozen.
"""

import re
from collections.abc import Callable
from typing import Annotated, TypeVar, assert_never

import msgspec
from msgspec import Meta

from homing.model.errors import Code, Problem
from homing.model.sends.addresses import Address, AddressKind
from homing.model.sends.content import (
    CAPTIONED,
    MEDIA_TYPES,
    ContactContent,
    Content,
    EditContent,
    KeptMedia,
    LinkedMedia,
    LocationContent,
    Media,
    MediaContent,
    MessageRef,
    MessageType,
    PollContent,
    ReactionContent,
    RevokeContent,
    TextContent,
)

MESSAGE_MAX = 65_536
CAPTION_MAX = 4_096
MENTIONS_MAX = 256
URL_MAX = 4_000
_NAME_MAX = 200
Ref = Annotated[str, Meta(min_length=1, max_length=300)]
Line = Annotated[str, Meta(min_length=1, max_length=_NAME_MAX)]
_SERIALISED = re.compile(r"(?P<from_me>true|false)_(?P<chat>[^_]+)_(?P<id>[^_]+)(?:_(?P<participant>[^_]+))?")
"""An id as whatsapp-web.js writes it: `true_628…@c.us_3EB0…`, in groups with who said it at the end."""
_BARE_ID = re.compile(r"[0-9A-Za-z.:=+/-]+")
_MISLEADING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff/\\]|\A\.{1,2}\Z|\A\s*\Z")
"""In a file's name: paths, control characters, ends of lines, and what shows its letters in another order than they are
in, so that a program looks like a picture. Names written from right to left need none of that."""
T = TypeVar("T")
ReadAddress = Callable[[str], Address]
"""The address that a text names. Raises Problem."""


class LocationBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A place, in degrees north and east."""

    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]
    name: Annotated[str, Meta(max_length=_NAME_MAX)] = ""
    address: Annotated[str, Meta(max_length=_NAME_MAX)] = ""


class CardBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One person's card."""

    name: Line
    phone: Annotated[str, Meta(min_length=1, max_length=1000)]
    organisation: Annotated[str, Meta(max_length=_NAME_MAX)] = ""


class PollBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A question and its answers, of which `selectable` may be chosen by each."""

    question: Annotated[str, Meta(min_length=1, max_length=255)]
    options: Annotated[list[Annotated[str, Meta(min_length=1, max_length=100)]], Meta(min_length=2, max_length=12)]
    selectable: Annotated[int, Meta(ge=1, le=12)] = 1


class ContentFields(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is to be said. Which fields belong to a `type` is in docs/messages.md; any other is refused.

    `message` is the text, the caption of a file, or the new words of an `edit`.
    """

    type: Annotated[str, Meta(max_length=32)] = "text"
    message: Annotated[str, Meta(max_length=MESSAGE_MAX)] | None = None
    caption: Annotated[str, Meta(max_length=CAPTION_MAX)] | None = None
    media_url: Annotated[str, Meta(min_length=1, max_length=URL_MAX)] | None = None
    media_base64: str | None = None
    media_id: Annotated[str, Meta(min_length=1, max_length=2_000)] | None = None
    file_name: Annotated[str, Meta(min_length=1, max_length=_NAME_MAX)] | None = None
    location: LocationBody | None = None
    contact: CardBody | None = None
    poll: PollBody | None = None
    target_message_id: Ref | None = None
    emoji: Annotated[str, Meta(max_length=32)] | None = None
    reply_to: Ref | None = None
    mentions: Annotated[list[Annotated[str, Meta(min_length=1, max_length=1000)]], Meta(max_length=MENTIONS_MAX)] = []


def content_of(fields: ContentFields, read_address: ReadAddress, *, kept: KeptMedia | None = None) -> Content:
    """The content that these fields ask for. `kept`: the file that came with the request, or that `media_id` names.

    Raises Problem: `unsupported_type` for a type that does not exist, `invalid_request` for a field that is missing
    or does not belong to the type, and what `read_address` raises.
    """
    kind = _type(fields)
    _refuse_others(fields, kind)
    match kind:
        case MessageType.TEXT:
            return TextContent(_text(fields), _reply_to(fields), _mentions(fields, read_address))
        case (
            MessageType.IMAGE
            | MessageType.VIDEO
            | MessageType.AUDIO
            | MessageType.VOICE
            | MessageType.DOCUMENT
            | MessageType.STICKER
        ):
            return MediaContent(
                kind,
                _media(fields, kept),
                _caption(fields),
                checked_file_name(fields.file_name),
                _reply_to(fields),
                _mentions(fields, read_address),
            )
        case MessageType.LOCATION:
            place = _wanted(fields.location, "location", kind)
            return LocationContent(place.latitude, place.longitude, place.name, place.address, _reply_to(fields))
        case MessageType.CONTACT:
            return _card(_wanted(fields.contact, "contact", kind), _reply_to(fields), read_address)
        case MessageType.POLL:
            return _poll(_wanted(fields.poll, "poll", kind), _reply_to(fields))
        case MessageType.REACTION:
            emoji = _wanted(fields.emoji, "emoji", kind)
            return ReactionContent(_target(fields, kind), emoji)
        case MessageType.EDIT:
            return EditContent(_own_target(fields, kind), _text(fields), _mentions(fields, read_address))
        case MessageType.REVOKE:
            return RevokeContent(_own_target(fields, kind))
        case _:
            assert_never(kind)


def media_type(fields: ContentFields) -> MessageType | None:
    """The type of a message that has a file; None for all others, and for what is no type."""
    return next((each for each in MEDIA_TYPES if each.value == fields.type), None)


_BELONG: dict[MessageType, frozenset[str]] = {
    MessageType.TEXT: frozenset({"message", "reply_to", "mentions"}),
    MessageType.LOCATION: frozenset({"location", "reply_to"}),
    MessageType.CONTACT: frozenset({"contact", "reply_to"}),
    MessageType.POLL: frozenset({"poll", "reply_to"}),
    MessageType.REACTION: frozenset({"target_message_id", "emoji"}),
    MessageType.EDIT: frozenset({"target_message_id", "message", "mentions"}),
    MessageType.REVOKE: frozenset({"target_message_id"}),
}
_OF_MEDIA = frozenset({"media_url", "media_base64", "media_id", "file_name", "reply_to"})
_OF_CAPTIONS = frozenset({"message", "caption", "mentions"})


def _belong(kind: MessageType) -> frozenset[str]:
    if kind in MEDIA_TYPES:
        return _OF_MEDIA | (_OF_CAPTIONS if kind in CAPTIONED else frozenset())
    return _BELONG[kind]


def _type(fields: ContentFields) -> MessageType:
    try:
        return MessageType(fields.type)
    except ValueError:
        known = ", ".join(each.value for each in MessageType)
        detail = f"There is no message type {fields.type[:32]!r}; it is one of {known}"
        raise Problem(Code.UNSUPPORTED_TYPE, detail, field="type") from None


def _refuse_others(fields: ContentFields, kind: MessageType) -> None:
    """A field that says nothing to this type was meant for another one: nothing is passed over.

    An empty text or list says nothing, and some clients fill in every field that they know.
    """
    belong = _belong(kind)
    for name in _ALL:
        if name not in belong and getattr(fields, name) not in (None, "", []):
            raise Problem(Code.INVALID_REQUEST, f"A message of type `{kind.value}` has no {name}", field=name)


_ALL = tuple(sorted(_OF_MEDIA | _OF_CAPTIONS | frozenset().union(*_BELONG.values())))


def _text(fields: ContentFields) -> str:
    if not fields.message:
        detail = f"A message of type `{fields.type}` needs a message of at least one character"
        raise Problem(Code.INVALID_REQUEST, detail, field="message")
    return fields.message


def _caption(fields: ContentFields) -> str:
    """The Laravel application puts the caption into `message`."""
    if fields.caption and fields.message:
        raise Problem(Code.INVALID_REQUEST, "Give either a caption or a message, not both", field="caption")
    words = fields.caption or fields.message or ""
    if len(words) > CAPTION_MAX:
        raise Problem(Code.INVALID_REQUEST, f"A caption has at most {CAPTION_MAX} characters", field="caption")
    return words


def _media(fields: ContentFields, kept: KeptMedia | None) -> Media:
    named = [name for name in ("media_url", "media_base64", "media_id") if getattr(fields, name) is not None]
    if kept is None and fields.media_url is not None and len(named) == 1:
        return LinkedMedia(fields.media_url)
    if kept is not None and fields.media_url is None and len(named) <= 1:
        return kept
    detail = f"A message of type `{fields.type}` has one file: media_url, media_base64, media_id or a part `file`"
    raise Problem(Code.INVALID_REQUEST, detail, field=named[-1] if named else "media_url")


def checked_file_name(name: str | None) -> str | None:
    """A file's name as it may be. Raises Problem."""
    if name is not None and _MISLEADING.search(name):
        raise Problem(Code.INVALID_REQUEST, "A file name has no slashes and no control characters", field="file_name")
    return name


def _card(card: CardBody, reply_to: MessageRef | None, read_address: ReadAddress) -> ContactContent:
    address = read_address(card.phone)
    if address.kind is not AddressKind.PHONE:
        raise Problem(Code.INVALID_REQUEST, "The card of a contact has a phone number", field="contact")
    return ContactContent(card.name, address.id, card.organisation, reply_to)


def _poll(poll: PollBody, reply_to: MessageRef | None) -> PollContent:
    if len(set(poll.options)) < len(poll.options):
        raise Problem(Code.INVALID_REQUEST, "The options of a poll differ from one another", field="poll")
    if poll.selectable > len(poll.options):
        detail = f"Of {len(poll.options)} options no {poll.selectable} can be chosen"
        raise Problem(Code.INVALID_REQUEST, detail, field="poll")
    return PollContent(poll.question, tuple(poll.options), poll.selectable, reply_to)


def _mentions(fields: ContentFields, read_address: ReadAddress) -> tuple[Address, ...]:
    found = tuple(dict.fromkeys(read_address(each) for each in fields.mentions))
    if any(each.kind not in (AddressKind.PHONE, AddressKind.LID) for each in found):
        raise Problem(Code.INVALID_REQUEST, "Only persons can be mentioned", field="mentions")
    return found


def _reply_to(fields: ContentFields) -> MessageRef | None:
    return ref_of(fields.reply_to, "reply_to") if fields.reply_to is not None else None


def _target(fields: ContentFields, kind: MessageType) -> MessageRef:
    return ref_of(_wanted(fields.target_message_id, "target_message_id", kind), "target_message_id")


def _own_target(fields: ContentFields, kind: MessageType) -> MessageRef:
    """Only what the account said itself can be edited or taken back."""
    target = _target(fields, kind)
    written = fields.target_message_id or ""
    if written.startswith("false_"):
        detail = "Only a message of the account's own can be changed; this one is somebody else's"
        raise Problem(Code.INVALID_REQUEST, detail, field="target_message_id")
    return MessageRef(target.id, from_me=True)


def ref_of(written: str, field: str) -> MessageRef:
    """The message that an id names, bare or as whatsapp-web.js writes it. Raises Problem."""
    if (whole := _SERIALISED.fullmatch(written)) is not None:
        return MessageRef(whole["id"], whole["from_me"] == "true", _participant(whole["participant"]))
    if _BARE_ID.fullmatch(written) is None:
        raise Problem(Code.INVALID_REQUEST, f"{written[:60]!r} is no message id", field=field)
    return MessageRef(written)


def _participant(written: str | None) -> Address | None:
    name, _, server = (written or "").partition("@")
    kind = AddressKind.LID if server == "lid" else AddressKind.PHONE
    digits = name.partition(":")[0]
    return Address(kind, digits) if digits.isascii() and digits.isdecimal() else None


def _wanted(value: T | None, name: str, kind: MessageType) -> T:
    if value is None:
        raise Problem(Code.INVALID_REQUEST, f"A message of type `{kind.value}` needs {name}", field=name)
    return value
