"""The instances, worst first, and one instance by itself."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from homing.decide.fleet import labels
from homing.decide.moves import movable
from homing.model.errors import Code, Problem
from homing.model.fleet import InstanceState, InstanceUrl
from homing.model.instances.leases import Incarnation
from homing.serve.page import words
from homing.serve.page.moving.moves import shown_moves
from homing.serve.page.viewer import Shape, Viewer, health_shape
from homing.serve.state.finding import SessionSearch
from homing.serve.state.rows import AlertRow, InstanceRow

_WORST = ("down", "misconfigured", "suspect", "draining", "healthy")
MOVES_SHOWN = 20
SESSIONS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class ShownInstance:
    """One row. `why` stands below it where it is ill."""

    row: InstanceRow
    name: str
    place: str
    state: Shape
    since: str
    why: str
    use: list[dict[str, Any]]
    sends: str
    lease: str
    lease_more: str
    action: str
    action_href: str


async def context(viewer: Viewer, health: str) -> dict[str, Any]:
    rows = sorted((shown(viewer, row) for row in viewer.live.instances(viewer.scope)), key=_order)
    counts = Counter(each.state.word for each in rows)
    filters = [{"health": "", "name": "All", "number": len(rows)}]
    filters += [{"health": word, "name": word.capitalize(), "number": counts[word]} for word in _WORST if counts[word]]
    wanted = [each for each in rows if not health or each.state.word == health]
    capacities = [each.row.capacity for each in wanted if each.row.capacity is not None]
    return {
        "instances": wanted,
        "total": len(rows),
        "healthy": counts["healthy"],
        "filters": filters,
        "health": health,
        "sessions": sum(each.row.sessions for each in wanted),
        "capacity": sum(capacities) if len(capacities) == len(wanted) and wanted else None,
        "by_version": _by(rows, lambda each: f"{each.row.driver} {each.row.version or ''}".strip()),
        "by_state": _by(rows, lambda each: each.state.word),
        "room": _room(rows),
    }


async def one(viewer: Viewer, number: int) -> dict[str, Any]:
    """One instance, with what is on it and what came and went."""
    row = next((row for row in viewer.live.instances(viewer.scope) if row.id == number), None)
    if row is None:
        raise Problem(Code.INSTANCE_NOT_FOUND, f"There is no instance {number}")
    url = InstanceUrl(row.url)
    moves = [move for move in viewer.live.moves_of(viewer.scope) if row.url in (move.from_url, move.to_url)]
    wanted = SessionSearch(viewer.scope, instance_url=row.url)
    found = await viewer.live.finder.found(wanted, viewer.feed.version, 0, SESSIONS_SHOWN)
    alerts = [alert for alert in viewer.live.alerts(viewer.scope) if alert.subject == row.url]
    return {
        "template": "instance",
        "shown": shown(viewer, row),
        "says": _says(viewer, row),
        "facts": _facts(viewer, row),
        "may": _may(viewer, url),
        "alerts": alerts,
        "advice": _advice(alerts),
        "moves": shown_moves(viewer, moves[:MOVES_SHOWN]),
        "sessions": [
            {
                "row": session,
                "phone": viewer.phone_of(session.session_id),
                "state": Shape(*words.SHAPES[viewer.live.book.standing(each)], session.standing),
            }
            for each in found.sessions
            if (session := viewer.live.book.row(each)) is not None
        ],
        "sessions_total": found.total,
    }


def shown(viewer: Viewer, row: InstanceRow) -> ShownInstance:
    state = health_shape(row)
    lease, lease_more = _lease(viewer, row)
    drains = row.state == "draining"
    said = viewer.gateway.watching.health_of(InstanceUrl(row.url))
    return ShownInstance(
        row=row,
        name=viewer.short(row.url),
        place=row.url if row.name else f"instance {row.id}",
        state=state,
        since=f"since {words.moment(row.since, viewer.now)}"
        if state.tone != "ok"
        else words.ago(row.since, viewer.now),
        why=_why(row) if state.tone != "ok" else "",
        use=_use(row),
        sends=f"{said.sends_per_s:.1f}" if said is not None and said.sends_per_s is not None else "–",
        lease=lease,
        lease_more=lease_more,
        action="Undrain…" if drains else "Drain…",
        action_href=f"/instances/{row.id}/{'undrain' if drains else 'drain'}",
    )


def _order(each: ShownInstance) -> tuple[int, int]:
    return (_WORST.index(each.state.word) if each.state.word in _WORST else 0, each.row.id)


def _why(row: InstanceRow) -> str:
    reason = words.sentence(row.reason)
    here = f"{words.many(row.sessions, 'session is', 'sessions are')} placed on it, and {row.can_send:,} can send."
    if row.health == "healthy" and not row.sessions:
        return "It is empty, and given nothing new."
    if row.health == "healthy":
        return f"It is being emptied and given nothing new. {here}"
    return f"{reason} {here}" if reason else here


def _use(row: InstanceRow) -> list[dict[str, Any]]:
    """How full it is; where nobody said how much it holds, how many of its sessions can send."""
    whole = row.capacity or row.sessions
    width = min(1000.0, 1000 * row.sessions / whole) if row.capacity and whole else 0.0
    if not row.capacity:
        width = 1000 * row.can_send / whole if whole else 0.0
    return [{"tone": "ink", "x": 0, "width": round(width, 1)}]


def _lease(viewer: Viewer, row: InstanceRow) -> tuple[str, str]:
    if viewer.scope is not None:
        return "–", ""
    boot: Incarnation | None = viewer.gateway.watching.boot_of(InstanceUrl(row.url))
    if boot is None:
        return "holds none", "cannot be proven gone"
    if boot.ended is not None:
        return "ended", boot.ended.value
    if not boot.holds_lease:
        return "ran out", f"{words.span(-boot.lease_left_s)} ago"
    return f"{words.span(boot.lease_left_s)} left", f"renewed {words.span(boot.renewed_ago_s)} ago"


def _says(viewer: Viewer, row: InstanceRow) -> tuple[str, str]:
    state = health_shape(row)
    since = words.moment(row.since, viewer.now)
    return f"{state.word.capitalize()}", f"since {since}. {_why(row)}"


def _facts(viewer: Viewer, row: InstanceRow) -> list[tuple[str, str]]:
    boot = viewer.gateway.watching.boot_of(InstanceUrl(row.url)) if viewer.scope is None else None
    said = viewer.gateway.watching.health_of(InstanceUrl(row.url)) if viewer.scope is None else None
    known = viewer.gateway.fleet.roster.instances.get(InstanceUrl(row.url))
    return [
        ("Address", row.url),
        ("Driver", f"{row.driver} {row.version or ''}".strip()),
        ("Engine", (said.engine if said is not None else None) or "–"),
        ("Boot", boot.id[:12] if boot is not None else "–"),
        ("Lease", " ".join(_lease(viewer, row))),
        ("Mode", row.mode),
        ("Sessions", f"{row.sessions:,}" + (f" of {row.capacity:,}" if row.capacity else "")),
        ("Can send", f"{row.can_send:,}"),
        ("Memory", f"{said.memory_used_mb:.0f} MB" if said is not None and said.memory_used_mb else "–"),
        ("Strays", f"{known.strays}" if known is not None and known.strays is not None else "–"),
        ("Labels", (labels.shown(known.labels) if known is not None else "") or "–"),
    ]


def _may(viewer: Viewer, url: InstanceUrl) -> list[dict[str, Any]]:
    """What its driver lets Homing do, and what not, and why."""
    said = viewer.gateway.watching.health_of(url)
    if said is None:
        return [{"ok": False, "text": "Nothing is known of what it can do", "small": "it has not answered yet"}]
    can = said.capabilities
    leaves, takes = movable.cannot_leave(can), movable.cannot_take(can)
    return [
        _point(leaves is None, "Its sessions can be opened elsewhere", leaves or "their logins are in the vault"),
        _point(takes is None, "It can take sessions from elsewhere", takes or "it opens logins from the vault"),
        _point(
            can.choose_message_id,
            "A message that may have left is repeated",
            "it takes our message ids" if can.choose_message_id else "it chooses its own ids; such a send is unknown",
        ),
        _point(
            can.hold_lease,
            "It fences itself",
            "it stops acting when its lease runs out"
            if can.hold_lease
            else "it holds no lease, so nothing proves it gone",
        ),
    ]


def _point(ok: bool, text: str, small: str) -> dict[str, Any]:
    return {"ok": ok, "text": text, "small": small}


def _advice(alerts: Sequence[AlertRow]) -> str:
    return words.sentence(alerts[0].do) if alerts else ""


def _by(rows: Sequence[ShownInstance], key: Any) -> list[dict[str, Any]]:
    named: dict[str, list[ShownInstance]] = {}
    for each in rows:
        named.setdefault(key(each), []).append(each)
    return [
        {
            "name": name,
            "instances": len(group),
            "sessions": sum(each.row.sessions for each in group),
            "cannot": sum(each.row.sessions - each.row.can_send for each in group),
        }
        for name, group in sorted(named.items())
    ]


def _room(rows: Sequence[ShownInstance]) -> list[dict[str, str]]:
    """Whether there is room for what may come."""
    taking = [each.row for each in rows if each.state.word == "healthy" and each.row.mode == "route"]
    declared = [row for row in taking if row.capacity is not None]
    free = sum(max(0, (row.capacity or 0) - row.sessions) for row in declared)
    fullest = max(taking, key=lambda row: row.sessions, default=None)
    draining = sum(each.row.sessions for each in rows if each.row.state == InstanceState.DRAINING.value)
    boundless = len(taking) - len(declared)
    told = [{"name": f"Free on {words.many(len(declared), 'instance')} with a capacity", "value": f"{free:,}"}]
    if boundless:
        told.append({"name": f"On {words.many(boundless, 'instance')} without one", "value": "no limit is set"})
    told.append({"name": "Still to leave instances that drain", "value": f"{draining:,}"})
    if fullest is not None:
        told.append({"name": "Needed if the fullest were lost", "value": f"{fullest.sessions:,}"})
    return told
