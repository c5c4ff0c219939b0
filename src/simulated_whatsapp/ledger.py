"""What reached the recipients: one JSON line for each message, in the order in which they were accepted."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Self


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as its recipient saw it. ``at`` is ISO-8601 UTC with milliseconds; ``label`` is opaque.

    ``text`` is the text or the caption. ``content`` is what else the message says, opaque but for its ``type``;
    ``media_sha256`` is of the file's bytes as they were uploaded. A plain text has neither, and its line neither.
    """

    at: str
    session_id: str
    recipient: str
    message_id: str
    text: str
    label: Any
    content: Any = None
    media_sha256: str | None = None


def timestamp(now: float) -> str:
    """Unix seconds, as the ledger writes them: ``2026-01-31T09:30:00.250Z``."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Ledger:
    """An append-only file of deliveries. A delivery may be acknowledged to its sender once ``append`` returned."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self.path = path
        self._file: BinaryIO = path.open("ab")

    def append(self, deliveries: Iterable[Delivery]) -> None:
        """Write the deliveries and hand them to the operating system, so that killing this process loses none."""
        for delivery in deliveries:
            self._file.write(_line(delivery))
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(path: Path) -> list[Delivery]:
    """Every complete line of a ledger, oldest first; a last line still being written is left out."""
    if not path.exists():
        return []
    complete, _, _ = path.read_bytes().rpartition(b"\n")
    return [Delivery(**json.loads(line)) for line in complete.splitlines()]


def _line(delivery: Delivery) -> bytes:
    return json.dumps(_fields(delivery), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _fields(delivery: Delivery) -> dict[str, Any]:
    said = {name: getattr(delivery, name) for name in _NAMES}
    more = {name: getattr(delivery, name) for name in ("content", "media_sha256")}
    return said | {name: value for name, value in more.items() if value is not None}


_NAMES = ("at", "session_id", "recipient", "message_id", "text", "label")
