"""What the answers of a webjs service mean: the Node service, and our own instance, which speaks the same.

Facts of the Node service (ltmoerdani/blazz, folder whatsapp-service) are cited by file below `src/`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from homing.drivers.http.connection import Reply
from homing.drivers.libraries import whatsapp_web
from homing.drivers.reading import clock_of, fault, malformed, plain_phase, said_by, told_by, told_words, unix_s
from homing.drivers.redact import shown, words_of
from homing.drivers.values import CODE_MAX, NAME_MAX, count_in, epoch_in, measure_in, text_in
from homing.model.fleet import Capabilities
from homing.model.sends.addresses import AddressKind
from homing.model.sends.content import MessageType
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Receipt
from homing.ports import InstanceHealth, PairingCode

_SOME_OF: dict[str, type[StrEnum]] = {
    "sends": MessageType,
    "reaches": AddressKind,
    "quotes": MessageType,
    "mentions": MessageType,
}
_YES_OR_NO = frozenset(field.name for field in fields(Capabilities)) - _SOME_OF.keys()
_KINDS_MAX = 100
_PAIRING_EXPIRES_S = 300
"""controllers/SessionController.js, regenerateQR."""

_NEEDS_PAIRING = "logged_out"

_NOT_HELD_WORDS = ("session not found",)
_NOT_READY_WORDS = (
    "session not connected",
    "session is not connected",
    "session not ready",
    "session is not ready",
    "not ready",
)
_NEVER_LEFT_500_WORDS: tuple[tuple[str, Phase], ...] = (
    # managers/SessionManager.js throws both before it touches WhatsApp. The controllers turn them into 404 and 400
    # for sends; in older versions, and from other routes, they come as 500. Of the words of a page that is gone: the
    # service goes on listing such a session as connected, since its own note of a disconnect fails
    # (SessionManager.js calls `logger.warning`, which winston does not have).
    ("session not found", Phase.SESSION_NOT_FOUND),
    ("session not connected", Phase.SESSION_NOT_READY),
)


# --- faults -------------------------------------------------------------------------------------------------------


def fault_of(reply: Reply, secrets: Iterable[str] = ()) -> Fault:
    """The fault that an answer other than 200 is."""
    told = told_by(reply.body)
    words = told_words(reply)
    phase = _phase(reply.status, told, words.lower())
    met = fault(reply, phase, words, secrets)
    return replace(met, epoch=epoch_in(told.get("epoch"))) if phase is Phase.EPOCH_STALE else met


def _phase(status: int, told: Mapping[str, Any], words: str) -> Phase:
    if told.get("code") in (463, "463") and status >= 400:
        return Phase.RECIPIENT_RESTRICTED
    match status:
        case 400 | 422:
            # The Node service says no in JSON. A page comes from a proxy that could not read the request, or from
            # Express for a body that is no JSON, and ours is: it says nothing of the message.
            return _refused_phase(told, words) if told else Phase.MISDIRECTED
        case 404 if told and words.startswith(_NOT_HELD_WORDS):
            return Phase.SESSION_NOT_FOUND
        case 409 if epoch_in(told.get("epoch")) is not None:
            return Phase.EPOCH_STALE
        case 500 if told:
            return _failed_phase(words)
        case _:
            # middleware/TimeoutHandler.js answers 408 after 45 s of a send, which goes on all the same.
            return plain_phase(status, refused=Phase.REQUEST_REJECTED)


def _refused_phase(told: Mapping[str, Any], words: str) -> Phase:
    """400 and 422: the session cannot send (here, wait), or the request can never be taken.

    Whether `qr_scanning` waits for a person is not told by the word: it is looked up.
    """
    if not any(phrase in words for phrase in _NOT_READY_WORDS):
        return Phase.REQUEST_REJECTED
    if told.get("status") == _NEEDS_PAIRING:
        return Phase.SESSION_LOGGED_OUT
    return Phase.SESSION_NOT_READY


def _failed_phase(words: str) -> Phase:
    for phrase, phase in _NEVER_LEFT_500_WORDS:
        if phrase in words:
            return phase
    return whatsapp_web.never_left(words) or Phase.SERVER_ERROR


# --- values -------------------------------------------------------------------------------------------------------


def receipt_of(reply: Reply, secrets: Iterable[str] = ()) -> Receipt | Fault:
    """The receipt of a send, or a fault that leaves open whether the message left.

    `success: false` in a 200 is such a fault too: the service never says so of a send, and not to have succeeded is
    not to have sent nothing. So is a missing id: whatsapp-web.js returns no message for some that it sent.
    """
    said = said_by(reply.body)
    if not isinstance(said, dict):
        return malformed(reply, _not_the_service(reply))
    message_id = text_in(said.get("message_id"), NAME_MAX)
    if said.get("success") is not True:
        return malformed(
            reply, f"a {reply.status} without success: {words_of(said.get('error'))}", secrets, quoted=True
        )
    if message_id is None or not message_id.strip():
        return malformed(reply, f"a {reply.status} without a message id")
    return Receipt(message_id, unix_s(said.get("timestamp")))


def _not_the_service(reply: Reply) -> str:
    if reply.body.lstrip()[:1] == b"<":
        return "the answer to a send was a web page, of a proxy or of another service; what became of it is not known"
    return "the answer to a send was not a JSON object"


def pairing_of(reply: Reply, secrets: Iterable[str] = ()) -> PairingCode | Fault:
    """What the answer holds to scan or type. Nothing means that it comes by webhook, as `qr_code_generated`."""
    said = said_by(reply.body)
    if not isinstance(said, dict):
        return malformed(reply, "the answer about pairing was not a JSON object")
    if said.get("success") is False:
        return Fault(Phase.REQUEST_REJECTED, words_of(said.get("error"), secrets), reply.status, quoted=True)
    return PairingCode(
        text_in(said.get("qr_code"), CODE_MAX),
        text_in(said.get("pairing_code"), NAME_MAX),
        count_in(said.get("expires_in")) or _PAIRING_EXPIRES_S,
        connected=said.get("status") == "connected",
    )


def health_of(reply: Reply, base: Capabilities) -> InstanceHealth | Fault:
    """What `/health` says. What it does not declare is as the family has it."""
    said = said_by(reply.body)
    if not isinstance(said, dict) or not isinstance(said.get("status"), str):
        return malformed(reply, "the answer about health was not an object with a status")
    sessions, memory, lease = _part(said, "sessions"), _part(said, "memory"), _part(said, "lease")
    return InstanceHealth(
        capabilities=_capabilities(_part(said, "capabilities"), base),
        incarnation=_text(said.get("incarnation")),
        engine=_text(said.get("engine")),
        version=_text(said.get("version")),
        sessions_total=count_in(sessions.get("total")),
        sessions_connected=count_in(sessions.get("connected")),
        memory_used_mb=measure_in(memory.get("used")),
        sends_per_s=measure_in(said.get("sends_per_s")),
        uptime_s=measure_in(said.get("uptime")),
        paused=lease.get("state") == "paused",
        key_header=_text(said.get("key_header")),
        says_at=clock_of(reply),
    )


def _part(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = said.get(name)
    return part if isinstance(part, dict) else {}


def _text(value: object) -> str | None:
    return _shown(value) or None if isinstance(value, str) else None


@lru_cache(1_024)
def _shown(name: str) -> str:
    """An instance says the same names of itself each second."""
    return shown(name)


def _capabilities(declared: Mapping[str, Any], base: Capabilities) -> Capabilities:
    known = [each for each in declared.items() if each[0] in _YES_OR_NO and isinstance(each[1], bool)]
    some = [(name, _some_of(declared[name], kinds)) for name, kinds in _SOME_OF.items() if name in declared]
    return _with(base, tuple(known), tuple(each for each in some if each[1] is not None))


def _some_of(said: object, kinds: type[StrEnum]) -> frozenset[StrEnum] | None:
    """Those words of a list that are known; None if there is no list of words."""
    if not isinstance(said, list) or not all(isinstance(each, str) for each in said[:_KINDS_MAX]):
        return None
    return frozenset(kinds(each) for each in said[:_KINDS_MAX] if each in kinds._value2member_map_)


@lru_cache(1_024)
def _with(
    base: Capabilities,
    known: tuple[tuple[str, bool], ...],
    some: tuple[tuple[str, frozenset[StrEnum] | None], ...],
) -> Capabilities:
    declared: dict[str, Any] = {**dict(known), **dict(some)}
    told: Capabilities = replace(base, **declared)
    return told
