"""What must be true of what was accepted: none of it lost, none said twice, each chat in order, and customers told."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from homing.decide.outbox.endings import CHAT_WAITS_S
from homing.lab.sim.trial.judging.history import Happened
from homing.lab.sim.trial.judging.sorted_history import Found, SortedHistory

SENT = ("sent", "delivered", "read")
NEVER_SENT = ("failed", "expired", "cancelled")
_PICKED_UP_WITHIN_S = 35.0
"""A delivery that is due is begun in this time, whoever died."""


def accepted_is_never_lost(seen: SortedHistory) -> Found:
    """What was accepted is on record, in a state that is true of it, and comes to an end."""
    if seen.of("unreadable") or seen.lost_commits:
        return
    records = {record["uuid"]: record for record in seen.of("recorded")}
    for accepted in seen.of("accepted"):
        record = records.get(accepted["uuid"])
        if record is None:
            yield accepted.at_s, f"{accepted['message']!r} was accepted, and there is no record of it"
        else:
            yield from _wrong_of(seen, record)


def _wrong_of(seen: SortedHistory, record: Happened) -> Iterator[tuple[float, str]]:
    text, state = record["text"], record["state"]
    arrived = text in seen.delivered_texts
    if state in SENT and not arrived:
        yield seen.end_s, f"{text!r} is on record as {state}, and was never delivered"
    elif state in NEVER_SENT and arrived:
        yield seen.end_s, f"{text!r} is on record as {state} ({record['reason']}), and was delivered"
    elif state in ("accepted", "dispatching") and not seen.is_paused(record["batch"]):
        yield seen.end_s, f"{text!r} is {state} at the end: {record['reason']}"
    elif state == "unknown" and arrived and seen.all_is_reported:
        yield seen.end_s, f"{text!r} is unknown at the end ({record['reason']}), and was delivered"


def batches_are_whole(seen: SortedHistory) -> Found:
    """A batch that was accepted has all of its messages, one that was not has none, and each comes to an end."""
    if seen.of("unreadable") or seen.lost_commits:
        return
    records = seen.by("batch", "recorded")
    for accepted in seen.of("batch_accepted"):
        found = records.get(accepted["batch"], [])
        missing = set(accepted["messages"]) - {record["text"] for record in found}
        if missing:
            yield accepted.at_s, f"batch {accepted['batch']} was accepted without {len(missing)} of its messages"
        for record in found:
            yield from _wrong_of(seen, record)
    for batch in seen.of("batch"):
        found = records.get(batch["id"], [])
        if batch["state"] == "rejected" and any(record["text"] in seen.delivered_texts for record in found):
            yield seen.end_s, f"batch {batch['id']} was rejected, and some of it was delivered"
        if batch["state"] == "running":
            yield seen.end_s, f"batch {batch['id']} runs still, with nothing left to send"


def what_was_taken_back_is_not_said(seen: SortedHistory) -> Found:
    """Who was told that a message was taken back is not proven wrong."""
    for back in seen.of("taken_back"):
        if back["message"] in seen.delivered_texts and not seen.lost_commits:
            yield back.at_s, f"{back['message']!r} was taken back, and was delivered"


def accepted_order_stays(seen: SortedHistory) -> Found:
    """In each chat what was accepted first arrives first, unless it was in doubt for as long as a chat waits."""
    if seen.lost_commits:
        return
    first = {event["text"]: event.at_s for event in reversed(seen.of("delivered"))}
    chats: dict[tuple[str, str], list[Happened]] = defaultdict(list)
    for accepted in seen.of("accepted"):
        chats[accepted["session"], accepted["recipient"]].append(accepted)
    for written in chats.values():
        arrived = [(each, first[each["message"]]) for each in written if each["message"] in first]
        for (before, before_s), (after, after_s) in pairwise(arrived):
            if after_s < before_s and after_s - before.at_s < CHAT_WAITS_S:
                yield before_s, f"{before['message']!r} arrived after {after['message']!r}"


# --- customers ----------------------------------------------------------------------------------------------------


def endings_are_told(seen: SortedHistory) -> Found:
    """For each message that was sent or never will be there is an event that says so."""
    if seen.of("unreadable") or seen.lost_commits or not seen.scenario.receivers:
        return
    told = {event["uuid"] for event in seen.of("event")} | {None}
    for record in seen.of("recorded"):
        is_ours = record["text"].startswith("batch ") or " to " in record["text"]
        by_batch = record["state"] == "cancelled" and record["batch"] is not None
        ended = record["state"] in NEVER_SENT and not by_batch
        if is_ours and ended and record["uuid"] not in told:
            yield seen.end_s, f"{record['text']!r} is {record['state']}, and no event says so"


def events_are_delivered(seen: SortedHistory) -> Found:
    """Each event goes to each customer's server: it has it, or it is due later, or it was given up.

    Where order was asked for, one that is due may stand behind another of its chat that is due later.
    """
    if seen.of("unreadable") or seen.lost_commits:
        return
    has = {(told["where"], told["id"]) for told in seen.of("told") if told["status"] < 300}
    made = {(each["where"], each["id"]): each for each in seen.of("delivery")}
    heads = _heads_of_lanes(seen)
    for event in seen.of("event"):
        for host in seen.scenario.receiver_hosts:
            delivery = made.get((host, event["id"]))
            if delivery is None:
                yield seen.end_s, f"{event['type']} {event['id']} is not to be told to {host}"
            elif delivery["state"] == "delivered" and (host, event["id"]) not in has:
                yield seen.end_s, f"{event['type']} {event['id']} is delivered to {host}, which never had it"
            elif heads.get((host, delivery["lane"]), event["id"]) != event["id"]:
                continue
            elif delivery["state"] == "pending" and delivery["due_s"] < seen.end_s - _PICKED_UP_WITHIN_S:
                yield seen.end_s, f"{event['type']} {event['id']} for {host} is due since {delivery['due_s']:.0f} s"


def _heads_of_lanes(seen: SortedHistory) -> dict[tuple[str, str], str]:
    """For who asked for order: the event that is next in each lane, of those that wait."""
    ordered = seen.scenario.receiver_hosts[::2]
    waiting = [each for each in seen.of("delivery") if each["state"] == "pending" and each["where"] in ordered]
    waiting.sort(key=lambda each: each["place"], reverse=True)
    return {(each["where"], each["lane"]): each["id"] for each in waiting}


def nothing_is_told_but_events(seen: SortedHistory) -> Found:
    """What a customer's server is told is stored: nobody hears of what was rolled back."""
    if seen.of("unreadable") or seen.lost_commits:
        return
    stored = {event["id"] for event in seen.of("event")}
    for told in seen.of("told"):
        if told["id"] not in stored:
            yield told.at_s, f"{told['where']} was told {told['id']}, which never was"


def chats_are_told_in_order(seen: SortedHistory) -> Found:
    """Who asked for order has each chat's events in their order, at the first time that it takes each."""
    newest: dict[tuple[str, str, str], int] = {}
    taken: set[tuple[str, str]] = set()
    ordered = seen.scenario.receiver_hosts[::2]
    for told in seen.of("told"):
        if told["where"] not in ordered or told["status"] >= 300 or not told["chat"] or seen.lost_commits:
            continue
        if (told["where"], told["id"]) in taken:
            continue
        taken.add((told["where"], told["id"]))
        chat = (told["where"], told["session"], told["chat"])
        if told["number"] < newest.get(chat, 0):
            yield told.at_s, f"{told['where']} has number {told['number']} of {chat[2]} after {newest[chat]}"
        newest[chat] = max(told["number"], newest.get(chat, 0))


CHECKERS = (
    accepted_is_never_lost,
    batches_are_whole,
    what_was_taken_back_is_not_said,
    accepted_order_stays,
    endings_are_told,
    events_are_delivered,
    nothing_is_told_but_events,
    chats_are_told_in_order,
)
