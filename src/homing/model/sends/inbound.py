"""Files that came with messages: how a gateway is asked for one, and how it comes."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InboundFile:
    """The file of a message that a session's gateway told of. `chat` and `url` are as it wrote them.

    `reference` is by what an instance of ours finds it at WhatsApp, whichever of them holds the session.
    """

    message_id: str
    chat: str | None
    from_me: bool = False
    url: str | None = None
    mime_type: str = ""
    file_name: str = ""
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class FileStream:
    """A file on its way from its gateway. `size` in bytes, where it is told before the last one came.

    `chunks` gives its bytes once, and raises MediaUnavailable where they break off.
    """

    chunks: Callable[[], AsyncIterator[bytes]]
    size: int | None = None
