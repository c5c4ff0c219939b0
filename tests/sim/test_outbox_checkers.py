"""Each checker of the outbox speaks up when what was accepted is lost, said twice, out of order or not told."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from homing.lab.sim.trial.judging import outbox
from homing.lab.sim.trial.judging.checkers import violations
from homing.lab.sim.trial.judging.history import Happened
from homing.lab.sim.trial.scenario import SCENARIOS
from homing.lab.sim.trial.trial import Run, run

OUTBOX = SCENARIOS["outbox"]
Events = list[Happened]
Corrupt = Callable[[Events], Events]


@cache
def undisturbed() -> Run:
    """A run in which nothing goes wrong but what customers' servers do."""
    return run(OUTBOX, 5, ())


def changed(events: Events, which: Happened, **facts: Any) -> Events:
    return [replace(each, facts={**each.facts, **facts}) if each is which else each for each in events]


def without(events: Events, what: str, **facts: Any) -> Events:
    return [each for each in events if each.what != what or any(each.facts[name] != facts[name] for name in facts)]


def arrived(events: Events) -> Happened:
    """Some accepted message that reached its recipient."""
    texts = {each["text"] for each in events if each.what == "delivered"}
    return next(each for each in events if each.what == "accepted" and each["message"] in texts)


def record_of(events: Events, message: str) -> Happened:
    return next(each for each in events if each.what == "recorded" and each["text"] == message)


def forgotten(events: Events) -> Events:
    return without(events, "recorded", text=arrived(events)["message"])


def never_delivered(events: Events) -> Events:
    return without(events, "delivered", text=arrived(events)["message"])


def failed_and_said(events: Events) -> Events:
    return changed(events, record_of(events, arrived(events)["message"]), state="failed")


def still_waiting(events: Events) -> Events:
    return changed(events, record_of(events, arrived(events)["message"]), state="dispatching")


def said_twice(events: Events) -> Events:
    text = arrived(events)["message"]
    at = next(at for at, each in enumerate(events) if each.what == "delivered" and each["text"] == text)
    return [*events[:at], events[at], *events[at:]]


def half_a_batch(events: Events) -> Events:
    batch = next(each for each in events if each.what == "batch_accepted")
    return without(events, "recorded", text=batch["messages"][0])


def a_batch_without_an_end(events: Events) -> Events:
    return changed(events, next(each for each in events if each.what == "batch"), state="running")


def taken_back_and_said(events: Events) -> Events:
    accepted = arrived(events)
    at = events.index(accepted)
    back = Happened(accepted.at_s, "taken_back", {"message": accepted["message"], "uuid": accepted["uuid"]})
    return [*events[: at + 1], back, *events[at + 1 :]]


def out_of_order(events: Events) -> Events:
    first = arrived(events)
    texts = {each["text"] for each in events if each.what == "delivered"}
    chats: dict[tuple[str, str], list[Happened]] = {}
    for each in events:
        if each.what == "accepted" and each["message"] in texts:
            chats.setdefault((each["session"], each["recipient"]), []).append(each)
    first, second = next(chat for chat in chats.values() if len(chat) > 1)[:2]
    swapped = {first["message"]: second["message"], second["message"]: first["message"]}
    return [
        replace(each, facts={**each.facts, "text": swapped.get(each["text"], each["text"])})
        if each.what == "delivered"
        else each
        for each in events
    ]


def failed_and_not_told(events: Events) -> Events:
    text = arrived(events)["message"]
    record = record_of(events, text)
    return without(
        changed(without(events, "delivered", text=text), record, state="failed"), "event", uuid=record["uuid"]
    )


def one_event_less(events: Events) -> Events:
    gone = next(each for each in events if each.what == "delivery")
    return [each for each in events if each is not gone]


def delivered_to_nobody(events: Events) -> Events:
    made = next(each for each in events if each.what == "delivery" and each["state"] == "delivered")
    return without(events, "told", where=made["where"], id=made["id"])


def due_and_let_be(events: Events) -> Events:
    made = next(each for each in events if each.what == "delivery" and each["state"] == "delivered")
    return changed(events, made, state="pending", due_s=5.0)


def a_rumour(events: Events) -> Events:
    return without(events, "event", id=next(each for each in events if each.what == "told")["id"])


def told_out_of_order(events: Events) -> Events:
    ordered = [each for each in events if each.what == "told" and each["where"] == OUTBOX.receiver_hosts[0]]
    second = next(each for each in ordered if each["chat"] and each["number"] == 2)
    first = next(each for each in ordered if (each["chat"], each["number"]) == (second["chat"], 1))
    return changed(events, first, number=1_000)


CORRUPTIONS: list[tuple[str, Corrupt]] = [
    ("accepted_is_never_lost", forgotten),
    ("accepted_is_never_lost", never_delivered),
    ("accepted_is_never_lost", failed_and_said),
    ("accepted_is_never_lost", still_waiting),
    ("said_once", said_twice),
    ("batches_are_whole", half_a_batch),
    ("batches_are_whole", a_batch_without_an_end),
    ("what_was_taken_back_is_not_said", taken_back_and_said),
    ("accepted_order_stays", out_of_order),
    ("endings_are_told", failed_and_not_told),
    ("events_are_delivered", one_event_less),
    ("events_are_delivered", delivered_to_nobody),
    ("events_are_delivered", due_and_let_be),
    ("nothing_is_told_but_events", a_rumour),
    ("chats_are_told_in_order", told_out_of_order),
]


def test_nothing_is_wrong_with_an_undisturbed_run() -> None:
    assert undisturbed().broke is None
    assert violations(OUTBOX, undisturbed().events) == []


@pytest.mark.parametrize(("checker", "corrupt"), CORRUPTIONS, ids=lambda given: getattr(given, "__name__", given))
def test_a_broken_promise_of_the_outbox_is_noticed(checker: str, corrupt: Corrupt) -> None:
    found = violations(OUTBOX, corrupt(list(undisturbed().events)))
    assert checker in {violation.checker for violation in found}


def test_every_checker_of_the_outbox_is_fed_something_wrong() -> None:
    assert {checker.__name__ for checker in outbox.CHECKERS} <= {name for name, _ in CORRUPTIONS}
