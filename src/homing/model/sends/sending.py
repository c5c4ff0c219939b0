"""One message on its way: what was asked, what each attempt met, and how it ended."""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from homing.model.fleet import AccountUuid, Epoch, InstanceUrl, SessionId, WorkspaceId
from homing.model.sends.addresses import Address
from homing.model.sends.content import Content, TextContent
from homing.model.sends.faults import Fault


class Text(msgspec.Struct, frozen=True):
    """A message to one chat. Its id is ours, chosen before the first attempt and the same in each.

    `recipient_phone` is the recipient's address as one text: digits, or `…@g.us` and the like.

    `repeated` is true when somebody before us may have sent it under that id: a gateway that died on the way.
    """

    uuid: str
    message_id: str
    workspace_id: WorkspaceId
    account_uuid: AccountUuid
    recipient_phone: str
    text: str
    repeated: bool = False
    phone_as_written: str | None = None
    content: Content | None = None
    """What is said; None: the plain text. `text` has its words, whatever it is."""

    @property
    def recipient(self) -> Address:
        return Address.of(self.recipient_phone)

    @property
    def said(self) -> Content:
        return self.content if self.content is not None else TextContent(self.text)


class Receipt(msgspec.Struct, frozen=True):
    """An instance's word that WhatsApp took the message. `timestamp` is the gateway's, in unix seconds."""

    message_id: str
    timestamp: int


class VerdictKind(StrEnum):
    """What one fault implies about the instance, the session or the message."""

    DOWN = "down"
    MOVED = "moved"
    STALE = "stale"
    NOT_READY = "not_ready"
    THROTTLED = "throttled"
    LOGGED_OUT = "logged_out"
    REJECTED = "rejected"
    MISCONFIGURED = "misconfigured"
    OVERLOADED = "overloaded"
    """We are: nothing was asked of the instance."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A fault, judged. `may_have_left`: the message may have reached WhatsApp all the same."""

    kind: VerdictKind
    may_have_left: bool
    reason: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed try to send through one instance. `chose_id`: that instance takes the message id from us."""

    instance_url: InstanceUrl
    epoch: Epoch
    fault: Fault
    verdict: Verdict
    chose_id: bool
    at_s: float

    @property
    def was_made(self) -> bool:
        """Whether the instance was asked, or was not, because of a limit of our own."""
        return self.verdict.kind is not VerdictKind.OVERLOADED


# --- what a look for a lost session found -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """One instance holds the session and can send; the directory now says so. `moved` if it did not before."""

    instance_url: InstanceUrl
    epoch: Epoch
    moved: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """The session is held where we thought, or is coming up, but cannot send yet."""

    reason: str


@dataclass(frozen=True, slots=True)
class NeedsPairing:
    """The session's login is gone or was never made: a person has to scan a code."""

    reason: str


@dataclass(frozen=True, slots=True)
class InQuarantine:
    """A stranger uses the session's login: an operator has to start it again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Nowhere:
    """No instance that answered holds the session; those that did not answer prove nothing."""

    asked: int
    silent: tuple[InstanceUrl, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class HeldTwice:
    """Several instances claim the session with equal right. Nobody may guess between them."""

    claimants: tuple[InstanceUrl, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class NotLooked:
    """The look itself could not be made, or the directory could not be read or corrected."""

    reason: str


Finding = Found | Waiting | NeedsPairing | InQuarantine | Nowhere | HeldTwice | NotLooked


@dataclass(frozen=True, slots=True)
class Looked:
    """A look for the session, after an attempt failed. `denied`: instances that answered and do not have it."""

    finding: Finding
    at_s: float
    denied: frozenset[InstanceUrl] = frozenset()


@dataclass(frozen=True, slots=True)
class Unplaced:
    """There was no instance to send through: the account was never placed, and no default is set or nobody has it."""

    reason: str
    at_s: float


@dataclass(frozen=True, slots=True)
class OnlyObserved:
    """The session is on an instance that we only look at: nothing is sent through it."""

    instance_url: InstanceUrl
    at_s: float


@dataclass(frozen=True, slots=True)
class CannotRepeat:
    """The session was found on an instance that does not take our message id, and the message may have left before."""

    instance_url: InstanceUrl
    at_s: float


@dataclass(frozen=True, slots=True)
class BeyondDriver:
    """The session is on an instance whose driver cannot send this type, or not to this kind of address."""

    instance_url: InstanceUrl
    code: "FailureCode"
    reason: str
    at_s: float


Happening = Attempt | Looked | CannotRepeat | Unplaced | OnlyObserved | BeyondDriver
"""What a send went through, in order; `homing.decide.sending.recovery` reads this and says what comes next."""


# --- how it ended -----------------------------------------------------------------------------------------


class FailureCode(StrEnum):
    """Why a message was not sent: stable words for programs."""

    SESSION_UNREACHABLE = "session_unreachable"
    SESSION_NOT_READY = "session_not_ready"
    SESSION_LOGGED_OUT = "session_logged_out"
    SESSION_QUARANTINED = "session_quarantined"
    SESSION_STOPPED = "session_stopped"
    PHONE_MISMATCH = "phone_mismatch"
    DUPLICATE_HOLDER = "duplicate_holder"
    THROTTLED = "instance_throttled"
    MESSAGE_REJECTED = "message_rejected"
    RECIPIENT_RESTRICTED = "recipient_restricted"
    INSTANCE_MISCONFIGURED = "instance_misconfigured"
    ACCOUNT_NOT_PLACED = "account_not_placed"
    INSTANCE_OBSERVED = "instance_observed"
    DIRECTORY_UNAVAILABLE = "directory_unavailable"
    OVERLOADED = "overloaded"
    NO_CAPACITY = "no_capacity"
    UNSUPPORTED_TYPE = "unsupported_type"
    UNSUPPORTED_RECIPIENT = "unsupported_recipient"


class Sent(msgspec.Struct, frozen=True):
    """WhatsApp took the message, once."""

    receipt: Receipt
    instance_url: InstanceUrl | None
    session_id: SessionId
    attempts: int
    failover: bool
    reason: str = "sent at the first attempt"
    sent_to: str | None = None
    """The address that it was sent to, where that is another spelling than was written."""


class NotSent(msgspec.Struct, frozen=True):
    """The message certainly did not reach WhatsApp. Asking again is safe unless `final`."""

    code: FailureCode
    reason: str
    attempts: int
    final: bool = False
    retry_after_s: float = 5.0
    instance_url: InstanceUrl | None = None
    sent_to: str | None = None


class Unknown(msgspec.Struct, frozen=True):
    """The message may or may not have reached WhatsApp, and repeating it could say it twice."""

    reason: str
    attempts: int
    instance_url: InstanceUrl | None = None
    sent_to: str | None = None


Outcome = Sent | NotSent | Unknown
