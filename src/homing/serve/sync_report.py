"""A sync's report as one document: what the API answers and what `homing sync-instance-urls --json` prints."""

from typing import Any

import msgspec

from homing.decide.knowledge.sync import Checked, SyncResult
from homing.flows.discovery.sync import SyncReport
from homing.serve import stray_views

CHECKS_MAX = 1_000
"""Sessions whose results are told one by one, if that is asked for."""


def shown(report: SyncReport, checks: list[Checked] | None = None) -> dict[str, Any]:
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
        "stray_sessions": [msgspec.to_builtins(stray_views.stray(each)) for each in report.strays.named],
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
