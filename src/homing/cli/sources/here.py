"""Asking the API in this process, on the database of the settings, where no gateway is named."""

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from homing.cli.sources.client import ANSWER_TIMEOUT_S, ApiAnswered, ApiClient, Document
from homing.cli.sources.database import must_be_there, told
from homing.cli.terminal.acting import act
from homing.cli.terminal.stops import CannotStart, NeedsAttention, RequestRefused
from homing.cli.terminal.waiting import bars
from homing.compose import open_api, open_sync
from homing.compose.waiting import until_there
from homing.config import Settings
from homing.decide.knowledge.sync import Checked
from homing.model.directory.audit import carrying_out
from homing.ports import StoreUnavailable
from homing.serve import logs
from homing.serve.api.fleet.sync import CHECKS_MAX, sync_view
from homing.serve.here import ApiHere
from homing.store.db.database import StoreMisconfigured


class HereClient(ApiClient):
    """Opens the database for each request. `waits_s`: for so long a database that is away is waited for."""

    def __init__(self, settings: Settings, *, may_create: bool = False, waits_s: float = 0.0) -> None:
        if not may_create:
            must_be_there(settings)
        self._settings, self._waits_s = settings, waits_s
        logs.configure("warning", settings.homing_log_format)

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,  # noqa: ARG002 - a repetition is told by a gateway, and not here
        timeout_s: float = ANSWER_TIMEOUT_S,  # noqa: ARG002 - the database's and the instances' own limits hold
    ) -> ApiAnswered:
        async def story() -> tuple[int, bytes]:
            async with AsyncExitStack() as stack:
                return await (await self._opened(stack)).ask(method, path, body)

        status, raw = told(story)
        document = json.loads(raw) if raw else {}
        if status >= 300:
            raise RequestRefused(status, document)
        return ApiAnswered(status, document)

    def sync(self, *, dry_run: bool, force: bool) -> Document:
        """With a progress bar while a person waits for it."""
        logs.configure(
            "error" if sys.stderr.isatty() else self._settings.homing_log_level, self._settings.homing_log_format
        )
        try:
            with carrying_out(act()):
                return asyncio.run(_synced(self._settings, dry_run=dry_run, force=force))
        except StoreMisconfigured as error:
            raise CannotStart(str(error)) from error
        except StoreUnavailable as error:
            raise NeedsAttention(f"The sync was broken off: {error}") from error

    async def _opened(self, stack: AsyncExitStack) -> ApiHere:
        if not self._waits_s:
            return await stack.enter_async_context(open_api(self._settings))
        try:
            return await until_there(
                lambda: stack.enter_async_context(open_api(self._settings)), give_up_s=self._waits_s
            )
        except StoreUnavailable as error:
            raise NeedsAttention(str(error)[:1].upper() + str(error)[1:]) from error


async def _synced(settings: Settings, *, dry_run: bool, force: bool) -> Document:
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
