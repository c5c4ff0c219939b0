"""How notices are written down for the way between gateways."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import msgspec
import structlog

from homing.ports import (
    AccountChanged,
    AlertsChanged,
    CacheCleared,
    EventsStored,
    KeysChanged,
    Notice,
    OptOutsChanged,
    OutboxChanged,
    PlacementChanged,
    RosterChanged,
    WorkReady,
    WorkspacesChanged,
)

VERSION = 1
LARGEST_PAYLOAD_BYTES = 7_900  # PostgreSQL takes less than 8000

_KINDS: dict[str, type[Notice]] = {
    "placement": PlacementChanged,
    "account": AccountChanged,
    "roster": RosterChanged,
    "keys": KeysChanged,
    "workspaces": WorkspacesChanged,
    "opt-outs": OptOutsChanged,
    "alerts": AlertsChanged,
    "events": EventsStored,
    "cleared": CacheCleared,
    "work": WorkReady,
    "outbox": OutboxChanged,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}

log = structlog.get_logger("homing")


@dataclass(frozen=True, slots=True)
class Letter:
    """Some notices of one sender. `number` tells the sender's batches apart."""

    sender: str
    number: int
    notices: Sequence[Notice]


def written(letter: Letter) -> list[str]:
    """The letter as one payload or several, each short enough for every carrier, all ASCII."""
    head = f'{{"v":{VERSION},"from":{json.dumps(letter.sender)},"n":{letter.number},"notices":['
    room = LARGEST_PAYLOAD_BYTES - len(head) - len("]}")
    return [f"{head}{','.join(part)}]}}" for part in _parts((_written(each, room) for each in letter.notices), room)]


def proof(sender: str, number: int) -> str:
    """A payload without a notice, by which a sender finds out whether it hears itself."""
    return f'{{"v":{VERSION},"from":{json.dumps(sender)},"n":{number},"notices":[]}}'


def read(payload: str) -> Letter:
    """The letter in a payload. What cannot be understood is taken as the worst: that nothing cached can be trusted."""
    try:
        content = json.loads(payload)
        version, sender, number = content["v"], str(content["from"]), int(content["n"])
        if version != VERSION:
            return Letter(sender, number, [CacheCleared(f"a notice of version {version!r} cannot be understood here")])
        return Letter(sender, number, list(_known(content["notices"])))
    except (ValueError, KeyError, TypeError, msgspec.ValidationError) as error:
        log.warning("Notice could not be read, and is ignored", payload=payload[:200], error=str(error))
        return Letter("", 0, [CacheCleared("a notice could not be read")])


def _written(notice: Notice, room: int) -> str:
    content = {field.name: getattr(notice, field.name) for field in fields(notice)}
    text = json.dumps([_NAMES[type(notice)], content], separators=(",", ":"))
    return text if len(text) <= room else _written(CacheCleared("a notice was too long for the way"), room)


def _parts(texts: Iterable[str], room: int) -> Iterable[list[str]]:
    part: list[str] = []
    length = 0
    for text in texts:
        if part and length + len(text) + 1 > room:
            yield part
            part, length = [], 0
        part.append(text)
        length += len(text) + 1
    if part:
        yield part


def _known(notices: Iterable[tuple[str, dict[str, Any]]]) -> Iterable[Notice]:
    for name, content in notices:
        if name in _KINDS:
            yield msgspec.convert(content, _KINDS[name])
        else:
            log.warning("Notice of an unknown kind is ignored", kind=name)
