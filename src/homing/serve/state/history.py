"""How it was: sends and sessions of the last 24 hours, one sample every ten seconds, in memory."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from homing.decide.knowledge.standing import Counts, Group
from homing.serve.gateway import Gateway

EVERY_S = 10.0
KEPT = 8_640


@dataclass(frozen=True, slots=True)
class Sample:
    """What stood at one moment: `sent` and `not_sent` are per second since the sample before."""

    at: datetime
    sent: float
    not_sent: float
    under_way: int
    needs_you: int
    in_doubt: int


class SampleHistory:
    """The samples of this process. What was before it started, and while it did not run, is a gap."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._before: tuple[datetime, dict[str, float]] | None = None

    def note(self, now: datetime, counts: Counts, gateway: Gateway) -> None:
        """Take a sample if it is time to."""
        if self._before is not None and (now - self._before[0]).total_seconds() < EVERY_S:
            return
        sends = gateway.metrics.sends_by_outcome()
        if self._before is not None:
            since, before = self._before
            took_s = max(0.1, (now - since).total_seconds())
            failed = sends["not_sent"] + sends["unknown"] - before["not_sent"] - before["unknown"]
            sample = Sample(
                now,
                (sends["sent"] - before["sent"]) / took_s,
                failed / took_s,
                counts[Group.UNDER_WAY],
                counts[Group.NEEDS_YOU],
                counts[Group.IN_DOUBT],
            )
            self._samples.append(sample)
        self._before = (now, sends)

    def since(self, at: datetime) -> list[Sample]:
        return [sample for sample in self._samples if sample.at >= at]

    def last_hour(self, now: datetime) -> list[Sample]:
        return self.since(now - timedelta(hours=1))
