"""The first page: what is wrong, what is being done about it, and what is yours to do."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import quantiles
from typing import Any

from homing.decide.knowledge.standing import Group, Standing
from homing.model.alerts import GUIDES, AlertKind
from homing.model.fleet import Move
from homing.model.sends.messages import MessageState
from homing.serve.page import plots, words
from homing.serve.page.charts import Chart
from homing.serve.page.moving.moves import shown_moves
from homing.serve.page.viewer import Viewer, health_shape
from homing.serve.state.history import CAUSES, Cause
from homing.serve.state.rows import AlertRow, InstanceRow, SessionCounts, counts_row

LAST_MOVES = 8
MESSAGES_LOOKED_AT = 200
NAMED = 3


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a column: a decision's own words, and where to go."""

    shape: str
    tone: str
    strong: str
    text: str
    small: str = ""
    href: str = ""
    label: str = "Open"
    first: bool = False
    dialog: bool = False


@dataclass(frozen=True, slots=True)
class LastHour:
    """What the last hour came to. `unknown` is of the newest messages; `waiting` is None for a workspace, since sends
    wait in one line for all of them."""

    moves: Sequence[Move]
    by_cause: Mapping[Cause, int]
    took_ms: Sequence[float]
    unknown: int
    oldest_unknown_at: datetime | None
    waiting: int | None

    def took_of(self, percent: int) -> int | None:
        """Within which time so many of them could send again, in ms."""
        values = self.took_ms
        if len(values) > 1:
            return round(quantiles(values, n=100, method="inclusive")[percent - 1])
        return round(values[0]) if values else None


@dataclass(frozen=True, slots=True)
class Now:
    """Everything that the page says, in figures: what it draws and what its twin in the API tells are made of it."""

    counts: SessionCounts
    wrong: list[Item]
    doing: list[Item]
    yours: list[Item]
    hour: LastHour
    charts: list[Chart]
    moves: Sequence[Move]


async def seen(viewer: Viewer, span: str = "") -> Now:
    """How it is now, and over this time (`24h`, else an hour), for whom it is seen by."""
    live, scope = viewer.live, viewer.scope
    counts = counts_row(live.book.counts(scope), live.book.by_standing(scope))
    instances, alerts = live.instances(scope), live.alerts(scope)
    return Now(
        counts,
        wrong(viewer, instances, alerts),
        doing(viewer, instances),
        yours(viewer, alerts),
        await _last_hour(viewer),
        plots.all_of(viewer, counts, plots.window_of(viewer.now, span)),
        live.moved_since(scope, viewer.now - timedelta(days=7))[:LAST_MOVES],
    )


async def context(viewer: Viewer, span: str = "") -> dict[str, Any]:
    now = await seen(viewer, span)
    return {
        "wrong": now.wrong,
        "doing": now.doing,
        "yours": now.yours,
        "counts": now.counts,
        "bar": bar(now.counts),
        "legend": legend(now.counts),
        "figures": _figures(viewer, now.hour),
        "charts": now.charts,
        "spans": [
            (words.href("/now", {"span": value}), name, value == plots.named(span)) for value, name in plots.SPANS
        ],
        "moves": shown_moves(viewer, now.moves),
    }


# --- the three columns ----------------------------------------------------------------------------------------


def wrong(viewer: Viewer, instances: Sequence[InstanceRow], alerts: Sequence[AlertRow]) -> list[Item]:
    """Instances first, then what stands about sessions and the fleet, one line for each kind."""
    ill = [row for row in instances if row.health != "healthy"]
    found = [_ill(viewer, row) for row in sorted(ill, key=lambda row: (row.health != "down", row.url))]
    told = {row.url for row in ill}
    grouped: dict[str, list[AlertRow]] = defaultdict(list)
    for alert in alerts:
        if not (alert.about == "instance" and alert.subject in told):
            grouped[alert.kind].append(alert)
    return found + [_standing(viewer, group) for group in grouped.values()]


def _ill(viewer: Viewer, row: InstanceRow) -> Item:
    state = health_shape(row)
    text = f"since {words.moment(row.since, viewer.now)}. {words.sentence(row.reason)}"
    small = f"{words.many(row.sessions, 'session')} placed on it, {row.can_send:,} can send"
    return Item(state.shape, state.tone, f"{viewer.short(row.url)} is {state.word}", text, small)


