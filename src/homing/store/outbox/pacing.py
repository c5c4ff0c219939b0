"""The pace of a lane: which of the messages that are due may go now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from homing.store.db.rows import AnyRow


@dataclass(frozen=True, slots=True)
class Paced:
    """What may go now; in how many seconds the next one may, if the pace holds some back, and why."""

    rows: Sequence[AnyRow]
    next_s: float | None
    reason: str


def paced(connection: Connection, lane: AnyRow, rows: Sequence[AnyRow], now: datetime, chance: float) -> Paced:  # noqa: ARG001
    """All of them, where no pace is set."""
    return Paced(rows, None, "")
