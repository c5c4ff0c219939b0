"""Places for giving files out, shared among the workspaces: whoever reads slowly, or much, holds up himself alone."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from homing.model.errors import Code, Problem
from homing.model.fleet import WorkspaceId
from homing.model.shares import may_take

_RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class PlacesPolicy:
    """How many files are given out at a time, how many may wait for their turn, and for how long each does."""

    places: int = 16
    waiters: int = 256
    patience_s: float = 10.0


class FilePlaces:
    """A workspace has no more places than it leaves free for others; so it is with those who wait. The workspaces that
    wait are served in turn."""

    def __init__(self, policy: PlacesPolicy | None = None) -> None:
        self._policy = policy or PlacesPolicy()
        self._used: dict[WorkspaceId, int] = {}
        self._lines: dict[WorkspaceId, deque[asyncio.Future[None]]] = {}

    @property
    def free(self) -> int:
        return self._policy.places - sum(self._used.values())

    @property
    def is_idle(self) -> bool:
        return not self._used and not self._lines

    @asynccontextmanager
    async def held(self, workspace: WorkspaceId) -> AsyncIterator[None]:
        """A place, as long as the block. Raises Problem MEDIA_UNAVAILABLE where there is none in time."""
        if workspace in self._lines or not self._may_take(workspace):
            await self._wait(workspace)
        else:
            self._enter(workspace)
        try:
            yield
        finally:
            self._leave(workspace)

    async def _wait(self, workspace: WorkspaceId) -> None:
        """Returns with a place that whoever left it has taken for us."""
        waiters, ours = sum(map(len, self._lines.values())), len(self._lines.get(workspace, ()))
        if not may_take(ours, self._policy.waiters - waiters, self._policy.waiters):
            raise _full(f"{ours} others of its workspace wait already")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(workspace, deque()).append(turn)
        try:
            async with asyncio.timeout(self._policy.patience_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._leave(workspace)
            else:
                self._step_out(workspace, turn)
            if isinstance(error, TimeoutError):
                raise _full(f"no turn came within {self._policy.patience_s:g} s") from None
            raise

    def _step_out(self, workspace: WorkspaceId, turn: "asyncio.Future[None]") -> None:
        line = self._lines.get(workspace, deque())
        with suppress(ValueError):
            line.remove(turn)
        if not line:
            self._lines.pop(workspace, None)

    def _may_take(self, workspace: WorkspaceId) -> bool:
        return may_take(self._used.get(workspace, 0), self.free, self._policy.places)

    def _enter(self, workspace: WorkspaceId) -> None:
        self._used[workspace] = self._used.get(workspace, 0) + 1

    def _leave(self, workspace: WorkspaceId) -> None:
        left = self._used.pop(workspace) - 1
        if left:
            self._used[workspace] = left
        while (waiting := next(filter(self._may_take, self._lines), None)) is not None:
            line = self._lines.pop(waiting)
            turn = line.popleft()
            if line:
                self._lines[waiting] = line
            if not turn.done():
                self._enter(waiting)
                turn.set_result(None)


def _full(why: str) -> Problem:
    detail = f"The file cannot be had just now: as many as its workspace may have are given out, and {why}"
    return Problem(Code.MEDIA_UNAVAILABLE, detail, retry_after_s=_RETRY_AFTER_S)
