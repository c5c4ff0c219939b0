"""`/instances/{number}/connect-webhooks`: having a gateway report to us."""

import msgspec
from litestar import Controller, post
from litestar.params import FromPath, JSONBody

from homing.flows.webhooks.connecting import Wired
from homing.model.urls import is_loopback
from homing.serve.addresses import doubts
from homing.serve.api.context import OPERATOR, Asking, TheGateway, instance_of, operator
from homing.serve.http.described import also


class ConnectBody(msgspec.Struct, forbid_unknown_fields=True):
    """`dry_run`: only say what would be done. `replace`: also where an address of somebody else would be lost.
    `undo`: put back what was there."""

    dry_run: bool = False
    replace: bool = False
    undo: bool = False


class WiredSessionView(msgspec.Struct):
    """What became of one session (`connected`, `add`, `replace`, `refused`, `failed`, `restored`), and why.

    `lost`: the addresses that it does not report to any more, or would not.
    """

    session_id: str
    wiring: str
    reason: str
    lost: list[str]


class WiredView(msgspec.Struct):
    """What became of the sessions of an instance. `by_hand`: the line that its process needs in its environment, where
    its family is not told over its API. `webhook_url` holds the secret of the instance: whoever knows it can report."""

    instance_url: str
    driver: str
    dry_run: bool
    webhook_url: str
    sessions: list[WiredSessionView]
    attention: int
    by_hand: str | None = None
    warning: str | None = None


class WebhooksController(Controller):
    """Where gateways of other families report."""

    path = "/instances"
    tags = ["fleet"]
    guards = [OPERATOR]

    @post(
        "/{number:int}/connect-webhooks",
        opt=also(409),
        status_code=200,
        summary="Have the sessions of an instance report here, or put back what was there",
    )
    async def connect(
        self,
        number: FromPath[int],
        gateway: TheGateway,
        caller: Asking,
        data: JSONBody[ConnectBody | None] = None,
    ) -> WiredView:
        """The owner's own addresses are kept where the family has room for several; else nothing is replaced unless
        `replace` says so, and it is remembered. Set again after every start of the instance."""
        operator(caller)
        asked, url = data or ConnectBody(), (await instance_of(gateway, number)).url
        if not asked.dry_run:
            action = "webhooks.restored" if asked.undo else "webhooks.connected"
            await gateway.stores.audit.note(action, f"instance {url}", {"replace": asked.replace})
        connecting = gateway.moving.connecting
        wired = (
            await connecting.undo(url, dry_run=asked.dry_run)
            if asked.undo
            else await connecting.connect(url, replace=asked.replace, dry_run=asked.dry_run)
        )
        reaches_us = asked.undo or is_loopback(url)
        return wired_view(wired, dry_run=asked.dry_run, warning=None if reaches_us else doubts(gateway.settings))


def wired_view(wired: Wired, *, dry_run: bool, warning: str | None) -> WiredView:
    rows = [
        WiredSessionView(each.session_id, each.plan.wiring.value, each.plan.reason, list(each.plan.lost))
        for each in wired.sessions
    ]
    return WiredView(
        instance_url=wired.url,
        driver=wired.family,
        dry_run=dry_run,
        webhook_url=wired.webhook_url,
        sessions=rows,
        attention=sum(row.wiring in ("refused", "failed") for row in rows),
        by_hand=wired.by_hand,
        warning=warning,
    )
