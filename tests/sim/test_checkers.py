"""Each checker speaks up when it is fed a history in which its promise is broken, and none when all is well."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from homing.lab.sim.trial.judging import outbox
from homing.lab.sim.trial.judging.checkers import CHECKERS, violations
from homing.lab.sim.trial.judging.history import Corrupted, Happened
from homing.lab.sim.trial.judging.report import judged
from homing.lab.sim.trial.scenario import SCENARIOS
from homing.lab.sim.trial.trial import Run, run

CALM = SCENARIOS["calm"]
THEIRS = CALM.foreign_session_ids
Events = list[Happened]
Corrupt = Callable[[Events], Events]


@cache
def calm_run() -> Run:
    """A run in which nothing goes wrong."""
    return run(CALM, 11)


def history() -> Events:
    return list(calm_run().events)


def told(event: Happened, **facts: Any) -> Happened:
    return replace(event, facts={**event.facts, **facts})


def changed(events: Events, at: int, **facts: Any) -> Events:
    return [*events[:at], told(events[at], **facts), *events[at + 1 :]]


def place(events: Sequence[Happened], what: str, nth: int = 0, **facts: Any) -> int:
    """Where the nth event of the kind is, of those with these facts."""
    fitting = [
        at
        for at, event in enumerate(events)
        if event.what == what and all(event.facts.get(name) == value for name, value in facts.items())
    ]
    return fitting[nth]


def sent(events: Events) -> Happened:
    """The answer to some message that was sent at the first attempt."""
    return events[place(events, "answered", status=200, attempt=1)]


def twice_to_one_chat(events: Events) -> tuple[int, int]:
    """Two deliveries of one session to one person, in their order."""
    first: dict[tuple[str, str], int] = {}
    for at, event in enumerate(events):
        if event.what == "delivered":
            chat = (event["session"], event["recipient"])
            if chat in first:
                return first[chat], at
            first[chat] = at
    raise AssertionError("no chat had two messages")


def delivered_twice(events: Events) -> Events:
    at = place(events, "delivered")
    return [*events[: at + 1], events[at], *events[at + 1 :]]


def never_delivered(events: Events) -> Events:
    text = sent(events)["message"]
    return [event for event in events if not (event.what == "delivered" and event["text"] == text)]


def called_not_sent(events: Events) -> Events:
    at = place(events, "answered", status=200, attempt=1)
    return changed(events, at, status=503, success=False, code="session_unreachable", id=None)


def unknown_and_nowhere(events: Events) -> Events:
    return changed(events, place(events, "answered", status=200), status=202, success=None, outcome="unknown")


def answered_under_two_ids(events: Events) -> Events:
    keyed = next(event for event in events if event.what == "asked" and event["key"])
    at = place(events, "answered", message=keyed["message"])
    again = [told(events[place(events, "asked", message=keyed["message"])], attempt=2)]
    again = [replace(each, at_s=events[at].at_s) for each in again]
    return [*events[: at + 1], *again, told(events[at], attempt=2, id="3EB0OTHER"), *events[at + 1 :]]


def out_of_order(events: Events) -> Events:
    first, second = twice_to_one_chat(events)
    text = events[second]["text"]
    return changed(changed(events, second, text=events[first]["text"]), first, text=text)


def a_gateway_timeout(events: Events) -> Events:
    return changed(events, place(events, "answered"), status=504)


def no_answer(events: Events) -> Events:
    at = place(events, "answered")
    facts = {"message": events[at]["message"], "attempt": events[at]["attempt"], "why": "reply_timed_out"}
    return [*events[:at], Happened(events[at].at_s, "unanswered", facts), *events[at + 1 :]]


def under_an_old_epoch(events: Events) -> Events:
    first, _ = twice_to_one_chat(events)
    return changed(events, first, epoch=events[first]["epoch"] + 1)


def two_speakers(events: Events) -> Events:
    first, _ = twice_to_one_chat(events)
    return changed(events, first, url="http://elsewhere:3001")


def counter_used_before(events: Events) -> Events:
    at = place(events, "delivered")
    refused = Happened(events[at].at_s, "refused", {**events[at].facts, "reason": "ratchet_regressed"})
    return [*events[: at + 1], refused, *events[at + 1 :]]


def inbound_lost(events: Events) -> Events:
    lost = events[place(events, "settled")]["id"]
    return [
        event for event in events if not (event.what == "stored" and event["data"].get("message", {}).get("id") == lost)
    ]


def inbound_stored_twice(events: Events) -> Events:
    at = place(events, "stored")
    return [*events[:at], events[at], *events[at:]]


def placed_elsewhere(events: Events) -> Events:
    return changed(events, place(events, "placed"), url="http://elsewhere:3001")


def not_connected(events: Events) -> Events:
    at = place(events, "connected")
    gone = {name: value for name, value in events[at].facts.items() if name not in ("url", "epoch")}
    return [*events[:at], replace(events[at], facts=gone), *events[at + 1 :]]


def listed_twice(events: Events) -> Events:
    first, second = place(events, "listed"), place(events, "listed", 1)
    return changed(events, second, sessions={**events[second]["sessions"], **events[first]["sessions"]})


def restless(events: Events) -> Events:
    at = place(events, "listed")
    again = told(events[place(events, "logged_in")])
    return [*events[:at], replace(again, at_s=CALM.settled_by_s + 1.0), *events[at:]]


def taken_over(events: Events) -> Events:
    """A session of somebody else's gateway was brought back by ours."""
    at = next(at for at, event in enumerate(events) if event.what == "moved" and event["session"] in THEIRS)
    return changed(events, at, kind="rehome")


