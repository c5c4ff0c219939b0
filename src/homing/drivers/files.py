"""What the answers with a file have in common: the bytes as they are, or in base64 inside of JSON."""

import re
from base64 import b64decode
from binascii import Error
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, runtime_checkable

from homing.drivers.http.wire import FetchedReply, Reply
from homing.model.sends.calls import MediaUnavailable
from homing.model.sends.faults import Fault

_HEAD_MAX: Final = 64 * 1024
"""What may stand before the file in its JSON."""
_SPACE: Final = b" \t\r\n\\"


@runtime_checkable
class Fetches(Protocol):
    """A wire that can give a body out while it comes in."""

    def fetch(
        self,
        method: str,
        base_url: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        body_limit_bytes: int,
    ) -> AbstractAsyncContextManager[FetchedReply | Reply | Fault]: ...


def bare_id_of(message_id: str) -> str:
    """WhatsApp's own id, without what whatsapp-web.js wraps it in: `false_<chat>_<id>`."""
    parts = message_id.split("_")
    return parts[2] if len(parts) >= 3 and parts[0] in ("true", "false") else message_id


async def out_of_json(pieces: AsyncIterator[bytes], name: str) -> AsyncIterator[bytes]:
    """The file that stands in base64 under this name. Raises MediaUnavailable where there is none, or only a part.

    Inside of a text a quote has a backslash before it, so a caption cannot pass for a member.
    """
    begins = re.compile(rb'"' + re.escape(name.encode()) + rb'"\s*:\s*"')
    head, found = b"", False
    waiting = b""
    async for piece in pieces:
        if not found:
            head += piece
            match = begins.search(head)
            if match is None:
                if len(head) > _HEAD_MAX:
                    raise MediaUnavailable("its gateway's answer holds no file")
                continue
            found, piece = True, head[match.end() :]
        text, closed, _ = piece.partition(b'"')
        waiting += text.translate(None, _SPACE)
        if closed:
            yield _decoded(waiting + b"=" * (-len(waiting) % 4))
            return
        whole = len(waiting) // 4 * 4
        yield _decoded(waiting[:whole])
        waiting = waiting[whole:]
    raise MediaUnavailable("its gateway's answer ended in the middle of the file" if found else "it holds no file")


def _decoded(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Error, ValueError):
        raise MediaUnavailable("its gateway's answer holds no base64") from None
