"""Who does not want to be written to, as sends ask it: in memory, and true from the moment that somebody opted out.

Which workspaces have a list at all is known beforehand, so that a send of any other asks nothing. A list that is not
long is read whole by the first send that needs it, and kept; of a long one the answers are. Whatever is added or taken
away in any gateway is told to all (`OptOutsChanged`), and drops what was kept of that workspace.
"""

import asyncio
from contextlib import suppress

import structlog

from homing.model.errors import Code, Problem
from homing.model.fleet import WorkspaceId
from homing.model.notices import CacheCleared, Notice, OptOutsChanged
from homing.ports import Clock, StoreUnavailable
from homing.ports.sends.outbox import Outbox

WHOLE_MAX = 5_000
"""A list with more is not kept whole."""
ANSWERS_MAX = 100_000
"""Answers that are kept of one workspace's long list."""
READ_WITHIN_S = 1.5
_AGAIN_S = 1.0

log = structlog.get_logger("homing")


class OptOuts:
    """What one gateway knows of all suppression lists."""

    def __init__(self, outbox: Outbox, clock: Clock, *, ttl_s: float = 300.0) -> None:
        """After `ttl_s` everything is read again, in case that something was changed past all gateways."""
        self._outbox, self._clock, self._ttl_s = outbox, clock, ttl_s
        self.listed: set[WorkspaceId] | None = None
        """The workspaces on whose list somebody may be; None while that is not known."""
        self._whole: dict[WorkspaceId, frozenset[str] | None] = {}
        """The lists that were read; None for one that is too long."""
        self._answers: dict[WorkspaceId, dict[str, bool]] = {}
        self._reading: dict[WorkspaceId, asyncio.Task[frozenset[str] | None]] = {}
        self._heard = 0
        self._changed = asyncio.Event()
        self._changed.set()

    async def check(self, workspace: WorkspaceId, chat: str) -> None:
        """Raises Problem `recipient_opted_out` if they opted out, and StoreUnavailable if that cannot be known."""
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                out = await self.has_opted_out(workspace, chat)
        except TimeoutError as error:
            raise StoreUnavailable(f"it did not answer within {READ_WITHIN_S:g} s") from error
        if out:
            detail = "The recipient does not want to be written to by this workspace; the message was not sent"
            raise Problem(Code.RECIPIENT_OPTED_OUT, detail)

    async def has_opted_out(self, workspace: WorkspaceId, chat: str) -> bool:
        """Whether the chat is on the workspace's list. Raises StoreUnavailable."""
        if self.listed is None:
            await self.refresh()
        if self.listed is not None and workspace not in self.listed:
            return False
        whole = self._whole[workspace] if workspace in self._whole else await self._read(workspace)
        return chat in whole if whole is not None else await self._asked(workspace, chat)

    def hear(self, notice: Notice) -> None:
        match notice:
            case OptOutsChanged(workspace_id=workspace):
                self._heard += 1
                self._forget(workspace)
                if self.listed is not None:
                    self.listed.add(workspace)
            case CacheCleared():
                self._forget_all()
                self._changed.set()
            case _:
                pass

    async def refresh(self) -> None:
        """Read which workspaces have a list. Raises StoreUnavailable."""
        self._changed.clear()
        heard = self._heard
        listed = await self._outbox.workspaces_with_suppressions()
        if heard == self._heard:
            self.listed = listed

    async def run(self) -> None:
        """Know it again, soon after it cannot be trusted any more, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._ttl_s):
                    await self._changed.wait()
            self._forget_all()
            try:
                await self.refresh()
            except StoreUnavailable as error:
                log.warning("Who opted out could not be read again", error=str(error))
                self._changed.set()
                await self._clock.sleep(_AGAIN_S)

    def _forget(self, workspace: WorkspaceId) -> None:
        self._whole.pop(workspace, None)
        self._answers.pop(workspace, None)
        self._reading.pop(workspace, None)  # who asks from now on begins a reading of his own

    def _forget_all(self) -> None:
        self._heard += 1
        self.listed = None
        for kept in (self._whole, self._answers, self._reading):
            kept.clear()

    async def _read(self, workspace: WorkspaceId) -> frozenset[str] | None:
        """Those who ask while it is read wait for the same reading."""
        reading = self._reading.get(workspace)
        if reading is None:
            reading = self._reading[workspace] = asyncio.create_task(self._read_whole(workspace))
        return await asyncio.shield(reading)

    async def _read_whole(self, workspace: WorkspaceId) -> frozenset[str] | None:
        heard, this = self._heard, asyncio.current_task()
        try:
            chats = await self._outbox.suppressed_chats(workspace, limit=WHOLE_MAX + 1)
        finally:
            if self._reading.get(workspace) is this:
                del self._reading[workspace]
        whole = frozenset(chats) if len(chats) <= WHOLE_MAX else None
        if heard == self._heard:
            self._whole[workspace] = whole
        return whole

    async def _asked(self, workspace: WorkspaceId, chat: str) -> bool:
        answers = self._answers.setdefault(workspace, {})
        if (known := answers.get(chat)) is not None:
            return known
        heard = self._heard
        out = await self._outbox.is_suppressed(workspace, chat)
        if heard == self._heard:
            answers[chat] = out
            if len(answers) > ANSWERS_MAX:
                del answers[next(iter(answers))]
        return out