def not_found(events: Events) -> Events:
    """The record of one does not follow where it sends from."""
    sender = next(event["session"] for event in events if event.what == "delivered" and event["session"] in THEIRS)
    return changed(events, place(events, "placed", session=sender), url="http://nowhere")


def kept_by_whatsapp(events: Events) -> Events:
    return changed(events, place(events, "connected"), waiting=["an inbound message"])


CORRUPTIONS: list[tuple[str, Corrupt]] = [
    ("said_once", delivered_twice),
    ("sent_means_delivered", never_delivered),
    ("not_sent_means_not_delivered", called_not_sent),
    ("unknown_is_on_record", unknown_and_nowhere),
    ("answers_are_kept", answered_under_two_ids),
    ("order_stays", out_of_order),
    ("never_504", a_gateway_timeout),
    ("everybody_is_answered", no_answer),
    ("epochs_only_rise", under_an_old_epoch),
    ("one_speaker_for_each_epoch", two_speakers),
    ("credentials_never_go_back", counter_used_before),
    ("inbound_is_kept", inbound_lost),
    ("inbound_is_kept", inbound_stored_twice),
    ("everybody_is_back", placed_elsewhere),
    ("everybody_is_back", not_connected),
    ("one_holder_at_last", listed_twice),
    ("quiet_at_last", restless),
    ("inbound_arrives_at_last", kept_by_whatsapp),
    ("foreign_sessions_are_left_alone", taken_over),
    ("foreign_sessions_are_found", not_found),
]


def test_nothing_is_wrong_with_a_calm_run() -> None:
    assert calm_run().broke is None
    assert violations(CALM, history()) == []


@pytest.mark.parametrize(("checker", "corrupt"), CORRUPTIONS, ids=lambda given: getattr(given, "__name__", given))
def test_a_broken_promise_is_noticed(checker: str, corrupt: Corrupt) -> None:
    found = violations(CALM, corrupt(history()))
    assert checker in {violation.checker for violation in found}


def test_every_checker_is_fed_something_wrong() -> None:
    of_the_outbox = {checker.__name__ for checker in outbox.CHECKERS}  # see `test_outbox_checkers`
    assert {checker.__name__ for checker in CHECKERS} - of_the_outbox == {name for name, _ in CORRUPTIONS}


@pytest.mark.parametrize(
    ("corrupt", "said"),
    [
        (lambda events: events[:-1], "it has no end"),
        (lambda events: [*events, events[-1]], "something after it"),
        (lambda events: [replace(events[0], what="dreamt"), *events[1:]], "'dreamt', which nobody can have seen"),
        (lambda events: [replace(events[0], at_s=59.0), *events[1:]], "after one at 59.000 s"),
        (lambda events: [e for e in events if e.what != "asked"], "never asked for"),
    ],
)
def test_what_cannot_be_a_history_is_refused(corrupt: Corrupt, said: str) -> None:
    with pytest.raises(Corrupted, match=said):
        violations(CALM, corrupt(history()))


def test_a_run_with_a_corrupted_history_fails_and_says_so() -> None:
    verdict = judged(replace(calm_run(), events=history()[:-1]))
    assert [(each.checker, "corrupted" in each.what) for each in verdict.violations] == [("history", True)]
