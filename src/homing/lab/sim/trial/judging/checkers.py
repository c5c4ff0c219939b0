"""What must be true of every history. Each checker reads what was seen from outside, and nothing else."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from homing.lab.sim.trial.judging import outbox
from homing.lab.sim.trial.judging.history import Happened
from homing.lab.sim.trial.judging.sorted_history import Checker, Found, SortedHistory
from homing.lab.sim.trial.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be. `at_s` is when it showed."""

    checker: str
    what: str
    at_s: float


def violations(scenario: Scenario, events: Sequence[Happened]) -> list[Violation]:
    """Everything that is wrong with this history. Raises Corrupted for what cannot be one."""
    seen = SortedHistory(scenario, events)
    found = [Violation(checker.__name__, what, at_s) for checker in CHECKERS for at_s, what in checker(seen)]
    return sorted(found, key=lambda violation: (violation.at_s, violation.checker, violation.what))


# --- messages -----------------------------------------------------------------------------------------------------


def said_once(seen: SortedHistory) -> Found:
    """No message reaches a person twice. Where WhatsApp does not honour ids, only a repetition may."""
    for text, deliveries in seen.by("text", "delivered").items():
        ids = {delivery["id"] for delivery in deliveries}
        if len(deliveries) > 1 and (seen.scenario.drop_repeats or len(ids) > 1):
            yield deliveries[1].at_s, f"{text!r} was delivered {len(deliveries)} times, under {len(ids)} ids"


def sent_means_delivered(seen: SortedHistory) -> Found:
    """Who was answered 200 was served."""
    delivered = seen.by("text", "delivered")
    for answer in seen.of("answered"):
        if answer["status"] == 200 and answer["message"] not in delivered:
            yield answer.at_s, f"{answer['message']!r} was answered 200 and never delivered"


def not_sent_means_not_delivered(seen: SortedHistory) -> Found:
    """Where every attempt was answered that nothing was sent, nothing arrives, then or later."""
    delivered = seen.by("text", "delivered")
    answers = seen.by("message", "answered", "unanswered")
    asked = seen.by("message", "asked")
    for text, attempts in answers.items():
        refusals = [
            each for each in attempts if each.what == "answered" and each["success"] is False and _settles(each)
        ]
        if len(refusals) == len(asked[text]) == len(attempts) and text in delivered:
            said = refusals[-1]
            yield said.at_s, f"{text!r} was answered {said['status']} {said['code']}, and was delivered"


def _settles(answer: Happened) -> bool:
    """Not the word of a gateway that another one is at it."""
    return answer["code"] not in ("idempotency_key_in_flight", "idempotency_key_reused")


def unknown_is_on_record(seen: SortedHistory) -> Found:
    """Who was answered 202 can read later what became of it; and it says sent only of what was delivered."""
    if seen.of("unreadable"):
        return
    records = {record["uuid"]: record for record in seen.of("recorded")}
    delivered = {delivery["id"] for delivery in seen.of("delivered")}
    for answer in seen.of("answered"):
        if answer["status"] != 202:
            continue
        record = records.get(answer["uuid"])
        if record is None and not (seen.lost_commits or _kept_in_a_gateway_that_died(seen, answer)):
            yield answer.at_s, f"{answer['message']!r} was answered 202, and there is no record of it"
        elif record is not None and record["state"] == "sent" and record["id"] not in delivered:
            yield answer.at_s, f"{answer['message']!r} is on record as sent, and was never delivered"
        elif record is not None and not record["reason"]:
            yield answer.at_s, f"{answer['message']!r} is on record without a reason"


def _kept_in_a_gateway_that_died(seen: SortedHistory, answer: Happened) -> bool:
    """While the store is away a record waits in its gateway's memory, and the answer has to do for the client."""
    asked = next(e for e in seen.of("asked") if (e["message"], e["attempt"]) == (answer["message"], answer["attempt"]))
    gateway = asked["gateway"]
    return seen.store_troubled(gateway, answer.at_s) and any(
        fault["where"] == gateway and fault["kind"] == "gateway dies" and fault.at_s >= answer.at_s
        for fault in seen.of("fault")
    )


def answers_are_kept(seen: SortedHistory) -> Found:
    """The same key is answered the same."""
    keys = {(event["message"], event["attempt"]): event["key"] for event in seen.of("asked")}
    ids: dict[str, set[str]] = defaultdict(set)
    for answer in seen.of("answered"):
        key = keys[answer["message"], answer["attempt"]]
        if key is not None and answer["id"] is not None:
            ids[key].add(answer["id"])
    for key, different in sorted(ids.items()):
        if len(different) > 1:
            yield seen.end_s, f"{key!r} was answered under {len(different)} message ids"


