"""What can go wrong in one call to an instance, named by the phase in which it did.

The phase is what tells "nothing was sent" from "something may have been sent", so a driver translates every
exception and every answer it meets into exactly one of these, once. What a fault *implies* is judged in
`homing.decide.sending.failures`.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from homing.model.ids import Epoch


class Phase(StrEnum):
    """Where in a call it went wrong, from before the connection to after the answer."""

    NOT_ATTEMPTED = "not_attempted"
    """Our own limits, or our own exhaustion, kept us from asking: it says nothing of the instance."""
    NAME_NOT_RESOLVED = "name_not_resolved"
    REFUSED = "refused"
    CONNECT_TIMED_OUT = "connect_timed_out"
    CONNECT_BROKEN = "connect_broken"
    """The connection was lost before the first byte of the request left."""
    INTERRUPTED = "interrupted"
    """Reset or closed after bytes of the request left, before a whole answer came."""
    CUT_SHORT = "cut_short"
    """The request was not written to its end, as its file could not be read or was not taken. Nobody acts on half."""
    REPLY_TIMED_OUT = "reply_timed_out"
    REPLY_MALFORMED = "reply_malformed"
    """An answer came that is not what the protocol says: not JSON, wrong shape, too large."""
    SESSION_NOT_FOUND = "session_not_found"
    """404 in the gateway's own words."""
    PATH_NOT_FOUND = "path_not_found"
    """404 in other words: a proxy or a wrong base URL may have said it."""
    SESSION_NOT_READY = "session_not_ready"
    SESSION_LOGGED_OUT = "session_logged_out"
    REQUEST_REJECTED = "request_rejected"
    OUTCOME_UNKNOWN = "outcome_unknown"
    """The gateway said no in words that it also uses when the message has left."""
    RECIPIENT_RESTRICTED = "recipient_restricted"
    """WhatsApp error 463 and its kin: asking again makes it worse."""
    UNAUTHORISED = "unauthorised"
    UNLICENSED = "unlicensed"
    """The gateway works for nobody until its licence is activated."""
    MISDIRECTED = "misdirected"
    """Somebody in front of the gateway answered in its place and passed nothing on: a redirect, a proxy's login."""
    EPOCH_STALE = "epoch_stale"
    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"
    BAD_GATEWAY = "bad_gateway"
    UNAVAILABLE = "unavailable"
    GATEWAY_TIMED_OUT = "gateway_timed_out"


@dataclass(frozen=True, slots=True)
class Fault:
    """One failed call. `detail` is the peer's or the network's own words, cut short, safe to show."""

    phase: Phase
    detail: str = ""
    status: int | None = None
    retry_after_s: float | None = None
    epoch: Epoch | None = None
    """The epoch that the instance says is its own, where it refused ours."""
    quoted: bool = field(default=False, compare=False)
    """`detail` is the peer's own words."""

    @property
    def category(self) -> str:
        """What it is, without the peer's words: for whoever may have chosen the peer."""
        return str(replace(self, detail="", quoted=False) if self.quoted else self)

    def __str__(self) -> str:
        shown = f"{self.status} " if self.status else ""
        return f"{shown}{self.phase.value.replace('_', ' ')}" + (f" ({self.detail})" if self.detail else "")