def _standing(viewer: Viewer, group: Sequence[AlertRow]) -> Item:
    first, critical = group[0], group[0].severity == "critical"
    shape, tone = ("cross", "bad") if critical else ("up", "warn")
    since = f"since {words.moment(first.since, viewer.now)}"
    if len(group) == 1:
        return Item(shape, tone, f"{first.title}: {_about(viewer, first)}", f"{since}. {words.sentence(first.reason)}")
    named = ", ".join(_about(viewer, each) for each in group[:NAMED])
    more = f" and {len(group) - NAMED:,} more" if len(group) > NAMED else ""
    return Item(
        shape,
        tone,
        f"{first.title}, {len(group):,} times",
        f"first {since}: {named}{more}. {words.sentence(first.means)}",
    )


def _about(viewer: Viewer, alert: AlertRow) -> str:
    match alert.about:
        case "session":
            return viewer.phone_of(alert.subject)
        case "instance":
            return viewer.short(alert.subject)
        case _:
            return alert.subject or "the fleet"


def doing(viewer: Viewer, instances: Sequence[InstanceRow]) -> list[Item]:
    """Sessions on their way, by where they come from; instances that drain, or are asked again and again."""
    found = _on_their_way(viewer)
    for row in instances:
        if row.state == "draining" and row.sessions:
            text = f"{words.many(row.sessions, 'session')} still there; nothing new is given to it."
            found.append(Item("half", "busy", f"{viewer.short(row.url)} is being drained:", text))
        if row.health == "suspect":
            text = "Nothing new is given to it; if nothing answers when its lease runs out, its sessions go elsewhere."
            found.append(Item("right", "busy", f"{viewer.short(row.url)} is asked every second.", text))
    return found


def _on_their_way(viewer: Viewer) -> list[Item]:
    live = viewer.live
    newest: dict[str, Move] = {}
    for move in live.moves_of(viewer.scope):
        newest.setdefault(move.session_id, move)
    under_way: dict[str | None, list[str]] = defaultdict(list)
    for session in live.finder.of_group(viewer.scope, Group.UNDER_WAY):
        came_by = newest.get(session)
        under_way[came_by.from_url if came_by is not None else None].append(session)
    return [_leaving(viewer, url, sessions, newest) for url, sessions in under_way.items()]


def _leaving(viewer: Viewer, url: str | None, sessions: Sequence[str], newest: dict[str, Move]) -> Item:
    moves = [newest[session] for session in sessions if session in newest]
    to = sorted({viewer.short(move.to_url) for move in moves if move.to_url and move.to_url != url})
    where = f" to {' and '.join(to[:NAMED])}" if to else ""
    whose = f" of {viewer.short(url)}" if url is not None else ""
    are = "is" if len(sessions) == 1 else "are"
    strong = f"{words.many(len(sessions), 'session')}{whose} {are} on the way{where}."
    return Item("right", "busy", strong, "", moves[0].reason if moves else "")


_YOURS: dict[AlertKind, tuple[str, str]] = {
    AlertKind.SESSION_LOGGED_OUT: ("Pair {} again.", "Pair…"),
    AlertKind.LEFT_WHERE_IT_IS: ("Bring back {}, or leave it.", "Bring back…"),
    AlertKind.QUARANTINED: ("End the strange device of {}.", "Open"),
    AlertKind.DUPLICATE_HOLDER: ("Stop {} where it does not belong.", "Open"),
    AlertKind.PHONE_MISMATCH: ("Say whose phone {} is.", "Open"),
    AlertKind.SESSION_MISSING: ("Start {}.", "Open"),
    AlertKind.NO_CAPACITY: ("Make room for {}.", "Open"),
    AlertKind.ENDPOINT_DISABLED: ("Have {} mended.", "Open"),
}
_NOT_YOURS = {AlertKind.INSTANCE_GONE, AlertKind.DOUBTFUL, AlertKind.SESSION_UNREACHABLE, AlertKind.TAKEN_BACK}


def yours(viewer: Viewer, alerts: Sequence[AlertRow]) -> list[Item]:
    """What passes only when a person does something, one line for each kind of doing."""
    grouped: dict[AlertKind, list[AlertRow]] = defaultdict(list)
    for alert in alerts:
        grouped[AlertKind(alert.kind)].append(alert)
    found: list[Item] = []
    for kind, group in grouped.items():
        if kind not in _NOT_YOURS:
            found.append(_to_do(viewer, kind, group, first=not found))
    return found + _to_pair(viewer, grouped)


def _to_do(viewer: Viewer, kind: AlertKind, group: Sequence[AlertRow], *, first: bool) -> Item:
    verb, label = _YOURS.get(kind, ("See to {}.", "Open"))
    about = _about(viewer, group[0]) if len(group) == 1 else words.many(len(group), group[0].about)
    href = "/alerts"
    if group[0].about == "session":
        account = viewer.account(group[0].subject)
        href = f"/sessions/{account.id}" if len(group) == 1 and account is not None else f"/alerts?kind={kind.value}"
    elif group[0].about == "endpoint":
        href = f"/endpoints/{group[0].subject}" if len(group) == 1 else "/endpoints"
    since = f"since {words.moment(group[0].since, viewer.now)}"
    return Item("bars", "warn", verb.format(about), words.sentence(GUIDES[kind].do), since, href, label, first)


