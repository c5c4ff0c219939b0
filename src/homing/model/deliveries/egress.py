"""What customers' URLs lead to, and what came of calling there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class CustomerUrl:
    """A URL that a customer gave, taken apart once. Nobody takes it apart again: `text` is built from the parts.

    `host` is in lower case: a name, or an address in its one spelling, without brackets. `target` is path and query.
    """

    scheme: str
    host: str
    port: int
    target: str
    is_address: bool

    @property
    def text(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


class UrlRefused(ValueError):
    """A URL at which nobody is called. The message says why, in one sentence that names its host."""


class CallFailure(StrEnum):
    """How far a call to a customer's URL came before it failed."""

    REFUSED = "refused"
    """By us: where it leads, nobody is called."""
    UNRESOLVED = "unresolved"
    UNREACHED = "unreached"
    TLS = "tls"
    TIMED_OUT = "timed_out"
    BROKEN = "broken"
    """The connection ended in the middle of the answer, or what came was no HTTP."""
    TOO_LARGE = "too_large"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    STATUS = "status"
    """What was to be fetched is not there: the answer says so."""


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """What a customer's server answered. Header names are in lower case; `body` may be cut."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class CallFailed:
    """A call without an answer, and why in one sentence."""

    failure: CallFailure
    reason: str


class Unfetched(Exception):
    """What a URL names could not be fetched whole. The message says why."""

    def __init__(self, failure: CallFailure, reason: str) -> None:
        super().__init__(reason)
        self.failure, self.reason = failure, reason
