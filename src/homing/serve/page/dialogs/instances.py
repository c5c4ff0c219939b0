"""Dialogs of one instance: empty it, or let it be given sessions again."""

from typing import Any

from homing.model.errors import Code, Problem
from homing.model.fleet import InstanceUrl
from homing.serve.page import instances, words
from homing.serve.page.dialogs.shape import BLOCKERS_NAMED, FLEET, Dialog, gap_of, named, offered
from homing.serve.page.viewer import Viewer

PLACES_NAMED = 12


async def of_instance(viewer: Viewer, number: int, action: str) -> dict[str, Any]:
    shown = (await instances.one(viewer, number))["shown"]
    if not viewer.is_operator:
        ask = Dialog(
            f"{action.capitalize()} {shown.name}?", "", "", "", "", forbidden=FLEET, back=f"/instances/{number}"
        )
        return {"template": "dialog", "ask": ask}
    match action:
        case "drain":
            return offered(viewer, await _drain(viewer, number, shown))
        case "undrain":
            return offered(viewer, _undrain(number, shown))
        case _:
            raise Problem(Code.NOT_FOUND, f"There is no action {action[:50]!r} of an instance")


async def _drain(viewer: Viewer, number: int, shown: Any) -> Dialog:
    url = InstanceUrl(shown.row.url)
    prospect = await viewer.gateway.moving.prospects.of(url)
    gap, measured = gap_of(viewer)
    by_reason: dict[str, list[str]] = {}
    for each in prospect.told:
        by_reason.setdefault(each.reason, []).append(viewer.phone_of(each.session_id))
    blockers = [
        (f"{words.many(len(phones), 'session stays', 'sessions stay')}: {reason}.", named(phones))
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
            ("Gap for each", gap, measured),
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
