"""Who reports to us, or asks for its sessions, and cannot be told from others.

Each is an alert for as long as it goes on, with what to set: its reports are refused, and the Node service drops what
was refused. Kept in memory by each gateway, and shared with the others as alerts.
"""

from dataclasses import dataclass, field
from datetime import datetime

from homing.decide.reports import hints
from homing.decide.reports.speakers import UnknownSpeakerCause
from homing.flows.background.alerts import AlertBook
from homing.model.alerts import About, AlertKind, Subject
from homing.ports import Clock, Fleet, Meters

KEPT_MAX = 100
"""Senders that are remembered; of more than that only the figure tells."""
QUIET_S = 3600.0
LOOK_EVERY_S = 30.0


@dataclass(slots=True)
class UnknownSender:
    """One of them. `named` is what it calls itself, else where it calls from; `do` is what to set, and where."""

    named: str
    cause: UnknownSpeakerCause
    do: str
    reports: int = 0
    last_at: datetime | None = None
    last_s: float = field(default=0.0)


class UnknownSenders:
    """Counts those who cannot be told from others, and alerts of them."""

    def __init__(self, fleet: Fleet, alerts: AlertBook, clock: Clock, meters: Meters, our_url: str) -> None:
        self._fleet, self._alerts, self._clock, self._meters, self._our_url = fleet, alerts, clock, meters, our_url
        self._met: dict[str, UnknownSender] = {}
        self._began_s = clock.monotonic()

    def met(self, named: str, cause: UnknownSpeakerCause) -> UnknownSender:
        """One of them spoke. It is logged when that is new."""
        self._meters.sender_unknown(cause)
        sender = self._met.get(named)
        if sender is None:
            sender = UnknownSender(named, cause, what_to_set(cause, named, self._our_url))
            if len(self._met) < KEPT_MAX:
                self._met[named] = sender
        sender.reports += 1
        sender.last_at, sender.last_s = self._clock.now(), self._clock.monotonic()
        if named in self._met:
            self._alerts.raised(AlertKind.UNKNOWN_SENDER, Subject.sender(named), _reason(cause), set=sender.do)
        return sender

    def known(self, named: str) -> None:
        """Who calls itself so can be told by now."""
        if self._met.pop(named, None) is not None:
            self._alerts.resolved(AlertKind.UNKNOWN_SENDER, Subject.sender(named))

    def all(self) -> list[UnknownSender]:
        """Those met here, and those that only other gateways met, which are not counted here; the newest first."""
        others = [
            UnknownSender(alert.subject.name, UnknownSpeakerCause.UNKNOWN_HOST, alert.reason, last_at=alert.raised_at)
            for alert in self._alerts.standing()
            if alert.subject.about is About.SENDER and alert.subject.name not in self._met
        ]
        return sorted((*self._met.values(), *others), key=lambda each: str(each.last_at), reverse=True)

    async def run(self) -> None:
        """Resolve what has passed, until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Resolve those whose address an instance has by now, and those that were not heard of for long."""
        instances, now_s = list(self._fleet.roster.instances.values()), self._clock.monotonic()
        for alert in self._alerts.standing():
            if alert.kind is not AlertKind.UNKNOWN_SENDER:
                continue
            named = alert.subject.name
            met = self._met.get(named)
            joined = (met is None or met.cause is not UnknownSpeakerCause.LOOPBACK) and hints.located(
                instances, named
            ) is not None
            if joined or now_s - (met.last_s if met is not None else self._began_s) > QUIET_S:
                self._met.pop(named, None)
                self._alerts.resolved(AlertKind.UNKNOWN_SENDER, alert.subject)


def what_to_set(cause: UnknownSpeakerCause, named: str, our_url: str) -> str:
    """What a person does about it, with the line to copy. `N` stands for the instance's number."""
    line = f"set LARAVEL_URL={our_url}/in/N for that process, N being its number in `homing instances`, and restart it"
    match cause:
        case UnknownSpeakerCause.UNKNOWN_HOST:
            return f"if it is yours: `homing instances add {named}`, or {line}"
        case UnknownSpeakerCause.UNKNOWN_PATH:
            return f"see `homing instances` for the number, or add it with `homing instances add`; then {line}"
        case UnknownSpeakerCause.LOOPBACK | UnknownSpeakerCause.UNNAMED:
            return f"{line}; if it is not there, `homing instances add` it first"


def _reason(cause: UnknownSpeakerCause) -> str:
    match cause:
        case UnknownSpeakerCause.UNKNOWN_HOST:
            return "no instance is known at the address that it gives itself; its reports are refused"
        case UnknownSpeakerCause.UNKNOWN_PATH:
            return "it calls us under the number or name of an instance that there is not; it is refused"
        case UnknownSpeakerCause.LOOPBACK:
            return (
                "it calls itself localhost, which several hosts do, and no list tells which instance it is;"
                " its reports are refused"
            )
        case UnknownSpeakerCause.UNNAMED:
            return "it asked for its sessions and cannot be told from the other instances; it was given none"