def _to_pair(viewer: Viewer, told: dict[AlertKind, list[AlertRow]]) -> list[Item]:
    """Sessions that need a phone and of which no alert speaks, such as those that nobody has linked yet."""
    named = {alert.subject for group in told.values() for alert in group}
    finder = viewer.live.finder
    waiting = [
        session
        for standing in (Standing.LOGGED_OUT, Standing.WAITS)
        for session in finder.of_standing(viewer.scope, standing)
        if session not in named
    ]
    account = viewer.account(waiting[0]) if waiting else None
    if account is None:
        return []
    about = words.phone(account) if len(waiting) == 1 else words.many(len(waiting), "session")
    href = f"/sessions/{account.id}" if len(waiting) == 1 else "/sessions"
    return [Item("diamond", "bad", f"Pair {about}.", "Somebody with the phone has to scan a code.", "", href, "Pair…")]


# --- figures --------------------------------------------------------------------------------------------------


def bar(counts: SessionCounts) -> list[dict[str, Any]]:
    """The sessions as one bar, whose parts add up. A part that is there can be seen."""
    parts = [
        ("ok", counts.can_send),
        ("busy", counts.under_way),
        ("warn", counts.needs_you - _ended(counts)),
        ("bad", _ended(counts)),
        ("off", counts.in_doubt + counts.stopped),
    ]
    there = [(tone, max(8.0, 1000 * number / counts.total)) for tone, number in parts if number]
    whole = sum(width for _, width in there) or 1.0
    found, x = [], 0.0
    for tone, width in there:
        width = 1000 * width / whole
        between = 3 if len(there) > 1 else 0
        found.append({"tone": tone, "x": round(x, 1), "width": round(max(1.0, width - between), 1)})
        x += width
    return found


def _ended(counts: SessionCounts) -> int:
    return counts.by_standing.get(Standing.LOGGED_OUT.value, 0) + counts.by_standing.get(Standing.FAILED.value, 0)


def legend(counts: SessionCounts) -> list[dict[str, str]]:
    waiting = counts.needs_you - _ended(counts)
    told = [
        ("right", "busy", counts.under_way, "on the way" if counts.under_way == 1 else "on their way"),
        ("bars", "warn", waiting, "waits for you" if waiting == 1 else "wait for you"),
        ("diamond", "bad", _ended(counts), "logged out or failed"),
        ("square", "off", counts.in_doubt, "in doubt"),
        ("square", "off", counts.stopped, "stopped"),
    ]
    return [
        {"shape": shape, "tone": tone, "words": f"{number:,} {said}"} for shape, tone, number, said in told if number
    ]


async def _last_hour(viewer: Viewer) -> LastHour:
    moves = viewer.live.moved_since(viewer.scope, viewer.now - timedelta(hours=1))
    records = await viewer.recent_messages(MESSAGES_LOOKED_AT)
    unknown = [record for record in records if record.state is MessageState.UNKNOWN]
    counted = Counter(CAUSES[move.kind] for move in moves)
    return LastHour(
        moves,
        {each: counted[each] for each in Cause if counted[each]},
        [float(move.duration_ms) for move in moves if move.duration_ms is not None],
        len(unknown),
        unknown[-1].created_at if unknown else None,
        viewer.gateway.news.waiting if viewer.scope is None else None,
    )


def _figures(viewer: Viewer, hour: LastHour) -> dict[str, Any]:
    again, seldom, oldest = hour.took_of(50), hour.took_of(99), hour.oldest_unknown_at
    causes = ", ".join(f"{number:,} {cause.value}" for cause, number in hour.by_cause.items())
    return {
        "moves": f"{len(hour.moves):,}",
        "moves_of": causes or "none",
        "again": words.took(again) if again is not None else "–",
        "again_of": f"p50; p99 {words.took(seldom)}, n={len(hour.took_ms)}" if hour.took_ms else "nothing had to move",
        "unknown": f"{hour.unknown:,}",
        "unknown_of": f"oldest {words.ago(oldest, viewer.now)} ago"
        if oldest is not None
        else f"none of the newest {MESSAGES_LOOKED_AT} messages",
        "waiting": f"{hour.waiting:,}" if hour.waiting is not None else "–",
        "waiting_of": f"given up after {viewer.gateway.settings.homing_send_deadline:g} s",
    }
