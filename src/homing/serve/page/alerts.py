"""The alerts that stand, by kind."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from homing.model.alerts import GUIDES, AlertKind
from homing.serve.page import words
from homing.serve.page.viewer import Viewer
from homing.serve.state.rows import AlertRow

PAGE = 200


@dataclass(frozen=True, slots=True)
class ShownAlert:
    """One that stands."""

    tone: str
    shape: str
    title: str
    about: str
    href: str
    since: datetime
    age: str
    reason: str
    means: str
    do: str


async def context(viewer: Viewer, kind: str) -> dict[str, Any]:
    found = viewer.live.alerts(viewer.scope)
    counts = Counter(alert.kind for alert in found)
    kinds = [{"kind": "", "name": "All", "number": len(found)}]
    kinds += [
        {"kind": each.value, "name": GUIDES[each].title, "number": counts[each.value]}
        for each in AlertKind
        if counts[each.value]
    ]
    wanted = [_shown(viewer, alert) for alert in found if not kind or alert.kind == kind]
    return {"alerts": wanted[:PAGE], "total": len(wanted), "kinds": kinds, "kind": kind}


def _shown(viewer: Viewer, alert: AlertRow) -> ShownAlert:
    critical = alert.severity == "critical"
    about, href = alert.subject or "the fleet", ""
    if alert.about == "session":
        account = viewer.account(alert.subject)
        about = viewer.phone_of(alert.subject)
        href = f"/sessions/{account.id}" if account is not None else ""
    elif alert.about == "instance":
        about = viewer.short(alert.subject)
        known = viewer.gateway.fleet.roster.instances.get(alert.subject)  # type: ignore[call-overload]
        href = f"/instances/{known.id}" if known is not None else ""
    return ShownAlert(
        tone="bad" if critical else "warn",
        shape="cross" if critical else "up",
        title=alert.title,
        about=about,
        href=href,
        since=alert.since,
        age=words.ago(alert.since, viewer.now),
        reason=alert.reason,
        means=alert.means,
        do=alert.do,
    )
