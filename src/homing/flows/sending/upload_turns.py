"""Turns of files on their way to instances: so many at once that each is fast enough, shared among the workspaces."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from homing.decide.sending.uploads import UploadPolicy, takes_a_turn
from homing.flows.media.places import FilePlaces, PlacesPolicy
from homing.model.errors import Problem
from homing.model.fleet import InstanceUrl, WorkspaceId
from homing.model.sends.faults import Fault, Phase

_WAITERS = 1_000
"""At each instance."""


class UploadTurns:
    """Those of each instance apart. An instance that no file is on its way to costs nothing."""

    def __init__(self, policy: UploadPolicy, *, patience_s: float) -> None:
        self._policy = PlacesPolicy(policy.at_once, _WAITERS, patience_s)
        self._places: dict[InstanceUrl, FilePlaces] = {}

    @asynccontextmanager
    async def taken(self, url: InstanceUrl, workspace: WorkspaceId, size: int) -> AsyncIterator[Fault | None]:
        """A turn for a file of so many bytes, as long as the block; a fault where none came in time: nothing left."""
        if not takes_a_turn(size):
            yield None
            return
        places = self._places.setdefault(url, FilePlaces(self._policy))
        try:
            async with AsyncExitStack() as turn:
                try:
                    await turn.enter_async_context(places.held(workspace))
                except Problem:
                    why = "other files are on their way to the instance, and its turn did not come"
                    yield Fault(Phase.NOT_ATTEMPTED, why)
                else:
                    yield None
        finally:
            if places.is_idle:
                self._places.pop(url, None)
