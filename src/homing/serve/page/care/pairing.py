"""The sessions whose phones have to be linked: who, since when, and how much waits behind each."""

import json
from typing import Any

from homing.model.fleet import Account, SessionStatus
from homing.ports import StoreUnavailable
from homing.serve.api.watching.pairing import ToPairView, unlinked
from homing.serve.page import words
from homing.serve.page.dialogs.shape import Dialog
from homing.serve.page.viewer import Shape, Viewer

LINK_S = 900

_STATES = {
    SessionStatus.LOGGED_OUT.value: Shape("diamond", "bad", "logged out"),
    SessionStatus.PAIRING.value: Shape("bars", "warn", "shows a code"),
}


async def context(viewer: Viewer) -> dict[str, Any]:
    found, away = list[ToPairView](), False
    try:
        found = await unlinked(viewer.gateway, viewer.scope)
    except StoreUnavailable:
        away = True
    return {
        "rows": [_shown(viewer, each) for each in found],
        "waiting": f"{sum(each.waiting for each in found):,}",
        "away": away,
    }


def _shown(viewer: Viewer, each: ToPairView) -> dict[str, Any]:
    return {
        "number": each.account_id,
        "phone": viewer.phone_numbered(each.account_id, each.phone),
        "name": each.name,
        "state": _STATES[each.status],
        "since": words.moment(each.since_at, viewer.now),
        "for": words.ago(each.since_at, viewer.now),
        "instance": viewer.short(each.instance_url),
        "waiting": f"{each.waiting:,}",
    }


def link(account: Account) -> Dialog:
    """Make a link by which the phone's owner pairs it."""
    phone = words.phone(account)
    return Dialog(
        title=f"Make a link that pairs {phone}?",
        text="Whoever has the phone opens it and scans the code there, without a key. It opens once, in one browser,"
        f" and is over after {LINK_S // 60} min or when the phone is linked; links made before end now.",
        button=f"Make a link for {phone}",
        path=f"/api/v1/accounts/{account.uuid}/pairing-link",
        command=f"homing accounts pairing-link {account.id}",
        forbidden="It is connected; there is nothing to pair." if account.status is SessionStatus.CONNECTED else "",
        notice=""
        if account.placement.instance_url is not None
        else "It is on no instance. Start it too, so that there is a code to scan.",
        body=json.dumps({"expires_in_s": LINK_S}),
        tells=(("url", "Send this link"), ("expires_at", "Until (UTC)")),
        back=f"/sessions/{account.id}",
    )
