"""What a chat shows of itself, as its gateway tells it, and what is to be found there."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

HISTORY_MAX = 50
"""So many of a chat's newest messages are asked for."""


@dataclass(frozen=True, slots=True)
class SeenMessage:
    """One message that a chat shows, under WhatsApp's id as its gateway writes it.

    `at_s` is in unix seconds. `text`: its words, or those beside its file; `file_sha256` in hex. `reached`: whether
    WhatsApp has it; None where the gateway does not tell.
    """

    message_id: str
    from_me: bool
    at_s: int | None
    text: str | None
    file_sha256: str | None = None
    reached: bool | None = None


@dataclass(frozen=True, slots=True)
class ChatHistory:
    """The newest messages of a chat, in no order. `cut`: there may be older ones. `says_at`: the gateway's clock."""

    messages: tuple[SeenMessage, ...]
    cut: bool
    says_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HandOver:
    """In which time a message may have left our hands: from its handing over until it was given up. Ours, by UTC."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Alike:
    """Our other messages that a chat may show in the place of one. `ids`: of those seen, which are others'.

    `open`: how many of the same words to the same person may have gone, and nobody knows.
    """

    ids: Collection[str] = ()
    open: int = 0
