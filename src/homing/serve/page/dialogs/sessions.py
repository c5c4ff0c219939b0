"""Dialogs of one session: move it, bring it back, restart, start, stop, and link its phone."""

from collections.abc import Callable
from typing import Any

from homing.decide.moves import movable, rules
from homing.decide.moves.abilities import Deed
from homing.model.fleet import Account, SessionStatus, Takeover
from homing.serve.page import sessions, words
from homing.serve.page.care.pairing import link
from homing.serve.page.dialogs.shape import Dialog, gap_of, offered
from homing.serve.page.viewer import Viewer


async def of_session(viewer: Viewer, ref: str, action: str) -> dict[str, Any]:
    """`action`: one of `ACTIONS`."""
    return offered(viewer, ACTIONS[action](viewer, sessions.find(viewer, ref)))


def _migrate(viewer: Viewer, account: Account) -> Dialog:
    phone, (gap, measured) = words.phone(account), gap_of(viewer)
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
        figures=[("Gap", gap, measured), ("From", viewer.short(at), f"epoch {account.placement.epoch}")],
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
        return f"{words.sentence(rules.NEVER)} Change that first, or move it by force: homing accounts migrate --force."
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


ACTIONS: dict[str, Callable[[Viewer, Account], Dialog]] = {
    "migrate": _migrate,
    "rehome": _rehome,
    "restart": _restart,
    "start": _start,
    "stop": _stop,
    "renew": _renew,
    "link": lambda _, account: link(account),
}
