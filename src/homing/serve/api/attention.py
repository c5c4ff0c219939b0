"""Why somebody should look at an account or an instance: its alerts, as they are shown beside it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from homing.model.alerts import GUIDES, Alert
from homing.model.fleet import SessionStatus


class AttentionView(msgspec.Struct):
    """An alert that stands about what is shown: what it is, since when, why, and what to do."""

    kind: str
    severity: str
    reason: str
    do: str
    since: datetime


ADVICE = {
    SessionStatus.QUARANTINED: "somebody else used its login again after it was taken back once: find out who, end"
    " that device in the phone's list of linked devices, then start the account",
    SessionStatus.LOGGED_OUT: "its link with WhatsApp has ended: start it and pair it anew",
}


def attention_view(alerts: Sequence[Alert]) -> list[AttentionView]:
    return [
        AttentionView(
            alert.kind.value, GUIDES[alert.kind].severity.value, alert.reason, GUIDES[alert.kind].do, alert.raised_at
        )
        for alert in alerts
    ]
