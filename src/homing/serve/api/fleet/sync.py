"""`/sync`: check the whole fleet against the directory, and mend the directory."""

from typing import Any

import msgspec
from litestar import post
from litestar.params import JSONBody

from homing.decide.knowledge.sync import Checked
from homing.serve.api.context import ADMIN, Asking, TheGateway, operator
from homing.serve.sync_report import CHECKS_MAX, shown


class SyncBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How to sync. `checks` also tells each session's own result, of the first thousand."""

    dry_run: bool = False
    force: bool = False
    checks: bool = False


@post("/sync", guards=[ADMIN], status_code=200, tags=["fleet"], summary="Check every session's place and correct it")
async def run_sync(data: JSONBody[SyncBody], gateway: TheGateway, caller: Asking) -> dict[str, Any]:
    """What `homing sync-instance-urls` does, now. A dry run says what would change and changes nothing."""
    operator(caller)
    checks: list[Checked] = []

    def tell(checked: Checked) -> None:
        if data.checks and len(checks) < CHECKS_MAX:
            checks.append(checked)

    if not data.dry_run:
        await gateway.stores.audit.note("fleet.synced", "fleet", {"force": data.force})
    report = await gateway.sync.run(dry_run=data.dry_run, force=data.force, tell=tell)
    return shown(report, checks if data.checks else None)
