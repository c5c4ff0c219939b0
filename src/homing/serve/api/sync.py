"""`/sync`: check the whole fleet against the directory, and mend the directory."""

from typing import Any

import msgspec
from litestar import post
from litestar.params import JSONBody

from homing.decide.sync import Checked, Result
from homing.flows.sync import SyncReport
from homing.serve.api.context import ADMIN, Asking, TheGateway, operator

CHECKS_MAX = 1_000
"""Sessions whose results are told one by one, if that is asked for."""


class SyncBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How to sync. `checks` also tells each session's own result, of the first thousand."""

    dry_run: bool = False
    force: bool = False
    checks: bool = False


@post("/sync", guards=[ADMIN], status_code=200, tags=["fleet"], summary="Check every session's place, and correct it")
async def run_sync(data: JSONBody[SyncBody], gateway: TheGateway, caller: Asking) -> dict[str, Any]:
    operator(caller)
    checks: list[dict[str, Any]] = []

    def tell(checked: Checked) -> None:
        if data.checks and len(checks) < CHECKS_MAX:
            checks.append(shown_check(checked))

    report = await gateway.sync.run(dry_run=data.dry_run, force=data.force, tell=tell)
    return shown(report) | ({"checks": checks} if data.checks else {})


def shown(report: SyncReport) -> dict[str, Any]:
    """A report as one document."""
    return {
        "run_id": report.run_id,
        "found": report.found,
        **{result.value: report.counts[result] for result in Result},
        "duplicates": report.duplicates,
        "updates": [_update(checked) for checked in report.updates],
        "attention": [shown_check(checked) for checked in report.told if checked.result is not Result.UPDATED],
        "oddities": report.oddities,
        "instance_calls": report.instance_calls,
        "execution_s": round(report.execution_s, 3),
        "dry_run": report.dry_run,
    }


def shown_check(checked: Checked) -> dict[str, Any]:
    """One session's result."""
    return _update(checked) | {"result": checked.result.value}


def _update(checked: Checked) -> dict[str, Any]:
    return {
        "account": checked.account_id,
        "phone": checked.phone,
        "old": checked.old_url,
        "new": checked.new_url,
        "reason": checked.reason,
    }
