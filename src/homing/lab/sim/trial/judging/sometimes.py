"""What must have happened in some run, so that the runs prove anything: each is counted in how many of them it did."""

from collections.abc import Callable, Mapping, Sequence

from homing.lab.sim.trial.judging.sorted_history import SortedHistory
from homing.lab.sim.trial.trial import Run

Happens = Callable[[Run, SortedHistory], bool]


def counted(run: Run) -> dict[str, int]:
    """1 for each thing that happened in this run."""
    seen = SortedHistory(run.scenario, run.events)
    return {name: int(happens(run, seen)) for name, happens in SOMETIMES.items()}


def missing(totals: Mapping[str, int]) -> Sequence[str]:
    """What never happened, in runs of the scenario that has everything, and should have in so many."""
    return [name for name in SOMETIMES if not totals.get(name) and name not in SELDOM | set(OF_THE_OUTBOX)]


def missing_of_the_outbox(totals: Mapping[str, int]) -> Sequence[str]:
    """The same, of the scenario in which messages are handed in."""
    return [name for name in OF_THE_OUTBOX if not totals.get(name)]


def _said(*beginnings: str) -> Happens:
    return lambda run, _: any(line.startswith(beginnings) for line in run.said)


def _kind(kind: str) -> Happens:
    return lambda _, seen: kind in seen.kinds


def _answered(status: int, code: str | None = None) -> Happens:
    return lambda _, seen: any(
        event["status"] == status and (code is None or event["code"] == code) for event in seen.of("answered")
    )


def _unfinished_was_said_again(_: Run, seen: SortedHistory) -> bool:
    """A new holder repeated what an earlier one had reserved."""
    spoken: dict[str, int] = {}
    for event in seen.of("delivered", "repeated", "dropped"):
        epoch = event.facts.get("epoch", 0)
        if event["id"] in spoken and epoch != spoken[event["id"]]:
            return True
        spoken.setdefault(event["id"], epoch)
    return False


def _unknown_arrived(_: Run, seen: SortedHistory) -> bool:
    delivered = {event["text"] for event in seen.of("delivered")}
    return any(event["status"] == 202 and event["message"] in delivered for event in seen.of("answered"))


def _unknown_never_arrived(_: Run, seen: SortedHistory) -> bool:
    delivered = {event["text"] for event in seen.of("delivered")}
    return any(event["status"] == 202 and event["message"] not in delivered for event in seen.of("answered"))


def _moved_twice(_: Run, seen: SortedHistory) -> bool:
    return any(sum(move["kind"] == "rehome" for move in moves) > 1 for moves in seen.by("session", "moved").values())


def _key_was_taken_over(_: Run, seen: SortedHistory) -> bool:
    """A second gateway finished what a first one that died or stood still had begun."""
    for answers in seen.by("message", "unanswered", "answered").values():
        if len(answers) > 1 and answers[0].what == "unanswered" and answers[-1].facts.get("status") == 200:
            return True
    return False


def _old_holder_was_evicted(_: Run, seen: SortedHistory) -> bool:
    return bool(seen.of("evicted"))


SELDOM = frozenset({
    # A frame has to be on the wire in the very millisecond in which its connection is replaced.
    "a frame of an evicted connection was dropped",
    # It takes a store that lost commits, which is another scenario.
    "a login was refused as stale",
})  # fmt: skip
"""Reported, and not insisted on."""

OF_THE_OUTBOX: Mapping[str, Happens] = {
    "a customer's server was away": _kind("a customer's server is away"),
    "an accepted message was cancelled": lambda _, seen: any(
        event["state"] == "cancelled" and event["batch"] is None for event in seen.of("recorded")
    ),
    "a batch was cancelled": lambda _, seen: any(batch["state"] == "cancelled" for batch in seen.of("batch")),
    "a batch was rejected": lambda _, seen: any(batch["state"] == "rejected" for batch in seen.of("batch")),
    "a lane was taken over": _said("A lane of the outbox was taken over"),
    "a lane waited for the store": _said("A lane of the outbox waits for the store"),
    "an accepted message was repeated under its id": lambda _, seen: any(
        " to " in event["text"] for event in seen.of("repeated")
    ),
    "an event was told twice": lambda _, seen: any(
        len(told) > 1 for told in seen.by("id", "told").values() if told[0]["where"] == told[-1]["where"]
    ),
}

SOMETIMES: Mapping[str, Happens] = {
    **OF_THE_OUTBOX,
    "an instance died": _kind("instance dies"),
    "an instance froze": _kind("instance freezes"),
    "several instances died together": _kind("instances die together"),
    "a gateway died": _kind("gateway dies"),
    "a gateway froze": _kind("gateway freezes"),
    "the network was parted": _kind("nothing passes between"),
    "the store was away": _kind("store is away"),
    "the store kept its answers to itself": _kind("store loses transactions and answers"),
    "a clock jumped": _kind("clock jumps"),
    "an operator moved a session": _kind("operator moves a session"),
    "a foreign gateway died": _kind("foreign gateway dies"),
    "a foreign gateway froze": _kind("foreign gateway freezes"),
    "a session was moved by hand": _kind("somebody moves a session by hand"),
    "a session that was moved by hand was found": lambda _, seen: any(
        move["session"] in seen.foreign and move["kind"] == "rediscovery" for move in seen.of("moved")
    ),
    "a send through a foreign gateway was unknown": lambda _, seen: any(
        event["status"] == 202 and event["message"].split(" ")[0] in seen.foreign for event in seen.of("answered")
    ),
    "an instance was judged to be gone": _said("Instance gone"),
    "a session was rehomed": _said("Session moves"),
    "a session was rehomed more than once": _moved_twice,
    "a session was rediscovered": _said("Session rediscovered"),
    "the brake was engaged": _said("Brake engaged"),
    "the brake was released": _said("Brake released"),
    "an instance paused itself": _said("Sessions are paused: this boot"),
    "nothing was granted while the store was away": _said("Leases cannot be read"),
    "a holder was evicted by its successor": _old_holder_was_evicted,
    "a frame of an evicted connection was dropped": lambda _, seen: bool(seen.of("dropped")),
    "a message was repeated under its id": lambda _, seen: bool(seen.of("repeated")),
    "a new holder repeated what was reserved": _unfinished_was_said_again,
    "a send was unknown and had arrived": _unknown_arrived,
    "a send was unknown and never arrived": _unknown_never_arrived,
    "a send was refused while its session moved": _answered(503, "session_not_ready"),
    "a send was refused without the directory": _answered(503, "directory_unavailable"),
    "a send found nobody who has the session": _answered(503, "session_unreachable"),
    "a key was in flight elsewhere": _answered(409, "idempotency_key_in_flight"),
    "another gateway finished a send": _key_was_taken_over,
    "a send got no answer": lambda _, seen: bool(seen.of("unanswered")),
    "a request was delivered twice": lambda run, _: "request delivered twice" in run.said,
    "a request was reset after delivery": lambda run, _: "request reset after delivery" in run.said,
    "a request was lost on its way back": lambda run, _: "request lost after delivery" in run.said,
    "a record waited for the store": _said("A message's record is held back"),
    "reports waited for their gateway": _said("Gateway does not answer"),
    "a report was refused for its clock": _said("Notification waits"),
    "a login was refused as stale": lambda _, seen: any(
        event["reason"] == "stale_credentials" for event in seen.of("login_refused")
    ),
}
