"""Recorded traffic of real gateways: what was asked, what was answered, and what they reported by themselves.

The recordings in `fixtures/transcripts` belong to the suite; those in the folder that `HOMING_TRANSCRIPTS` names are
picked up beside them, whatever they are called.
"""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from homing.drivers.http.connection import Reply
from homing.model.sends.faults import Fault, Phase

KEPT = Path(__file__).parent / "fixtures" / "transcripts"
FAMILIES = {
    "webjs-seed": "webjs",
    "webjs": "webjs",
    "waha-noweb": "waha",
    "waha-webjs": "waha",
    "evolution-api": "evolution",
    "wwebjs-api": "wwebjs-api",
    "wppconnect-server": "wppconnect",
    "baileys-api": "baileys-api",
}
"""Which of our drivers speaks to a recorded gateway."""

_NO_ANSWER = {
    "ConnectionRefusedError": Phase.REFUSED,
    "RemoteDisconnected": Phase.INTERRUPTED,
    "ConnectionResetError": Phase.INTERRUPTED,
    "TimeoutError": Phase.REPLY_TIMED_OUT,
}
"""What our wire makes of what the recorder met."""


@dataclass(frozen=True)
class Exchange:
    """One recorded request with its answer, or with none."""

    number: int
    gateway: str
    case: str
    method: str
    target: str
    headers: dict[str, str]
    told: Any
    status: int | None
    answered: Any
    answer_headers: dict[str, str]
    note: str = ""
    """What the recorder saw besides."""

    @cached_property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def is_report(self) -> bool:
        """Whether the gateway asked, and not the recorder."""
        return self.case == "webhook"

    @property
    def name(self) -> str:
        """What a table names it by: the case, and the path where a case has several."""
        return f"{self.case}: {self.path}" if self.case == "health" else self.case

    def reply(self) -> Reply | Fault:
        """The answer as the wire hands it to a driver."""
        if self.status is None:
            met = str(self.answered).lstrip("<").partition(":")[0]
            return Fault(_NO_ANSWER.get(met, Phase.INTERRUPTED), str(self.answered))
        headers = {name.lower(): value for name, value in self.answer_headers.items()}
        body = self.answered if isinstance(self.answered, str) else json.dumps(self.answered)
        return Reply(self.status, headers, body.encode())


@dataclass(frozen=True)
class Transcript:
    """One file of recorded traffic."""

    path: Path
    exchanges: tuple[Exchange, ...]

    @property
    def gateways(self) -> set[str]:
        return {each.gateway for each in self.exchanges}

    @property
    def families(self) -> set[str | None]:
        """The drivers that speak to what was recorded; None among them where there is none yet."""
        return {FAMILIES.get(gateway) for gateway in self.gateways}


def transcripts() -> list[Transcript]:
    """All recordings, the suite's own first."""
    named = os.environ.get("HOMING_TRANSCRIPTS")
    folders = [KEPT, *([Path(named)] if named else [])]
    return [read(path) for folder in folders for path in sorted(folder.glob("*.json"))]


def read(path: Path) -> Transcript:
    rows = json.loads(path.read_text())
    return Transcript(path, tuple(_exchange(number, row) for number, row in enumerate(rows)))


def _exchange(number: int, row: dict[str, Any]) -> Exchange:
    asked, answered = row["request"], row["response"]
    return Exchange(
        number=number,
        gateway=row["gateway"],
        case=row["case"],
        method=asked["method"],
        target=asked["path"],
        headers=asked.get("headers") or {},
        told=asked.get("body"),
        status=answered.get("status"),
        answered=answered.get("body"),
        answer_headers=answered.get("headers") or {},
        note=row.get("note") or "",
    )
