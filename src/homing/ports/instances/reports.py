"""What a gateway family tells us unasked, and where it is told to send that: what the intake needs of a driver."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from homing.model.fleet import InstanceUrl, SessionId
from homing.model.instances.events import IntakeResult, Report, Signed
from homing.model.instances.webhooks import WebhookFound, WebhookWanted
from homing.model.sends.faults import Fault


@dataclass(frozen=True, slots=True)
class RawReport:
    """One request of a gateway to our intake, as it came.

    Names of headers are in small letters. `word` is what followed in its path: some gateways put the event's name
    there, and where a family does not name its sessions we have it call a path that does.
    """

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    word: str | None = None


@dataclass(frozen=True, slots=True)
class ReportSecrets:
    """What can prove a report of one instance. What is empty proves nothing.

    `own` is known to us and to that instance alone, and stands in the address that it was told to report to: `in_path`
    says that this report came there. `shared` is that of the fleet (WHATSAPP_HMAC_SECRET), `key` the one that the
    instance is asked with. `tokens` are those of the session; None while nobody asked for them.
    """

    own: str = field(default="", repr=False)
    shared: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    in_path: bool = False
    tokens: Collection[str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Proven:
    """The report is of whom it says. `signed` where the same signature must not come twice."""

    signed: Signed | None = None


@dataclass(frozen=True, slots=True)
class TokenNeeded:
    """Only the token of this session, as its gateway knows it, can tell. `session` is the gateway's own name."""

    session: str


@dataclass(frozen=True, slots=True)
class ReportRefused:
    """A report that is not believed."""

    result: IntakeResult
    reason: str


Proof = Proven | TokenNeeded | ReportRefused


class FamilyReports(Protocol):
    """How one family's reports are proven and read. Pure: what came and what is known, in; a value, out.

    `retries`: it sends again what was not answered with 2xx. `tells_status`: it reports how its sessions stand.
    """

    @property
    def retries(self) -> bool: ...

    @property
    def tells_status(self) -> bool: ...

    def proof(self, raw: RawReport, secrets: ReportSecrets, now: datetime) -> Proof: ...

    def read(self, raw: RawReport) -> Sequence[Report]:
        """What the body tells: sessions by the gateway's own names, secrets left out. Raises Malformed."""
        ...


# --- where a gateway reports to -------------------------------------------------------------------------------


class WebhookCalls(Protocol):
    """Asks and tells gateways of one family where to report. Each call ends within its `timeout_s`.

    `several`: a session can report to more than one address. `restarts`: setting it restarts the session, for so long
    that it cannot send meanwhile. `readable`: where it reports now can be asked.
    """

    @property
    def several(self) -> bool: ...

    @property
    def restarts(self) -> bool: ...

    @property
    def readable(self) -> bool: ...

    async def found(
        self, instance: InstanceUrl, session_id: SessionId, wanted: WebhookWanted, *, timeout_s: float
    ) -> WebhookFound | Fault: ...

    async def connect(
        self, instance: InstanceUrl, session_id: SessionId, wanted: WebhookWanted, *, timeout_s: float
    ) -> Fault | None:
        """Add our address, or put it in place of the one that is there where there can be one alone."""
        ...

    async def restore(
        self,
        instance: InstanceUrl,
        session_id: SessionId,
        wanted: WebhookWanted,
        kept: Mapping[str, Any] | None,
        *,
        timeout_s: float,
    ) -> Fault | None:
        """Take our address away again, and put back what was there before."""
        ...

    def know(self, instance: InstanceUrl, wanted: Mapping[SessionId, WebhookWanted]) -> None:
        """Where these sessions are to report from now on, whoever starts them: some are told only when they start."""
        ...

    async def tokens(
        self, instance: InstanceUrl, session_id: SessionId, *, timeout_s: float
    ) -> Collection[str] | Fault:
        """The tokens that the session's own reports may show; empty where its family has none."""
        ...


class WebhookTargets(Protocol):
    """Where sessions reported before they were connected to us. Raises StoreUnavailable."""

    async def of(self, instance: InstanceUrl) -> Mapping[SessionId, Mapping[str, Any] | None]:
        """The sessions of the instance that report to us, each with what is to be put back; None for nothing."""
        ...

    async def instances(self) -> Sequence[InstanceUrl]:
        """The instances with sessions that report to us."""
        ...

    async def remember(self, instance: InstanceUrl, session_id: SessionId, kept: Mapping[str, Any] | None) -> None:
        """What was there before the first time. What is remembered already stays."""
        ...

    async def forget(self, instance: InstanceUrl, session_id: SessionId) -> None: ...
