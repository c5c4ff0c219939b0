"""A content as a JSON object and back: for rows, jobs and fingerprints. `read(written(content)) == content`."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from homing.model.sends.addresses import Address
from homing.model.sends.content import (
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

_CLASSES: dict[MessageType, Any] = {
    MessageType.TEXT: TextContent,
    MessageType.LOCATION: LocationContent,
    MessageType.CONTACT: ContactContent,
    MessageType.POLL: PollContent,
    MessageType.REACTION: ReactionContent,
    MessageType.EDIT: EditContent,
    MessageType.REVOKE: RevokeContent,
    **dict.fromkeys(MEDIA_TYPES, MediaContent),
}


def written(content: Content) -> dict[str, Any]:
    """The content's fields that say something, with its `type`. The same content is always the same object."""
    by_name = {each.name: (getattr(content, each.name), each.default) for each in fields(content)}
    told = {name: _written(value) for name, (value, unsaid) in sorted(by_name.items()) if value != unsaid}
    return told | {"type": content.type.value}


def identity(content: Content) -> dict[str, Any]:
    """What makes two contents the same one: a file counts by its bytes, or by the URL that was written."""
    told = written(content)
    media = told.get("media", {})
    return told | {"media": {name: value for name, value in media.items() if name != "id"}} if media else told


def read(told: dict[str, Any]) -> Content:
    """The content that `written` wrote. Raises ValueError or TypeError for anything else."""
    kind = MessageType(told["type"])
    given = {name: _READERS.get(name, _as_it_is)(value) for name, value in told.items() if name != "type"}
    made = _CLASSES[kind]
    content: Content = made(**given, type=kind)
    return content


def _written(value: Any) -> Any:
    match value:
        case MessageRef():
            said = {"id": value.id, "from_me": value.from_me}
            return said | ({"participant": str(value.participant)} if value.participant else {})
        case LinkedMedia(url=url):
            return {"url": url}
        case KeptMedia():
            return {each.name: getattr(value, each.name) for each in fields(value)}
        case Address():
            return str(value)
        case tuple():
            return [_written(each) for each in value]
        case _:
            return value


def _ref(told: dict[str, Any]) -> MessageRef:
    participant = told.get("participant")
    return MessageRef(told["id"], told["from_me"], Address.of(participant) if participant else None)


def _media(told: dict[str, Any]) -> Media:
    return LinkedMedia(told["url"]) if "url" in told else KeptMedia(**told)


def _as_it_is(value: Any) -> Any:
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    "reply_to": _ref,
    "target": _ref,
    "media": _media,
    "mentions": lambda told: tuple(Address.of(each) for each in told),
    "options": tuple,
}
