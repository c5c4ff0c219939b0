"""Does what an instance reports tell that a send whose outcome was unknown was sent after all?

By the message's id wherever the gateway took ours, however late. Where the gateway made its own, by the same text from
the same account to the same person, reported as outgoing within ten minutes of the send's beginning. WhatsApp may
report a person under an old form of their number, or under an address without one (`…@lid`); then only if no other send
could be meant.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from homing.decide.phones.spellings import one_line
from homing.decide.reports.meanings import message_id_of, message_of
from homing.model.fleet import SessionId
from homing.model.instances.events import DeliveryEvidence, Settlement
from homing.model.instances.report_body import cleaned
from homing.model.sends.messages import MessageRecord, MessageState

SAME_TEXT_WITHIN_S = 600.0
EARLY_BY_S = 2.0
"""Clocks of two gateways may differ by this; nothing earlier can be of a send that had not begun."""
_ACKNOWLEDGED, _DELIVERED, _READ = 2, 3, 4
_FAR_ENOUGH = {"sent", "server", "delivered", "device", "read", "played", "received"}
_PROOF = {"message_sent", "message_delivered", "message_read"}
_HIDDEN = "@lid"
KINDS = frozenset({*_PROOF, "message_status_updated", "message_ack", "message_received"})
"""The kinds that can settle anything."""


def sign_of(kind: str, session_id: SessionId | None, data: Mapping[str, Any]) -> DeliveryEvidence | None:
    """What the event says of a message that went out; None if it says nothing of one, or not that it went."""
    if session_id is None or kind not in KINDS or not _went_out(kind, data):
        return None
    message = message_of(data)
    tells_text = kind in ("message_sent", "message_received")
    text = message.get("body", message.get("text", data.get("message"))) if tells_text else None
    recipient = message.get("to", message.get("recipient", message.get("recipient_phone")))
    return DeliveryEvidence(
        kind=kind,
        session_id=session_id,
        message_id=message_id_of(data),
        recipient_phone=phone_of(recipient),
        text=cleaned(text) if isinstance(text, str) else None,
        recipient_hidden=isinstance(recipient, str) and recipient.endswith(_HIDDEN),
        reached=reached(kind, data).value,
    )


def reached(kind: str, data: Mapping[str, Any]) -> MessageState:
    """How far a message came that an event says went out."""
    message = message_of(data)
    status, level = data.get("status", message.get("status")), data.get("ack_level", data.get("ack"))
    words = status.lower() if isinstance(status, str) else ""
    steps = level if isinstance(level, int) and not isinstance(level, bool) else 0
    if kind == "message_read" or words in ("read", "played") or steps >= _READ:
        return MessageState.READ
    if kind == "message_delivered" or words in ("delivered", "device", "received") or steps >= _DELIVERED:
        return MessageState.DELIVERED
    return MessageState.SENT


def phone_of(given: object) -> str | None:
    """The number in a WhatsApp address: `62811…@c.us`, `62811…:12@s.whatsapp.net`, or plain."""
    if not isinstance(given, str):
        return None
    name, _, domain = given.partition("@")
    digits = name.partition(":")[0].lstrip("+")
    return digits if digits.isdecimal() and domain in ("", "c.us", "s.whatsapp.net") else None


def settled(
    records: Iterable[MessageRecord], sign: DeliveryEvidence, at: datetime, *, known_ids: Collection[str] = ()
) -> Settlement | None:
    """The one unknown send, if any, that the sign settles. `known_ids` are ids of messages already accounted for."""
    unknown = [record for record in records if record.state is MessageState.UNKNOWN]
    named = next((record for record in unknown if _same_id(sign.message_id, record.message_id)), None)
    if named is not None and sign.message_id is not None:
        return Settlement(named.uuid, sign.message_id, f"a {sign.kind} event names its id")
    if sign.message_id is None or sign.text is None or sign.message_id in known_ids:
        return None
    said = [record for record in unknown if _same_words(record, sign) and _in_time(record, at)]
    if sign.recipient_hidden:
        why = f"a {sign.kind} event tells of the same text to a hidden number, and of no other send in that time"
        return Settlement(said[0].uuid, sign.message_id, why) if len(said) == 1 else None
    if not said:
        return None
    latest = max(said, key=begun_at)
    return Settlement(latest.uuid, sign.message_id, f"a {sign.kind} event tells of the same text to the same person")


def begun_at(record: MessageRecord) -> datetime:
    """When the send began: its uuid (version 7) was made then, its record only when it had ended."""
    try:
        made = uuid.UUID(record.uuid)
    except ValueError:
        return record.created_at
    if made.version != 7:
        return record.created_at
    return min(datetime.fromtimestamp((made.int >> 80) / 1000, UTC), record.created_at)


def earliest(record: MessageRecord) -> datetime:
    """Events from before this moment are of other messages."""
    return begun_at(record) - timedelta(seconds=EARLY_BY_S)


def _went_out(kind: str, data: Mapping[str, Any]) -> bool:
    message = message_of(data)
    if kind == "message_received":
        return (message.get("from_me") or message.get("fromMe")) is True
    if kind in _PROOF:
        return True
    status = data.get("status", message.get("status"))
    if isinstance(status, str):
        return status.lower() in _FAR_ENOUGH
    level = data.get("ack_level", data.get("ack"))
    return isinstance(level, int) and level >= _ACKNOWLEDGED


def bare_id(message_id: str) -> str:
    """WhatsApp's id of a message that went out, without what gateways wrap it in: `true_<chat>_<id>`, in groups
    `true_<chat>_<id>_<participant>`."""
    parts = message_id.split("_")
    return parts[2] if len(parts) >= 3 and parts[0] == "true" else message_id


def _same_id(its: str | None, ours: str) -> bool:
    return its is not None and bare_id(its) == bare_id(ours)


def _same_words(record: MessageRecord, sign: DeliveryEvidence) -> bool:
    if record.text != sign.text:
        return False
    if sign.recipient_phone is None:
        return sign.recipient_hidden
    return one_line(record.recipient_phone) == one_line(sign.recipient_phone)


def _in_time(record: MessageRecord, at: datetime) -> bool:
    return earliest(record) <= at <= begun_at(record) + timedelta(seconds=SAME_TEXT_WITHIN_S)
