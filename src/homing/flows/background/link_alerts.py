"""The alert for sessions that are logged out: raised when that becomes known, resolved when one can send again."""

from collections.abc import Iterable

from homing.flows.background.alerts import AlertBook
from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import SessionId, SessionStatus


class LinkAlerts:
    """Hears what becomes known of sessions. It costs nothing to say the same again."""

    def __init__(self, alerts: AlertBook | None = None) -> None:
        self._alerts = alerts

    def note(self, session: SessionId, status: SessionStatus, reason: str) -> None:
        """The session is so, and nobody asked for it."""
        if self._alerts is None:
            return
        if status is SessionStatus.LOGGED_OUT:
            self._alerts.raised(AlertKind.SESSION_LOGGED_OUT, Subject.session(session), reason)
        elif status is SessionStatus.CONNECTED:
            self._alerts.resolved(AlertKind.SESSION_LOGGED_OUT, Subject.session(session))

    def logged_out_by_request(self, session: SessionId) -> None:
        """Whoever asked for it knows."""
        if self._alerts is not None:
            self._alerts.resolved(AlertKind.SESSION_LOGGED_OUT, Subject.session(session))

    def connected(self, sessions: Iterable[SessionId]) -> None:
        """These can send, among very many."""
        if self._alerts is None:
            return
        standing = {
            alert.subject.name for alert in self._alerts.standing() if alert.kind is AlertKind.SESSION_LOGGED_OUT
        }
        for session in standing.intersection(sessions) if standing else ():
            self._alerts.resolved(AlertKind.SESSION_LOGGED_OUT, Subject.session(SessionId(session)))