def order_stays(seen: SortedHistory) -> Found:
    """What was asked for after another message was sent arrives after it."""
    sent: dict[tuple[str, str], int] = defaultdict(int)
    finished: dict[str, bool] = {}
    numbers = {event["message"]: (event["session"], event["recipient"], event["number"]) for event in seen.of("asked")}
    for event in seen.of("answered"):
        finished[event["message"]] = finished.get(event["message"], False) or event["status"] == 200
    for delivery in seen.of("delivered"):
        if delivery["text"] not in numbers:
            continue
        session, recipient, number = numbers[delivery["text"]]
        if number < sent[session, recipient] and finished.get(delivery["text"]):
            yield delivery.at_s, f"{delivery['text']!r} arrived after number {sent[session, recipient]}"
        sent[session, recipient] = max(sent[session, recipient], number)


def never_504(seen: SortedHistory) -> Found:
    """What was not sent is told with a code, and never in a way that clients repeat blindly."""
    for answer in seen.of("answered"):
        if answer["status"] in (500, 502, 504):
            yield answer.at_s, f"{answer['message']!r} was answered {answer['status']}: {answer['detail']}"


def everybody_is_answered(seen: SortedHistory) -> Found:
    """A gateway that neither died nor stood still answers in time."""
    disturbed = {"gateway dies", "gateway freezes", "requests are upset between", "everything is slow between"}
    if seen.kinds & (disturbed | {"nothing passes between"}):
        return
    for event in seen.of("unanswered"):
        yield event.at_s, f"{event['message']!r} got no answer ({event['why']})"


# --- holders ------------------------------------------------------------------------------------------------------


def epochs_only_rise(seen: SortedHistory) -> Found:
    """Nothing arrives under an older epoch once something arrived under a newer one."""
    if seen.lost_commits:
        return
    newest: dict[str, int] = {}
    for delivery in seen.of("delivered"):
        session, epoch = delivery["session"], delivery["epoch"]
        if session in seen.foreign:
            continue
        if epoch < newest.get(session, 0):
            yield delivery.at_s, f"{session}: {delivery['text']!r} under epoch {epoch}, after {newest[session]}"
        newest[session] = max(epoch, newest.get(session, 0))


def one_speaker_for_each_epoch(seen: SortedHistory) -> Found:
    """Two instances never speak under one epoch."""
    speakers: dict[tuple[str, int], str] = {}
    for event in seen.of("delivered", "logged_in"):
        if "url" not in event.facts or event["epoch"] < 0:
            continue
        key = (event["session"], event["epoch"])
        if speakers.setdefault(key, event["url"]) != event["url"]:
            yield event.at_s, f"{key[0]}: {speakers[key]} and {event['url']} both under epoch {key[1]}"


def credentials_never_go_back(seen: SortedHistory) -> Found:
    """WhatsApp never meets an older ratchet, nor older credentials, than it has seen."""
    if seen.lost_commits:
        return
    for event in seen.of("refused"):
        if event["reason"] == "ratchet_regressed":
            yield event.at_s, f"{event['session']}: {event['text']!r} came with counter {event['counter']}, used before"
    for event in seen.of("login_refused"):
        if event["reason"] == "logged_out":
            yield event.at_s, f"{event['session']}: {event['url']} was refused its login, as logged out"


# --- what comes in ------------------------------------------------------------------------------------------------


def inbound_is_kept(seen: SortedHistory) -> Found:
    """What WhatsApp was told to forget is stored, or waits in the vault or on an instance's disk; stored once."""
    if seen.of("unreadable") or seen.lost_commits:
        return
    stored = Counter(event["data"].get("message", {}).get("id") for event in seen.of("stored"))
    kept = {name for event in seen.of("kept") for name in event["ids"]}
    for event in seen.of("settled"):
        if event["session"] in seen.foreign:
            continue  # its gateway keeps what comes in, and reports nothing here
        if event["id"] not in kept and event["id"] not in stored:
            yield event.at_s, f"inbound {event['id']} of {event['session']} was acknowledged and is nowhere"
    for name, times in sorted(stored.items()):
        if times > 1:
            yield seen.end_s, f"inbound {name} is stored {times} times"


# --- afterwards ---------------------------------------------------------------------------------------------------


