"""What came of batches: what was accepted, held against what the gateways say of it and what recipients got."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SENT = ("sent", "delivered", "read")
_WAITING = ("accepted", "held", "dispatching")
_MARK = "batch"


def text_of(batch: int, line: int) -> str:
    """What a line says: by it the ledger tells which one it was."""
    return f"{_MARK} {batch} line {line}"


@dataclass(slots=True)
class Arrivals:
    """Lines of batches as the ledger has them. `disordered`: those that reached their chat behind a later one."""

    times: Counter[tuple[int, int]] = field(default_factory=Counter)
    chats: set[tuple[str, str]] = field(default_factory=set)
    disordered: list[str] = field(default_factory=list)
    _newest: dict[tuple[str, str, int], int] = field(default_factory=dict)

    @classmethod
    def of(cls, ledger: Path) -> "Arrivals":
        seen = cls()
        with ledger.open(encoding="utf-8") as file:
            for line in file:
                if f'"{_MARK} ' in line:
                    seen.take(json.loads(line))
        return seen

    def take(self, delivery: Mapping[str, Any]) -> None:
        words = str(delivery["text"]).split()
        if len(words) != 4 or (words[0], words[2]) != (_MARK, "line"):
            return
        batch, line = int(words[1]), int(words[3])
        chat = (str(delivery["session_id"]), str(delivery["recipient"]))
        self.chats.add(chat)
        self.times[batch, line] += 1
        newest = self._newest.get((*chat, batch), -1)
        if line < newest and self.times[batch, line] == 1:
            self.disordered.append(f"{delivery['text']} after line {newest}, in one chat")
        self._newest[(*chat, batch)] = max(newest, line)

    @property
    def doubled(self) -> list[str]:
        return [text_of(*which) for which, times in self.times.items() if times > 1]


@dataclass(frozen=True, slots=True)
class BatchVerdict:
    """All batches together. `states`: how many messages the gateways say to be in each."""

    handed_in: int
    accepted: int
    states: Mapping[str, int]
    arrived: int
    doubled: int
    disordered: int
    chats: int
    examples: tuple[str, ...] = ()

    @property
    def sent(self) -> int:
        return self._in(_SENT)

    @property
    def waiting(self) -> int:
        return self._in(_WAITING)

    @property
    def unknown(self) -> int:
        return self.states.get("unknown", 0)

    @property
    def ended_otherwise(self) -> int:
        """Refused, expired or taken back."""
        return sum(self.states.values()) - self.sent - self.waiting - self.unknown

    @property
    def missing(self) -> int:
        """Accepted, and in no state at all."""
        return self.accepted - sum(self.states.values())

    @property
    def wrong(self) -> list[str]:
        """Every promise that was broken, in words."""
        most = self.sent + self.unknown
        counts = {
            "lines were handed in and not accepted": self.handed_in - self.accepted,
            "accepted messages are in no state": self.missing,
            "messages were said twice": self.doubled,
            "messages reached their chat behind a later one": self.disordered,
            "messages were called sent, and nobody has them": max(0, self.sent - self.arrived),
            "messages arrived that are called neither sent nor unknown": max(0, self.arrived - most),
            "messages wait still": self.waiting,
        }
        told = [f"batches: {count:,} {what}" for what, count in counts.items() if count]
        return told + [f"batches: {each}" for each in self.examples]

    @property
    def sentence(self) -> str:
        return (
            f"Batches: {self.accepted:,} accepted - ({self.sent:,} sent + {self.ended_otherwise:,} failed +"
            f" {self.unknown:,} unknown + {self.waiting:,} waiting) = {self.missing:,}; {self.doubled:,} said twice,"
            f" {self.disordered:,} out of order in {self.chats:,} chats."
        )

    def document(self) -> dict[str, Any]:
        return {
            "handed_in": self.handed_in,
            "accepted": self.accepted,
            "states": dict(self.states),
            "missing": self.missing,
            "arrived": self.arrived,
            "doubled": self.doubled,
            "disordered": self.disordered,
            "chats": self.chats,
            "wrong": self.wrong,
        }

    def _in(self, states: Iterable[str]) -> int:
        return sum(self.states.get(each, 0) for each in states)


def judged(batches: Iterable[Mapping[str, Any]], handed_in: int, ledger: Path) -> BatchVerdict:
    """By the batches as a gateway shows them, and the ledger."""
    states: Counter[str] = Counter()
    accepted = 0
    for shown in batches:
        accepted += shown["messages"]
        states.update(shown["states"])
    seen = Arrivals.of(ledger)
    examples = (*(f"said twice: {each}" for each in seen.doubled[:3]), *seen.disordered[:3])
    return BatchVerdict(
        handed_in,
        accepted,
        dict(states),
        arrived=len(seen.times),
        doubled=len(seen.doubled),
        disordered=len(seen.disordered),
        chats=len(seen.chats),
        examples=examples,
    )
