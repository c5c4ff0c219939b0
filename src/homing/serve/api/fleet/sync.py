"""`/sync`: check the whole fleet against the directory, and mend the directory."""

from typing import Any

import msgspec
from litestar import post
from litestar.params import JSONBody

from homing.decide.knowledge.sync import Checked, SyncResult
from homing.flows.discovery.sync import SyncReport
from homing.serve.api.context import ADMIN, Asking, TheGateway, operator
from homing.serve.api.fleet.instance_shapes import stray_view

CHECKS_MAX = 1_000
"""Sessions whose results are told one by one, if that is asked for."""


def sync_view(report: SyncReport, checks: list[Checked] | None = None) -> dict[str, Any]:
    """The report; with `checks`, each of those sessions' own result too, by account."""
    told = {
        "run_id": report.run_id,
        "found": report.found,
        **{result.value: report.counts[result] for result in SyncResult},
        "duplicates": report.duplicates,
        "updates": [_change(checked) for checked in report.updates],
        "attention": [_check(checked) for checked in report.told if checked.result is not SyncResult.UPDATED],
        "oddities": report.oddities,
        "strays": report.strays.count,
        "stray_sessions": [msgspec.to_builtins(stray_view(each)) for each in report.strays.named],
        "instance_calls": report.instance_calls,
        "execution_s": round(report.execution_s, 3),
        "dry_run": report.dry_run,
    }
    if checks is not None:
        told["checks"] = [_check(checked) for checked in sorted(checks, key=lambda checked: checked.account_id)]
    return told


def _check(checked: Checked) -> dict[str, Any]:
    return _change(checked) | {"result": checked.result.value}


def _change(checked: Checked) -> dict[str, Any]:
    return {
        "account": checked.account_id,
        "phone": checked.phone,
        "old": checked.old_url,
        "new": checked.new_url,
        "reason": checked.reason,
    }


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
    return sync_view(report, checks if data.checks else None)
