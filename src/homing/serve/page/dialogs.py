"""Dialogs of actions: what will happen, by a dry run, and what is in the way. The act itself is a call of the API."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from homing.decide.moves import movable
from homing.decide.moves.abilities import Deed
from homing.model.directory.access import Scope
from homing.model.errors import Code, Problem
from homing.model.fleet import Account, InstanceUrl, MoveKind, SessionStatus, Takeover
from homing.serve.page import instances, sessions, words
from homing.serve.page.viewer import Viewer

PLACES_NAMED = 12
BLOCKERS_NAMED = 8


@dataclass(frozen=True, slots=True)
class Dialog:
    """One dialog. `forbidden` is why it may not be done: then there is no button, and that stands in its place."""

    title: str
    text: str
    button: str
    path: str
    command: str
    figures: Sequence[tuple[str, str, str]] = ()
    places: Sequence[tuple[str, str, str]] = ()
    blockers: Sequence[tuple[str, str]] = ()
    choices: Sequence[tuple[str, str]] = ()
    notice: str = ""
    forbidden: str = ""
    body: str = "{}"
    back: str = "/instances"


def offered(viewer: Viewer, ask: Dialog, needs: Scope = Scope.ADMIN) -> dict[str, Any]:
    """The dialog for who looks: without its button, and with why, where the key or the database does not allow it."""
    if not viewer.has(needs):
        forbidden = f"Your key may look, and not act; this needs a key with scope {needs}."
        ask = Dialog(ask.title, ask.text, ask.button, ask.path, ask.command, forbidden=forbidden, back=ask.back)
    elif viewer.live.directory_away is not None:
        forbidden = "The database is away, and nothing can be changed until it is back."
        ask = Dialog(ask.title, ask.text, ask.button, ask.path, ask.command, forbidden=forbidden, back=ask.back)
    return {"template": "dialog", "ask": ask}


# --- instances ------------------------------------------------------------------------------------------------


async def of_instance(viewer: Viewer, number: int, action: str) -> dict[str, Any]:
    shown = (await instances.one(viewer, number))["shown"]
    if not viewer.is_operator:
        ask = Dialog(
            f"{action.capitalize()} {shown.name}?", "", "", "", "", forbidden=_FLEET, back=f"/instances/{number}"
        )
        return {"template": "dialog", "ask": ask}
    match action:
        case "drain":
            return offered(viewer, await _drain(viewer, number, shown))
        case "undrain":
            return offered(viewer, _undrain(number, shown))
        case _:
            raise Problem(Code.NOT_FOUND, f"There is no action {action[:50]!r} of an instance")


_FLEET = "The fleet is for an operator's key, which has scope admin and belongs to no workspace."


async def _drain(viewer: Viewer, number: int, shown: Any) -> Dialog:
    url = InstanceUrl(shown.row.url)
    prospect = await viewer.gateway.moving.prospects.of(url)
    gap, gap_of = _gap(viewer)
    by_reason: dict[str, list[str]] = {}
    for each in prospect.told:
        by_reason.setdefault(each.reason, []).append(viewer.phone_of(each.session_id))
    blockers = [
        (f"{words.many(len(phones), 'session stays', 'sessions stay')}: {reason}.", _named(phones))
        for reason, phones in list(by_reason.items())[:BLOCKERS_NAMED]
    ]
    free = _free_elsewhere(viewer, url)
    return Dialog(
        title=f"Drain {shown.name}?",
        text="Its sessions go elsewhere one after the other, idle ones first, and it is given nothing new. You can"
        " undrain it at any time; what has moved stays where it is then.",
        button=f"Drain {shown.name}, move {prospect.leaving:,}",
        path=f"/api/v1/instances/{number}/drain",
        command=f"homing drain {url}",
        figures=[
            (
                "Will move",
                f"{prospect.leaving:,}",
                f"of {prospect.leaving + prospect.staying:,} that run there",
            ),
            ("Gap for each", gap, gap_of),
            ("Stay", f"{prospect.staying:,}", "named below" if prospect.staying else "nothing is in the way"),
        ],
        places=free,
        blockers=blockers,
        notice=_suspects(viewer, url),
        back=f"/instances/{number}",
    )


def _undrain(number: int, shown: Any) -> Dialog:
    return Dialog(
        title=f"Undrain {shown.name}?",
        text="It is given sessions again, and keeps those that have not begun to leave. What has moved stays there.",
        button=f"Undrain {shown.name}",
        path=f"/api/v1/instances/{number}/undrain",
        command=f"homing drain {shown.row.url} --undo",
        figures=[("Keeps", f"{shown.row.sessions:,}", "that are still there")],
        back=f"/instances/{number}",
    )


def _free_elsewhere(viewer: Viewer, leaving: InstanceUrl) -> list[tuple[str, str, str]]:
    """Where there is room now. Which session goes where is chosen when its turn comes."""
    unfit = viewer.gateway.watching.unfit()
    rows = [
        row
        for row in viewer.live.instances(viewer.scope)
        if row.url != leaving and row.state == "active" and row.mode == "route" and row.url not in unfit
    ]
    return [
        (
            viewer.short(row.url),
            f"{row.sessions:,}",
            f"{row.capacity - row.sessions:,} of {row.capacity:,} free"
            if row.capacity is not None
            else "no limit is set",
        )
        for row in sorted(rows, key=lambda row: row.sessions)[:PLACES_NAMED]
    ]


def _suspects(viewer: Viewer, leaving: InstanceUrl) -> str:
    told = []
    for row in viewer.live.instances(viewer.scope):
        if row.health not in ("suspect", "down") or not row.sessions or row.url == leaving:
            continue
        needs = f"its {words.many(row.sessions, 'session')} {'needs' if row.sessions == 1 else 'need'} room as well"
        lost = "If it is lost too, " if row.health == "suspect" else ""
        told.append(f"{viewer.short(row.url)} is {row.health}. {words.sentence(lost + needs)}")
    return " ".join(told)


def _gap(viewer: Viewer) -> tuple[str, str]:
    """How long planned moves took of late."""
    took = [
        move.duration_ms / 1000
        for move in viewer.live.moves_of(viewer.scope)
        if move.kind is MoveKind.MIGRATION and move.duration_ms is not None
    ]
    if not took:
        return "–", "no planned move was measured yet; sends wait"
    return words.took(round(1000 * median(took))), f"median of {words.many(len(took), 'move')}; sends wait"


def _named(phones: Sequence[str]) -> str:
    more = f" and {len(phones) - 4:,} more" if len(phones) > 4 else ""
    return ", ".join(phones[:4]) + more


# --- sessions -------------------------------------------------------------------------------------------------


async def of_session(viewer: Viewer, ref: str, action: str) -> dict[str, Any]:
    account = sessions.find(viewer, ref)
    make = _OF_SESSION.get(action)
    if make is None:
        raise Problem(Code.NOT_FOUND, f"There is no action {action[:50]!r} of a session")
    return offered(viewer, make(viewer, account))


def _migrate(viewer: Viewer, account: Account) -> Dialog:
    phone, (gap, gap_of) = words.phone(account), _gap(viewer)
    at = account.placement.instance_url
    rows = [row for row in viewer.live.instances(None) if row.url != at and row.state == "active"]
    choices = [("", "wherever there is most room")]
    if viewer.is_operator:
        choices += [(str(row.id), f"{viewer.short(row.url)}, {words.many(row.sessions, 'session')}") for row in rows]
    return Dialog(
        title=f"Migrate {phone}?",
        text=f"It leaves {viewer.short(at)} and is opened elsewhere under the next epoch. Messages wait meanwhile.",
        button=f"Migrate {phone}",
        path=f"/api/v1/accounts/{account.uuid}/migrate",
        command=f"homing accounts migrate {account.id}",
        figures=[("Gap", gap, gap_of), ("From", viewer.short(at), f"epoch {account.placement.epoch}")],
        choices=choices,
        forbidden=_cannot_move(viewer, account),
        back=f"/sessions/{account.id}",
    )


def _rehome(viewer: Viewer, account: Account) -> Dialog:
    phone, at = words.phone(account), account.placement.instance_url
    return Dialog(
        title=f"Bring back {phone}?",
        text=f"If {viewer.short(at)} does not serve it any more, it is opened on another instance under the next epoch,"
        " as soon as something proves that the old holder cannot act.",
        button=f"Bring back {phone}",
        path=f"/api/v1/accounts/{account.uuid}/rehome",
        command=f"homing accounts rehome {account.id}",
        forbidden=_cannot_move(viewer, account),
        back=f"/sessions/{account.id}",
    )


def _cannot_move(viewer: Viewer, account: Account) -> str:
    """Why it cannot be moved, whoever asks; empty if it can, as far as is known."""
    if (resting := movable.resting(account)) is not None:
        return resting.detail
    if account.takeover is Takeover.NEVER:
        return "Its takeover is never. Change that first, or move it by force: homing accounts migrate --force."
    url = account.placement.instance_url
    deed = Deed.TAKEN_OVER if url in viewer.gateway.watching.down() else Deed.MOVED
    why = why_not(viewer, account, deed)
    return f"It cannot leave {viewer.short(url)}: {why}" if why else ""


def why_not(viewer: Viewer, account: Account, deed: Deed) -> str:
    """Why what its instance can do does not allow it, and what would help; empty if it does, as far as is known."""
    url = account.placement.instance_url
    said = viewer.gateway.watching.health_of(url) if url is not None else None
    found = viewer.gateway.moving.abilities.known(account, said.capabilities if said is not None else None)
    if found is None or (said is None and found.held.traits.takeover is Takeover.AUTO):
        return ""  # one of ours declares more than its family when it answers
    ability = next(each for each in found.all if each.deed is deed)
    if ability.can:
        return ""
    return words.sentence(ability.because) + (f" {words.sentence(ability.would_help)}" if ability.would_help else "")


def _restart(viewer: Viewer, account: Account) -> Dialog:
    phone = words.phone(account)
    return Dialog(
        title=f"Restart {phone}?",
        text=f"{viewer.short(account.placement.instance_url)} closes it and opens it again. Its login is kept; messages"
        " wait meanwhile.",
        button=f"Restart {phone}",
        path=f"/api/v1/accounts/{account.uuid}/restart",
        command=f"homing accounts restart {account.id}",
        forbidden="" if account.placement.instance_url else "It is on no instance; start it instead.",
        back=f"/sessions/{account.id}",
    )


def _start(viewer: Viewer, account: Account) -> Dialog:
    phone, at = words.phone(account), account.placement.instance_url
    where = f"on {viewer.short(at)}" if at is not None else "where there is most room"
    return Dialog(
        title=f"Start {phone}?",
        text=f"It is opened {where}. If its phone is not linked any more, this page shows a code to scan.",
        button=f"Start {phone}",
        path=f"/api/v1/accounts/{account.uuid}/start",
        command=f"homing accounts start {account.id}",
        back=f"/sessions/{account.id}",
    )


def _stop(viewer: Viewer, account: Account) -> Dialog:
    phone = words.phone(account)
    stopped = account.status is SessionStatus.STOPPED
    forbidden = "It is stopped already." if stopped else why_not(viewer, account, Deed.STOPPED)
    return Dialog(
        title=f"Stop {phone}?",
        text="It is closed and keeps its login. Messages through it are refused until somebody starts it again.",
        button=f"Stop {phone}",
        path=f"/api/v1/accounts/{account.uuid}/stop",
        command=f"homing accounts stop {account.id}",
        forbidden=forbidden,
        back=f"/sessions/{account.id}",
    )


def _renew(_: Viewer, account: Account) -> Dialog:
    phone = words.phone(account)
    return Dialog(
        title=f"Ask for a new code for {phone}?",
        text="Its instance closes the session and opens it anew. Whoever is scanning the old code scans in vain.",
        button="Ask for a new code",
        path=f"/api/v1/accounts/{account.uuid}/qr",
        command=f"homing accounts qr {account.id} --renew",
        back=f"/sessions/{account.id}",
    )


_OF_SESSION: dict[str, Callable[[Viewer, Account], Dialog]] = {
    "migrate": _migrate,
    "rehome": _rehome,
    "restart": _restart,
    "start": _start,
    "stop": _stop,
    "renew": _renew,
}


# --- the fleet ------------------------------------------------------------------------------------------------


async def of_fleet(viewer: Viewer, action: str) -> dict[str, Any]:
    titles = {"rebalance": "Rebalance the fleet?", "sync": "Check every session now?"}
    if action not in titles:
        raise Problem(Code.NOT_FOUND, f"There is no action {action[:50]!r} of the fleet")
    if not viewer.is_operator:
        return {"template": "dialog", "ask": Dialog(titles[action], "", "", "", "", forbidden=_FLEET)}
    return offered(viewer, await (_rebalance(viewer) if action == "rebalance" else _sync(viewer)))


async def _rebalance(viewer: Viewer) -> Dialog:
    plan = (await viewer.gateway.moving.balance.rebalance(dry_run=True)).plan
    to: dict[str, int] = {}
    for move in plan.moves:
        to[move.to_url] = to.get(move.to_url, 0) + 1
    by_reason: dict[str, list[str]] = {}
    for each in plan.skipped:
        by_reason.setdefault(each.reason, []).append(viewer.phone_of(each.session_id))
    longest = max((move.expected_gap_ms for move in plan.moves), default=0)
    return Dialog(
        title="Rebalance the fleet?",
        text=f"{plan.reason[:1].upper()}{plan.reason[1:]}. Idle sessions go first; messages wait for each meanwhile.",
        button=f"Rebalance, move {len(plan.moves):,}",
        path="/api/v1/rebalance",
        command="homing rebalance",
        figures=[
            ("Will move", f"{len(plan.moves):,}", f"of {words.many(viewer.live.book.counts(None).total, 'session')}"),
            ("Gap for each", words.took(longest) if longest else "–", "expected, at most"),
            ("Stay", f"{len(plan.skipped):,}", "looked at and left where they are"),
        ],
        places=[(viewer.short(url), f"+{number:,}", "") for url, number in sorted(to.items())],
        blockers=[
            (f"{words.many(len(phones), 'session stays', 'sessions stay')}: {reason}.", _named(phones))
            for reason, phones in list(by_reason.items())[:BLOCKERS_NAMED]
        ],
        forbidden="" if plan.moves else "There is nothing to move.",
        body=json.dumps({"dry_run": False}),
    )


async def _sync(viewer: Viewer) -> Dialog:
    report = await viewer.gateway.sync.run(dry_run=True)
    return Dialog(
        title="Check every session now?",
        text="Every instance is asked for its list, and the record is corrected where it is wrong. Nothing is moved.",
        button="Check and correct",
        path="/api/v1/sync",
        command="homing sync-instance-urls",
        figures=[("As it stands", report.summary, "by a dry run just now")],
        body=json.dumps({"dry_run": False}),
        back="/settings",
    )
