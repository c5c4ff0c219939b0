"""In which form a receiver takes a group of alerts."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from homing.decide.alerts import places
from homing.decide.alerts.receivers import AlertBundle, AlertGroup
from homing.model.alerts import GUIDES, About, Subject
from homing.model.deliveries.receivers import AlertPlace, ToldAlert

_SAID_MAX = 500
_UNSEEN = ("Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn")
_LISTED = 20
"""Subjects that are named in a text for people; of more only the number is told."""


def document(group: AlertGroup, now: datetime, trouble: str = "") -> dict[str, Any]:
    """For a webhook: type, timestamp and data, as customers' events have them. `trouble` is what it shares with the
    other kinds that are told with it.
    """
    guide = GUIDES[group.kind]
    return {
        "type": "alert.firing" if group.firing else "alert.resolved",
        "timestamp": now.isoformat(),
        "data": {
            "kind": group.kind.value,
            "title": guide.title,
            "severity": guide.severity.value,
            "means": guide.means,
            "do": guide.do,
            **({"trouble": trouble} if trouble else {}),
            "counts": places.counted(group.place(each) for each in group.alerts),
            "alerts": [
                {
                    "id": each.alert_id,
                    "about": each.alert.subject.about.value,
                    "subject": each.alert.subject.name,
                    "reason": each.alert.reason,
                    "raised_at": each.alert.raised_at.isoformat(),
                    **_placed(group.place(each)),
                }
                for each in group.alerts
            ],
        },
    }


def slack(bundle: AlertBundle) -> dict[str, Any]:
    """For an incoming webhook of Slack's: one text. What comes from outside is escaped, and cannot call anybody."""
    return {"text": _escaped(text(bundle))}


def alertmanager(
    standing: Sequence[ToldAlert], passed: Sequence[ToldAlert], of: Mapping[Subject, AlertPlace], now: datetime
) -> list[dict[str, Any]]:
    """For `POST /api/v2/alerts`: each alert by its labels; those that passed have an end."""
    return [*(_labelled(each, of, None) for each in standing), *(_labelled(each, of, now) for each in passed)]


def heading(bundle: AlertBundle) -> str:
    """One line: for a mail's subject. Of several kinds the most severe one says how severe it is."""
    first = bundle.groups[0]
    if len(bundle.groups) == 1:
        return _heading(first)
    state = min(GUIDES[each.kind].severity for each in bundle.groups).value if first.firing else "resolved"
    number = len(bundle.alerts)
    return f"[Homing] {state}: {number} alerts of {len(bundle.groups)} kinds, {_plain(bundle.where)}"


def text(bundle: AlertBundle) -> str:
    """For people."""
    if len(bundle.groups) == 1:
        return _text(bundle.groups[0])
    return "\n\n".join([heading(bundle), *(_text(each) for each in bundle.groups)])


def _heading(group: AlertGroup) -> str:
    number = f" ({len(group.alerts)})" if len(group.alerts) > 1 else ""
    state = GUIDES[group.kind].severity.value if group.firing else "resolved"
    return f"[Homing] {state}: {GUIDES[group.kind].title}{number}"


def _text(group: AlertGroup) -> str:
    guide, places_of = GUIDES[group.kind], [group.place(each) for each in group.alerts]
    said = places.where(places_of) if len(group.alerts) > 1 else ""
    lines = [
        _heading(group),
        *([said] if said else []),
        *(f"- {_plain(_named(each.alert.subject))}: {_plain(each.alert.reason)}" for each in group.alerts[:_LISTED]),
    ]
    if len(group.alerts) > _LISTED:
        lines.append(f"- and {len(group.alerts) - _LISTED} more")
    return "\n".join([*lines, *([f"It means: {guide.means}", f"To do: {guide.do}"] if group.firing else [])])


def _placed(place: AlertPlace | None) -> dict[str, str]:
    if place is None:
        return {}
    told = {"instance": place.instance, "host": place.host, "engine": place.engine}
    return {name: value for name, value in told.items() if value}


def _labelled(each: ToldAlert, of: Mapping[Subject, AlertPlace], ends_at: datetime | None) -> dict[str, Any]:
    """Labels are what Alertmanager knows an alert by: a session's place may change, and is an annotation."""
    alert, guide = each.alert, GUIDES[each.alert.kind]
    placed = _placed(of.get(alert.subject))
    host = placed.get("host", "") if alert.subject.about is About.INSTANCE else ""
    labels: Mapping[str, str] = {
        "alertname": alert.kind.value,
        "severity": guide.severity.value,
        "about": alert.subject.about.value,
        "subject": alert.subject.name,
        "alert_id": each.alert_id,
        "host": host,
    }
    told = {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {"summary": guide.title, "description": alert.reason, "action": guide.do, **placed},
        "startsAt": alert.raised_at.isoformat(),
    }
    return told if ends_at is None else {**told, "endsAt": ends_at.isoformat()}


def _named(subject: Subject) -> str:
    return f"{subject.about.value} {subject.name}".strip()


def _plain(said: str) -> str:
    """One line of what was said, for people: nothing in it breaks the line, or turns or hides what stands around it."""
    kept = "".join(" " if unicodedata.category(each) in _UNSEEN else each for each in said[:_SAID_MAX])
    return " ".join(kept.split()) + ("…" if len(said) > _SAID_MAX else "")


def _escaped(said: str) -> str:
    return said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
