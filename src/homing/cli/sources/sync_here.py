"""Running a sync in this process, against the database and the instances themselves, without a gateway."""

import asyncio
import sys
from typing import Any

from homing.cli.terminal.acting import act
from homing.cli.terminal.stops import CannotStart, NeedsAttention
from homing.cli.terminal.waiting import bars
from homing.compose import open_sync
from homing.config import Settings
from homing.decide.knowledge.sync import Checked
from homing.model.directory.audit import carrying_out
from homing.ports import StoreUnavailable
from homing.serve import logs
from homing.serve.api.fleet.sync import CHECKS_MAX, sync_view
from homing.store.db.database import StoreMisconfigured


def sync_here(settings: Settings, *, dry_run: bool, force: bool) -> dict[str, Any]:
    """The report of one sync, with a progress bar while a person waits for it."""
    logs.configure("error" if sys.stderr.isatty() else settings.homing_log_level, settings.homing_log_format)
    try:
        with carrying_out(act()):
            return asyncio.run(_run(settings, dry_run=dry_run, force=force))
    except StoreMisconfigured as error:
        raise CannotStart(str(error)) from error
    except StoreUnavailable as error:
        raise NeedsAttention(f"The sync was broken off: {error}") from error


async def _run(settings: Settings, *, dry_run: bool, force: bool) -> dict[str, Any]:
    checks: list[Checked] = []
    with bars() as progress:
        task = progress.add_task("Checking sessions", total=None)

        def tell(checked: Checked) -> None:
            progress.advance(task)
            if len(checks) < CHECKS_MAX:
                checks.append(checked)

        async with open_sync(settings) as sync:
            report = await sync.run(
                dry_run=dry_run, force=force, begin=lambda found: progress.update(task, total=found), tell=tell
            )
    return sync_view(report, checks)
