"""Whose report is it, by the path that it came on, and with what is it proven and read?"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import structlog

from homing.decide.fleet.own_keys import is_report_secret, report_secret
from homing.decide.reports import hints
from homing.model.errors import Code, Problem
from homing.model.fleet import InstanceUrl, SessionId
from homing.model.instances.events import Report
from homing.model.instances.gateways import DEFAULT_FAMILY
from homing.model.instances.native_names import NativeName
from homing.model.instances.report_body import Malformed
from homing.model.sends.faults import Fault
from homing.ports import Clock, Fleet
from homing.ports.instances.reports import FamilyReports, Proof, RawReport, ReportSecrets, WebhookCalls

log = structlog.get_logger("homing")


class SessionNames(Protocol):
    """Our ids of sessions, by what their instances call them."""

    def session_of(self, url: InstanceUrl, native_id: str, phone: str | None) -> SessionId: ...

    def bearing(self, native_id: str) -> Sequence[NativeName]: ...


NAMESAKES_MAX = 100
TOKENS_GOOD_FOR_S = 300.0
UNKNOWN_AGAIN_S = 10.0
"""A token that its gateway did not know is asked for again after this: whoever guesses costs the gateway no more."""
ASK_TIMEOUT_S = 3.0
ASKED_AT_ONCE = 4
REMEMBERED_MAX = 10_000


class ReportingFleet(Fleet, Protocol):
    """The fleet, with what its families tell by themselves."""

    def reports_of(self, family: str) -> FamilyReports | None: ...

    def webhooks(self, url: InstanceUrl) -> WebhookCalls | None:
        """Where the gateway there is told to report; None for a family that cannot be told."""
        ...

    def report_key(self, url: InstanceUrl) -> str:
        """The key that the gateway there is asked with."""
        ...


@dataclass(frozen=True, slots=True)
class Sender:
    """The instance that a path names, and how its family reports. `url` is None where no path tells."""

    url: InstanceUrl | None
    family: str
    reports: FamilyReports

    @property
    def is_foreign(self) -> bool:
        return self.family != DEFAULT_FAMILY

    def proof(self, raw: RawReport, secrets: ReportSecrets, now: datetime) -> Proof:
        return self.reports.proof(raw, secrets, now)

    def read(self, raw: RawReport) -> Sequence[Report]:
        """Raises Malformed, also for whatever a driver of somebody else stumbles over: it harms one report."""
        try:
            return self.reports.read(raw)
        except Malformed:
            raise
        except Exception as error:
            log.exception("A report could not be read by its driver; it is refused", driver=self.family, url=self.url)
            raise Malformed("The report is not what its driver can read") from error


@dataclass(frozen=True, slots=True)
class _Tokens:
    known: Collection[str]
    until_s: float


class Senders:
    """Tells senders apart by the paths that they call."""

    def __init__(
        self,
        fleet: ReportingFleet,
        clock: Clock,
        secret: bytes,
        shared: str,
        names: SessionNames,
    ) -> None:
        """`secret` is what the words of instances are derived from, `shared` the secret of the fleet. `names` tells
        our name of a session by that of its gateway."""
        self._fleet, self._clock, self._secret, self._shared = fleet, clock, secret, shared
        self._names = names
        self._tokens: dict[tuple[InstanceUrl, str], _Tokens] = {}
        self._asking = 0

    def webjs(self, url: InstanceUrl | None = None) -> Sender:
        reports = self._fleet.reports_of(DEFAULT_FAMILY)
        assert reports is not None
        return Sender(url, DEFAULT_FAMILY, reports)

    def by_ref(self, ref: str | None) -> Sender:
        """By the word in the path; a path without one is the Node service's, and so is one that names nobody.

        Raises Problem NOT_SUPPORTED for a family whose reports nobody here can read.
        """
        found = hints.named(self._fleet.roster.instances.values(), ref) if ref is not None else None
        if found is None or found.driver == DEFAULT_FAMILY:
            return self.webjs(found.url if found is not None else None)
        reports = self._fleet.reports_of(found.driver)
        if reports is None:
            detail = f"Nothing here reads what gateways of the family {found.driver!r} report; their lists are read"
            raise Problem(Code.NOT_SUPPORTED, detail)
        return Sender(found.url, found.driver, reports)

    def secrets(self, sender: Sender, in_path: str | None) -> ReportSecrets:
        """What can prove a report of this sender."""
        if sender.url is None:
            return ReportSecrets(shared=self._shared)
        own = report_secret(self._secret, sender.url) if self._secret else ""
        at = is_report_secret(self._secret, sender.url, in_path)
        return ReportSecrets(own, self._shared, self._fleet.report_key(sender.url), at)

    def ours(self, sender: Sender, report: Report) -> Report:
        """The report under our own name of its session."""
        if sender.url is None or report.session_id is None or not sender.is_foreign:
            return report
        phone = report.data.get("phone_number")
        told = phone if isinstance(phone, str) else None
        ours = self._names.session_of(sender.url, report.session_id, told)
        namesakes = [each.session_id for each in self._names.bearing(report.session_id)[:NAMESAKES_MAX]]
        return replace(report, session_id=ours, namesakes=tuple(each for each in namesakes if each != ours))

    async def tokens(self, sender: Sender, session: str) -> Collection[str]:
        """The tokens of a session, asked of its gateway once in a while. Raises Problem INTAKE_BUSY if it cannot be."""
        calls = self._fleet.webhooks(sender.url) if sender.url is not None else None
        if calls is None or sender.url is None:
            return ()
        known, now_s = self._tokens.get((sender.url, session)), self._clock.monotonic()
        if known is not None and now_s < known.until_s:
            return known.known
        if self._asking >= ASKED_AT_ONCE:
            raise _busy(f"the token of {session[:50]!r} is not known yet, and others are being asked for")
        self._asking += 1
        try:
            found = await calls.tokens(sender.url, SessionId(session), timeout_s=ASK_TIMEOUT_S)
        finally:
            self._asking -= 1
        if isinstance(found, Fault):
            raise _busy(f"{sender.url} does not tell the token of its session: {found}")
        if len(self._tokens) >= REMEMBERED_MAX:
            self._tokens.clear()
        good_for_s = TOKENS_GOOD_FOR_S if found else UNKNOWN_AGAIN_S
        self._tokens[sender.url, session] = _Tokens(found, self._clock.monotonic() + good_for_s)
        return found


def _busy(detail: str) -> Problem:
    return Problem(Code.INTAKE_BUSY, f"{detail}; send it again", retry_after_s=2)
