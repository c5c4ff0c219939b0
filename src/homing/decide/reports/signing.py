"""Does a report come from somebody who knows our secret, and is it fresh?

The rule is that of the Node service: `X-HMAC-Signature` is the hexadecimal HMAC-SHA256 of `X-Timestamp` (unix
seconds, as text) followed by the raw body. Freshness is judged after the signature, so that a skew named in an answer
is that of a clock we trust.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from homing.model.instances.events import IntakeResult, Signed

WINDOW_S = 300
"""How far a sender's clock may be off, either way."""
REMEMBER_S = 2 * WINDOW_S
"""A signature from the future can be sent again for this long."""
_DIGITS_MAX = 15


@dataclass(frozen=True, slots=True)
class ReportRefused:
    """A report that is not believed."""

    result: IntakeResult
    reason: str


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """The signature of a body at a time."""
    return hmac.new(secret, timestamp.encode() + body, hashlib.sha256).hexdigest()


def judge(
    secret: bytes, timestamp: str | None, given: str | None, body: bytes, now: datetime
) -> Signed | ReportRefused:
    """The signature, if it is genuine and fresh."""
    if not timestamp or not given:
        return ReportRefused(IntakeResult.BAD_SIGNATURE, "X-Timestamp and X-HMAC-Signature are both needed")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= _DIGITS_MAX):
        return ReportRefused(IntakeResult.BAD_SIGNATURE, "X-Timestamp is not a time in unix seconds")
    expected = signature(secret, timestamp, body)
    if not hmac.compare_digest(expected.encode(), given.strip().lower().encode()):
        return ReportRefused(IntakeResult.BAD_SIGNATURE, "X-HMAC-Signature does not fit this timestamp and body")
    skew_s = now.timestamp() - int(timestamp)
    if abs(skew_s) > WINDOW_S:
        return ReportRefused(IntakeResult.EXPIRED, _skewed(skew_s))
    return Signed(expected, now + timedelta(seconds=REMEMBER_S))


def _skewed(skew_s: float) -> str:
    where = "behind" if skew_s > 0 else "ahead of"
    return f"X-Timestamp is {abs(skew_s):.0f} s {where} our clock; at most {WINDOW_S} s are accepted"