def everybody_is_back(seen: SortedHistory) -> Found:
    """Some time after the last fault every session is connected, where the directory says, under that epoch."""
    placed = {event["session"]: event for event in seen.of("placed")}
    if not placed:
        yield seen.end_s, "the directory could not be read after all faults were over"
        return
    for event in seen.of("connected"):
        session, place = event["session"], placed[event["session"]]
        if event["removed"] or session in seen.odd_sessions or session in seen.foreign:
            continue
        if "url" not in event.facts:
            yield seen.end_s, f"{session} is not connected; the directory says {_place(place)}"
        elif (event["url"], event["epoch"]) != (place["url"], place["epoch"]) or place["state"] != "held":
            yield (
                seen.end_s,
                f"{session} is at {event['url']}, epoch {event['epoch']}; the directory says {_place(place)}",
            )


def foreign_sessions_are_left_alone(seen: SortedHistory) -> Found:
    """Nobody brings a session of somebody else's gateway back elsewhere: nobody vouched for a fence. Where it is may be
    found out, and only its own gateways ever open it."""
    ours = set(seen.scenario.instance_urls)
    for event in seen.of("logged_in"):
        if event["session"] in seen.foreign and event.facts.get("url") in ours:
            yield event.at_s, f"{event['session']} was opened by {event['url']}, which is one of ours"
    for move in seen.of("moved"):
        if move["session"] in seen.foreign and move["kind"] not in ("placement", "rediscovery"):
            yield seen.end_s, f"{move['session']}: {move['kind']}, {move['reason']}"


def foreign_sessions_are_found(seen: SortedHistory) -> Found:
    """Who was answered that a message was sent through a session that somebody had moved has its record corrected."""
    placed = {event["session"]: event for event in seen.of("placed")}
    connected = {event["session"]: event for event in seen.of("connected")}
    sent = {event["text"]: event for event in seen.of("delivered")}
    newest = {event["session"]: event for event in sent.values() if event["session"] in seen.foreign}
    if seen.of("unreadable") or seen.lost_commits or not placed:
        return
    answered = {event["message"] for event in seen.of("answered") if event["status"] == 200}
    moved = {event["where"]: event.at_s for event in seen.of("fault") if event["kind"] == _BY_HAND}
    for session, delivery in sorted(newest.items()):
        told = delivery["text"] in answered and delivery.at_s > moved.get(session, 0.0)
        here = connected[session].facts.get("url")
        if told and here == delivery["url"] and placed[session]["url"] != here:
            yield (
                seen.end_s,
                f"{session} sent from {here}, where it still is; the directory says {_place(placed[session])}",
            )


_BY_HAND = "somebody moves a session by hand"


def _place(place: Happened) -> str:
    return f"{place['url']}, epoch {place['epoch']}, {place['state']}, {place['status']}"


def one_holder_at_last(seen: SortedHistory) -> Found:
    """In the end no two instances say that they have a session connected."""
    holders: dict[str, list[str]] = defaultdict(list)
    for event in seen.of("listed"):
        for session, (status, _) in (event["sessions"] or {}).items():
            if status == "connected":
                holders[session].append(event["url"])
    for session, urls in sorted(holders.items()):
        if len(urls) > 1:
            yield seen.end_s, f"{session} is connected on {' and '.join(urls)}, as they say themselves"


def quiet_at_last(seen: SortedHistory) -> Found:
    """Once all is well it stays so: nobody logs in any more."""
    for event in seen.of("logged_in"):
        if event.at_s > seen.scenario.settled_by_s and event["session"] not in seen.odd_sessions:
            yield event.at_s, f"{event['session']} was logged in anew by {event.facts.get('url')}"


def inbound_arrives_at_last(seen: SortedHistory) -> Found:
    """In the end WhatsApp keeps nothing for a session that is connected."""
    for event in seen.of("connected"):
        if event["waiting"] and "url" in event.facts and event["session"] not in seen.odd_sessions:
            yield seen.end_s, f"{event['session']}: {len(event['waiting'])} inbound messages are still with WhatsApp"


CHECKERS: tuple[Checker, ...] = (
    said_once,
    sent_means_delivered,
    not_sent_means_not_delivered,
    unknown_is_on_record,
    answers_are_kept,
    order_stays,
    never_504,
    everybody_is_answered,
    epochs_only_rise,
    one_speaker_for_each_epoch,
    credentials_never_go_back,
    inbound_is_kept,
    everybody_is_back,
    one_holder_at_last,
    quiet_at_last,
    inbound_arrives_at_last,
    foreign_sessions_are_left_alone,
    foreign_sessions_are_found,
    *outbox.CHECKERS,
)
