"""What the world outside saw: the only thing that a run is judged by."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec

_encoded = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that was seen. `what` is one of the words below, `facts` are plain JSON values.

    Clients: asked, answered, unanswered (message, attempt, gateway, key; status, code, outcome).
    WhatsApp: logged_in, evicted, login_refused, delivered, repeated, dropped, refused (session, url, epoch, ...);
    written and settled, for what people write to a session.
    Writers: accepted, not_accepted, taken_back (message, uuid), batch_accepted, batch_taken_back (batch, messages).
    Customers' servers: told (where, id, type, chat, number, status).
    The weather: fault, healed. At the end: listed (what an instance says it has), placed (what the API says),
    stored (an event that the API has), recorded (a message as the API tells of it), event (one that customers are
    told), delivery (of it to one of them), batch (as the API tells of it), end.
    """

    at_s: float
    what: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.facts[name]

    def line(self) -> bytes:
        """The same for equal events, in any process."""
        return _encoded((round(self.at_s, 6), self.what, self.facts))


class Corrupted(Exception):
    """This cannot be a history. The message says why."""


class OutsideHistory:
    """What happened, in order. `clock` gives seconds since the beginning."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._events: list[Happened] = []
        self._closed = False

    @property
    def events(self) -> list[Happened]:
        return self._events

    def add(self, what: str, **facts: Any) -> None:
        if not self._closed:
            self._events.append(Happened(self._clock(), what, facts))

    def close(self) -> None:
        """What is left to tidy up is not part of the story."""
        self._closed = True


def fingerprint(events: Iterable[Happened]) -> str:
    """Equal for equal histories, in any process."""
    digest = blake2b(digest_size=16)
    for event in events:
        digest.update(event.line())
    return digest.hexdigest()


WORDS = frozenset({
    *("asked", "answered", "unanswered"),
    *("logged_in", "evicted", "login_refused", "delivered", "repeated", "dropped", "refused", "written", "settled"),
    *("accepted", "not_accepted", "taken_back", "batch_accepted", "batch_taken_back", "told"),
    *("fault", "healed"),
    *("listed", "gateways", "connected", "kept", "placed", "stored", "recorded", "moved"),
    *("event", "delivery", "batch", "unreadable", "end"),
})  # fmt: skip


def checked(events: list[Happened]) -> list[Happened]:
    """The same events, if they can be a history: in order of time, of known words, ended once. Raises Corrupted."""
    before_s = 0.0
    for place, event in enumerate(events):
        if event.what not in WORDS:
            raise Corrupted(f"event {place} is {event.what!r}, which nobody can have seen")
        if event.at_s < before_s:
            raise Corrupted(f"event {place} is at {event.at_s:.3f} s, after one at {before_s:.3f} s")
        before_s = event.at_s
    if not events or events[-1].what != "end" or sum(event.what == "end" for event in events) != 1:
        raise Corrupted("it has no end, or something after it")
    asked = {(event["message"], event["attempt"]) for event in events if event.what == "asked"}
    for event in events:
        if event.what in ("answered", "unanswered") and (event["message"], event["attempt"]) not in asked:
            raise Corrupted(f"message {event['message']} was {event.what} and never asked for")
    return events
