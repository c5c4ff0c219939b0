"""What a tester may break: faults armed for so many times, for all devices or for one; and rules that stay."""

from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any

MAX_TIMES = 10_000
MAX_SECONDS = 600.0


class Fault(StrEnum):
    """Where something goes wrong."""

    DROP_ACK = "drop_ack"
    """A message is accepted and passed on, and its sender does not hear of it."""
    DELAY_ACK = "delay_ack"
    CUT_BEFORE_ACCEPTING = "cut_before_accepting"
    CUT_AFTER_ACCEPTING = "cut_after_accepting"
    ERROR_ACK = "error_ack"
    """A message is not accepted, with ``code``."""
    REFUSE_LOGIN = "refuse_login"
    DELAY_LOGIN = "delay_login"
    END_AFTER_LOGIN = "end_after_login"
    """A stream error with ``code`` right after a login."""
    IGNORE_RECEIPT = "ignore_receipt"
    """A receipt is lost: what it was for is offered again at the next login."""
    NO_ANSWER = "no_answer"
    """A question gets no answer."""
    FREEZE = "freeze"
    """The next thing that a device says, and all after it, waits for so many seconds."""


class BadOrder(ValueError):
    """This cannot be armed, or set, as it is."""


@dataclass(slots=True)
class Armed:
    """A fault that waits for its occasion."""

    fault: Fault
    times: int = 1
    seconds: float = 0.0
    code: int = 0
    device: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.times <= MAX_TIMES or not 0 <= self.seconds <= MAX_SECONDS:
            raise BadOrder(f"a fault is armed for 1 to {MAX_TIMES} times and for at most {MAX_SECONDS:.0f} s")


class Faults:
    """All that is armed, the oldest first."""

    def __init__(self) -> None:
        self._armed: list[Armed] = []

    def arm(self, armed: Armed) -> None:
        self._armed.append(armed)

    def disarm(self) -> None:
        self._armed.clear()

    def take(self, fault: Fault, device: str) -> Armed | None:
        """The fault that strikes here and now: one of its times is used up."""
        for armed in self._armed:
            if armed.fault is fault and armed.device in (None, device):
                armed.times -= 1
                if not armed.times:
                    self._armed.remove(armed)
                return armed
        return None

    def as_told(self) -> list[dict[str, Any]]:
        return [asdict(armed) for armed in self._armed]


@dataclass(frozen=True, slots=True)
class Rules:
    """How this WhatsApp behaves. A rate of zero is no limit."""

    logins_per_second: int = 0
    throttled_code: int = 429
    nacks_forget: bool = True
    """What a device could not read is not offered again once it said so. What the real one does is unknown."""
    drop_repeats: bool = True
    """Phones show an id once. The server passes repeats on in any case."""
    linger_ms: int = 2000
    """How long a device has to close a connection itself after its last words: one that meets the end together with the
    words may lose these."""
    tokens_required: bool = False
    """Whether a message to a person must show the token that this person gave: else it is refused with 463."""
    prekeys_low: int = 10
    """A device is told when fewer one-time prekeys are left."""

    def changed(self, wanted: dict[str, Any]) -> "Rules":
        """Raises ``BadOrder`` for a rule that there is not, or a value of another kind."""
        kinds = {each.name: type(getattr(self, each.name)) for each in fields(self)}
        for name, value in wanted.items():
            if kinds.get(name) is not type(value):
                raise BadOrder(f"{name}={value!r} is no rule; they are {', '.join(kinds)}, each of its own kind")
        return replace(self, **wanted)
