"""What the outside world saw: the recipients' ledger, held against what senders were told.

Nothing here is taken from Homing's own word on itself.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from homing.lab.chaos.client import AskedMessage


@dataclass(frozen=True, slots=True)
class LoadVerdict:
    """What came of some messages. Each is counted under the worst that befell it.

    `lost`: answered as sent, and no recipient has it. `doubled`: a recipient has it more than once. `unknown`:
    answered as unknown; of these `unknown_arrived` at their recipients. `unanswered`: the sender gave up, after all
    its patience.
    """

    messages: int = 0
    lost: int = 0
    doubled: int = 0
    unknown: int = 0
    unknown_arrived: int = 0
    unanswered: int = 0
    raw: int = 0
    """Somebody was answered 500: nobody had thought of what happened."""
    failed_at_first: int = 0
    """Requests that needed another one: the first was not answered 200."""

    def __add__(self, other: "LoadVerdict") -> "LoadVerdict":
        return LoadVerdict(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(slots=True)
class Judge:
    """Reads the ledger as it grows."""

    ledger: Path
    delivered: Counter[str] = field(default_factory=Counter)
    under_old_epochs: list[str] = field(default_factory=list)
    """Messages that went out under an epoch below one which the same session had shown before."""
    newest_epoch: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _read_to: int = 0

    def read(self) -> None:
        """Take in what was written since the last time; a line that is still being written waits."""
        if not self.ledger.exists():
            return
        with self.ledger.open("rb") as file:
            file.seek(self._read_to)
            complete, newline, _ = file.read().rpartition(b"\n")
        self._read_to += len(complete) + len(newline)
        for line in complete.splitlines():
            self._take(json.loads(line))

    def judge(self, messages: Iterable[AskedMessage]) -> LoadVerdict:
        """What came of these. Messages still on their way are not judged."""
        self.read()
        verdict = LoadVerdict()
        for message in messages:
            if message.over:
                verdict += self._of(message)
        return verdict

    def _of(self, message: AskedMessage) -> LoadVerdict:
        times = self.delivered[message.text]
        lost = message.was_sent and not times
        return LoadVerdict(
            messages=1,
            lost=lost,
            doubled=times > 1,
            unknown=message.is_unknown and times <= 1,
            unknown_arrived=message.is_unknown and times == 1,
            unanswered=not message.is_settled and times <= 1,
            raw=any(answer.status == HTTPStatus.INTERNAL_SERVER_ERROR for answer in message.answers),
            failed_at_first=message.failed_at_first,
        )

    def _take(self, delivery: dict[str, Any]) -> None:
        self.delivered[delivery["text"]] += 1
        session, epoch = delivery["session_id"], int(delivery["label"]["epoch"])
        if epoch < self.newest_epoch[session]:
            self.under_old_epochs.append(delivery["text"])
        self.newest_epoch[session] = max(self.newest_epoch[session], epoch)


@dataclass(slots=True)
class MultideviceJudge(Judge):
    """The same where WhatsApp speaks its real protocol: phones decrypt, and its ledger has what became of each message.

    `sessions` are by the number whose devices they are.
    """

    sessions: Mapping[str, str] = field(default_factory=dict)
    unreadable: int = 0
    """Messages that a phone could not decrypt at first, and asked for once more."""
    accepted: set[str] = field(default_factory=set)

    def _take(self, delivery: dict[str, Any]) -> None:
        match delivery["event"]:
            case "shown" if not delivery.get("own_copy"):
                self.delivered[delivery["text"]] += 1
            case "undecryptable":
                self.unreadable += 1
            case "login" if not delivery.get("refused"):
                session, epoch = self._who(delivery["device"], delivery)
                self.newest_epoch[session] = max(self.newest_epoch[session], epoch)
            case "accepted":
                self._took(delivery)
            case _:
                pass

    def _took(self, delivery: dict[str, Any]) -> None:
        """The same id once more is the same bytes: sealed before, whoever says it."""
        session, epoch = self._who(delivery["sender"], delivery)
        if delivery["message_id"] not in self.accepted and epoch < self.newest_epoch[session]:
            self.under_old_epochs.append(delivery["message_id"])
        self.accepted.add(delivery["message_id"])

    def _who(self, device: str, delivery: dict[str, Any]) -> tuple[str, int]:
        return self.sessions.get(device.partition(":")[0], device), int(delivery["label"].get("epoch", 0))
