"""A run as people read it: what went wrong, what was seen, what the product said, in order."""

from collections.abc import Callable, Iterator

from homing.lab.sim.trial.judging.history import Happened
from homing.lab.sim.trial.trial import Run

_AT_LAST = frozenset({"listed", "gateways", "connected", "kept", "placed", "stored", "recorded", "moved"})


def timeline(run: Run, about: str = "") -> Iterator[str]:
    """A line for each thing that happened. `about` leaves out what does not name it, but for faults."""
    lines = [(event.at_s, "", _told(event)) for event in run.events if event.what not in _AT_LAST]
    lines += [(at_s, who, what) for at_s, who, what in run.lines]
    for at_s, who, what in sorted(lines, key=lambda line: line[0]):
        if about in what or what.startswith(("FAULT", "healed", "Instance", "Brake", "paused")):
            yield f"{at_s:9.3f}  {who:16} {what}"


def _told(event: Happened) -> str:
    return _WORDS.get(event.what, _plain)(event)


def _plain(event: Happened) -> str:
    facts = ", ".join(f"{name}={value}" for name, value in event.facts.items() if value is not None)
    return f"{event.what} {facts}"


def _by(event: Happened) -> str:
    return f"{event.facts.get('url')} at epoch {event.facts.get('epoch')}"


def _answered(event: Happened) -> str:
    ending = event["detail"] or event["id"] or ""
    return f"{event['message']!r} is answered {event['status']} {event['code'] or event['outcome'] or ''} {ending}"


_WORDS: dict[str, Callable[[Happened], str]] = {
    "fault": lambda event: f"FAULT {event['kind']} {event['where']} {event['other']} {event['amount'] or ''}".rstrip(),
    "healed": lambda event: f"healed: {event['kind']} {event['where']} {event['other']}".rstrip(),
    "asked": lambda event: (
        f"{event['message']!r} is asked of {event['gateway']}, attempt {event['attempt']}"
        + ("" if event["key"] else ", without a key")
    ),
    "answered": _answered,
    "unanswered": lambda event: f"{event['message']!r} gets no answer: {event['why']}",
    "logged_in": lambda event: f"{event['session']} logs in to WhatsApp from {_by(event)} as {event['connection']}",
    "evicted": lambda event: f"{event['session']}: WhatsApp replaces {event['connection']} with {event['by']}",
    "login_refused": lambda event: f"{event['session']}: WhatsApp refuses {_by(event)}: {event['reason']}",
    "delivered": lambda event: (
        f"{event['text']!r} ARRIVES from {_by(event)}, {event['id']}, counter {event['counter']}"
    ),
    "repeated": lambda event: f"{event['text']!r} comes again from {_by(event)}, and is dropped",
    "dropped": lambda event: f"{event['text']!r} comes over a connection that was replaced, and is dropped",
    "refused": lambda event: f"{event['text']!r} is refused by WhatsApp: {event['reason']}",
    "written": lambda event: f"somebody writes to {event['session']}: {event['id']}",
    "settled": lambda event: f"{event['session']}: {_by(event)} has {event['id']}",
    "end": lambda _: "the end",
}
