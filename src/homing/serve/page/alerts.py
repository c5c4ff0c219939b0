"""The alerts that stand, by kind."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from homing.decide.alerts import places
from homing.model.alerts import GUIDES, AlertKind
from homing.model.fleet import InstanceUrl
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


async def context(viewer: Viewer, kind: str, by: str) -> dict[str, Any]:
    """Those of one kind if that is asked for; together by what they share where `by` names an aspect of a place."""
    found = viewer.live.alerts(viewer.scope)
    counts = Counter(alert.kind for alert in found)
    kinds = [{"kind": "", "name": "All", "number": len(found)}]
    kinds += [
        {"kind": each.value, "name": GUIDES[each].title, "number": counts[each.value]}
        for each in AlertKind
        if counts[each.value]
    ]
    wanted = [alert for alert in found if not kind or alert.kind == kind]
    by = by if by in places.ASPECTS and viewer.scope is None else ""
    return {
        "alerts": wanted[:PAGE],
        "groups": _groups(viewer, wanted[:PAGE], by),
        "total": len(wanted),
        "kinds": kinds,
        "kind": kind,
        "by": by,
        "aspects": _aspects(kind) if viewer.scope is None and found else [],
    }


def _aspects(kind: str) -> list[dict[str, str]]:
    named = [("", "As they came"), *zip(places.ASPECTS, ("Instance", "Host", "Version"), strict=True)]
    return [{"by": by, "name": name, "href": words.href("/alerts", {"kind": kind, "by": by})} for by, name in named]


def _groups(viewer: Viewer, alerts: Sequence[AlertRow], by: str) -> list[dict[str, Any]]:
    """Those that most share first; what is of no place last."""
    of: dict[str, list[AlertRow]] = {}
    for alert in alerts:
        of.setdefault(_place(viewer, alert, by) if by else "", []).append(alert)
    return [
        {
            "name": viewer.short(name) if by == "instance" and name else name or ("of no instance" if by else ""),
            "number": len(found),
            "kinds": len({alert.kind for alert in found}),
            "alerts": [_shown(viewer, alert) for alert in found],
        }
        for name, found in sorted(of.items(), key=lambda each: (not each[0], -len(each[1])))
    ]


def _place(viewer: Viewer, alert: AlertRow, by: str) -> str:
    """Where it is, as far as `by` goes; empty for what is about no instance."""
    url = alert.subject if alert.about == "instance" else None
    if alert.about == "session" and (account := viewer.account(alert.subject)) is not None:
        url = account.placement.instance_url
    if url is None:
        return ""
    where = InstanceUrl(url)
    health = viewer.gateway.watching.health_of(where)
    engine = " ".join(each for each in (health.engine, health.version) if each) if health is not None else ""
    return str(getattr(places.place_of(where, viewer.gateway.fleet.roster.instances.get(where), engine), by))


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
