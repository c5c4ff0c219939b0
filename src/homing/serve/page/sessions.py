"""The sessions, found and turned over, and one session by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import segno
from markupsafe import Markup

from homing.decide.fleet import labels
from homing.decide.knowledge import presence
from homing.decide.knowledge.standing import Group, Standing
from homing.decide.moves.abilities import Deed
from homing.model.errors import Code, Problem
from homing.model.fleet import Account, Move, SessionStatus
from homing.model.instances.events import Event
from homing.model.sends.messages import MessageState
from homing.ports import Page, StoreUnavailable
from homing.serve.page import downtime, words
from homing.serve.page.listed import day_bars, facets
from homing.serve.page.listed.day_bars import DayBar
from homing.serve.page.moving.moves import shown_moves
from homing.serve.page.viewer import Shape, Viewer
from homing.serve.state.pasts import UNKNOWN, Past, pasts
from homing.serve.state.rows import SessionRow

PAGE = 100
MOVES_SHOWN = 12
EVENTS_SHOWN = 15
EVENTS_LOOKED_BACK = 5_000


@dataclass(frozen=True, slots=True)
class ShownSession:
    """One row."""

    row: SessionRow
    phone: str
    state: Shape
    since: str
    instance: str
    bar: DayBar
    down: str


async def context(viewer: Viewer, query: Mapping[str, str]) -> dict[str, Any]:
    """A page of those that match; the script turns the same list over without pages."""
    first = max(0, int(query["from"])) if query.get("from", "").isdecimal() and len(query["from"]) < 9 else 0
    kept = facets.kept(query)
    found = await viewer.live.finder.found(facets.search(viewer, kept), viewer.feed.version, first, PAGE)
    past = await pasts(viewer.gateway, viewer.live, found.sessions)
    rows = [
        shown(viewer, row, past.get(each, UNKNOWN))
        for each in found.sessions
        if (row := viewer.live.book.row(each)) is not None
    ]
    return {
        "sessions": rows,
        "matching": found.total,
        "first": first,
        "total": viewer.live.book.counts(viewer.scope).total,
        "query": kept,
        "facets": facets.groups(viewer, kept),
        "next": facets.href(kept, {"from": str(first + PAGE)}) if first + PAGE < found.total else "",
        "before": facets.href(kept, {"from": str(max(0, first - PAGE))}) if first else "",
        "names": viewer.names,
        "asks": facets.asked(kept),
        "json_href": words.href("/api/v1/sessions", facets.asked(kept)),
        "csv_href": words.href("/sessions.csv", kept),
    }


def shown(viewer: Viewer, row: SessionRow, past: Past) -> ShownSession:
    standing = Standing(row.standing)
    return ShownSession(
        row=row,
        phone=viewer.phone_of(row.session_id),
        state=Shape(*words.SHAPES[standing], standing.value),
        since=words.ago(row.since, viewer.now),
        instance=viewer.short(row.instance_url),
        bar=DayBar.of(past.beats),
        down=words.span(60 * past.minutes_down) if past.minutes_down else "0" if past.beats else "–",
    )


# --- one session ----------------------------------------------------------------------------------------------


async def one(viewer: Viewer, ref: str) -> dict[str, Any]:
    account = find(viewer, ref)
    row = viewer.live.book.row(account.session_id)
    assert row is not None
    past = (await pasts(viewer.gateway, viewer.live, [account.session_id])).get(account.session_id, UNKNOWN)
    moves = [move for move in viewer.live.moves_of(viewer.scope) if move.session_id == account.session_id]
    alerts = [alert for alert in viewer.live.alerts(viewer.scope) if alert.subject == account.session_id]
    timed = next((move for move in moves if move.steps), None)
    return {
        "template": "session",
        "shown": shown(viewer, row, past),
        "ticks": day_bars.ticks(viewer.now),
        "account": account,
        "says": _says(viewer, account, row),
        "alerts": alerts,
        "move": _timeline(viewer, timed) if timed is not None else None,
        "moves": shown_moves(viewer, moves[:MOVES_SHOWN]),
        "events": await _events(viewer, account),
        "may": _may(viewer, account),
        "facts": [
            *_facts(viewer, account),
            ("Down this month", await downtime.of_session(viewer, account), "/downtime"),
        ],
        "pairing": await _pairing(viewer, account, row),
        "actions": _actions(viewer, account, row),
        "held": await _held(viewer, account),
    }


def find(viewer: Viewer, ref: str) -> Account:
    """The account with this number, uuid or session, as it is known now. Raises Problem; another workspace's is not
    there."""
    for session in viewer.live.finder.named(viewer.scope, ref):
        account = viewer.live.book.account(session)
        if account is not None:
            return account
    raise Problem(Code.ACCOUNT_NOT_FOUND, f"There is no account {ref[:100]}")


def _says(viewer: Viewer, account: Account, row: SessionRow) -> tuple[str, str, str]:
    """Its state in one sentence: what stands in strong, the rest of it, and what follows from it."""
    _, outdated = presence.status_now(account, viewer.now, viewer.gateway.watching.down())
    where = f" on {viewer.short(row.instance_url)}" if row.instance_url else ""
    since = f"since {words.moment(row.since, viewer.now)}, under epoch {row.epoch}."
    more = {
        Standing.LOGGED_OUT: "Its link with WhatsApp has ended. Somebody with the phone has to pair it again.",
        Standing.QUARANTINED: "A stranger used its login again. It is not started until somebody says so.",
        Standing.WAITS: "Somebody has to act; what stands below says how.",
        Standing.STARTING: "Its instance is opening it.",
        Standing.MOVING: "Homing is bringing it there; messages wait for it meanwhile.",
        Standing.DOUBTFUL: "Its instance calls it connected, and sends through it fail.",
        Standing.STOPPED: "Somebody stopped it. Messages through it are refused until it is started.",
        Standing.UNKNOWN: "It is not known how it is.",
        Standing.FAILED: "Its instance has lost its connection.",
        Standing.CONNECTED: "It can send.",
    }[Standing(row.standing)]
    return f"{row.standing.capitalize()}{where}", since, words.sentence(outdated) if outdated else more


def _timeline(viewer: Viewer, move: Move) -> dict[str, Any]:
    """The steps of its last move, as long as they took."""
    total = sum(move.steps.values()) or 1
    parts, x = [], 0.0
    for name, took_ms in move.steps.items():
        width = 1000 * took_ms / total
        parts.append(
            {"name": words.spaced(name), "took": words.took(took_ms), "x": round(x, 1), "width": round(width, 1)}
        )
        x += width
    return {
        "title": f"{words.spaced(move.kind.value).capitalize()}, {words.moment(move.at, viewer.now)}",
        "took": words.took(move.duration_ms),
        "parts": parts,
        "reason": move.reason,
        "fence": move.fence,
        "epoch": move.epoch,
        "from_name": viewer.short(move.from_url),
        "to_name": viewer.short(move.to_url),
    }


async def _events(viewer: Viewer, account: Account) -> list[dict[str, Any]]:
    """What its instance reported of late, the newest first."""
    events = viewer.gateway.stores.events
    try:
        after = max(0, await events.last_sequence() - EVENTS_LOOKED_BACK)
        found: list[Event] = []
        while page := await events.page(viewer.scope, Page(after, 500), session_id=account.session_id, aside=True):
            found, after = (found + page)[-EVENTS_SHOWN:], page[-1].sequence
            if len(page) < 500:
                break
    except StoreUnavailable:
        return []
    return [
        {"at": event.received_at, "kind": words.spaced(event.kind), "instance": viewer.short(event.instance_url)}
        for event in reversed(found)
    ]


_DEEDS = {
    Deed.REDISCOVERED: "Look for it on every instance",
    Deed.RESTARTED: "Restart it where it is, if sends fail",
    Deed.BROUGHT_BACK: "Bring it back by itself",
    Deed.TAKEN_OVER: "Bring it back on request",
    Deed.MOVED: "Move it to even out load",
    Deed.STOPPED: "Stop it and keep its login",
    Deed.REPEATED: "Repeat a message that may have left",
}


def _may(viewer: Viewer, account: Account) -> list[dict[str, Any]]:
    """What recovery may do for it, and why not more: by the judgments that recovery asks."""
    url = account.placement.instance_url
    said = viewer.gateway.watching.health_of(url) if url is not None else None
    found = viewer.gateway.moving.abilities.known(account, said.capabilities if said is not None else None)
    if found is None:
        return [{"ok": False, "text": "Anything", "small": "it is on no instance; start it"}]
    shown = [
        {
            "ok": each.can,
            "text": _DEEDS[each.deed],
            "small": each.because if each.would_help is None else f"{each.because}; what would help: {each.would_help}",
        }
        for each in found.all
    ]
    needs = labels.shown(account.requires)
    text = f"Open it where {needs} is missing" if needs else "Open it while another may still act for it"
    small = "it requires that" if needs else "first the vault, its instance or its lease must say that it cannot"
    return [*shown, {"ok": False, "text": text, "small": small}]


def _facts(viewer: Viewer, account: Account) -> list[tuple[str, str, str]]:
    url = account.placement.instance_url
    known = viewer.gateway.fleet.roster.instances.get(url) if url is not None else None
    needs = labels.shown(account.requires)
    return [
        ("Instance", viewer.short(url), f"/instances/{known.id}" if known is not None else ""),
        ("Epoch", str(account.placement.epoch), ""),
        ("Placement", account.placement.state.value, ""),
        ("Status", account.status.value.replace("_", " "), ""),
        (
            "Seen there",
            f"{words.ago(account.last_verified_at, viewer.now)} ago" if account.last_verified_at else "–",
            "",
        ),
        ("Takeover", account.takeover.value, ""),
        ("Requires", needs or "–", ""),
        ("Workspace", str(account.workspace_id), ""),
        ("Number", str(account.id), ""),
        ("Uuid", account.uuid, ""),
        ("Session", account.session_id, ""),
    ]


async def _pairing(viewer: Viewer, account: Account, row: SessionRow) -> dict[str, Any] | None:
    """The code that links its phone, while it needs one; for those who may link it."""
    if account.status not in (SessionStatus.PAIRING, SessionStatus.LOGGED_OUT) or row.instance_url is None:
        return None
    if not viewer.may_operate:
        return {"svg": None, "code": None, "left": "", "why": "Its code is shown to admin keys."}
    try:
        told = await viewer.gateway.pairing.shown(account)
    except Problem as problem:
        return {"svg": None, "code": None, "left": "", "why": problem.detail}
    except StoreUnavailable:
        return {"svg": None, "code": None, "left": "", "why": "The database is away; codes cannot be read."}
    drawn = (
        segno.make(told.qr, error="l").svg_inline(border=0, omitsize=True, svgclass=None, lineclass=None)
        if told.qr
        else None
    )
    left = "it has expired; the next one follows" if told.expired else f"good for {told.expires_in_s} s more"
    return {"svg": Markup(drawn) if drawn else None, "code": told.code, "left": left, "why": ""}  # noqa: S704 - ours


async def _held(viewer: Viewer, account: Account) -> int:
    """How many of its messages wait for somebody to say go, after it was paired anew."""
    try:
        return (await viewer.gateway.stores.outbox.waiting(account.uuid)).get(MessageState.HELD, 0)
    except StoreUnavailable:
        return 0


def _actions(viewer: Viewer, account: Account, row: SessionRow) -> list[dict[str, str]]:
    if not viewer.may_operate:
        return []
    group = Group.STOPPED if account.status is SessionStatus.STOPPED else None
    names = ["start", "migrate", "rehome"] if group is Group.STOPPED else ["migrate", "restart", "stop", "rehome"]
    if account.placement.instance_url is None:
        names = ["start"]
    if row.standing == Standing.LOGGED_OUT.value:
        names = ["start", "stop", "link"]
    elif account.status is SessionStatus.PAIRING:
        names = ["link", *names]
    return [{"href": f"/sessions/{account.id}/{name}", "name": _BUTTONS[name]} for name in names]


_BUTTONS = {
    "start": "Start…",
    "migrate": "Migrate…",
    "restart": "Restart…",
    "stop": "Stop…",
    "rehome": "Bring back…",
    "link": "Make a link…",
}
