"""What is kept of what people want of the fleet as a whole."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from homing.model.ids import SessionId
from homing.model.instances.steering import AutomationSet, MovePlan, PlanState


class Steering(Protocol):
    """Shared by all gateways of a directory. Raises StoreUnavailable from every method."""

    async def automation(self) -> AutomationSet:
        """What was said last; that it is on where nobody said anything."""
        ...

    async def set_automation(self, wanted: AutomationSet) -> None: ...

    async def keep_plan(self, plan: MovePlan) -> None:
        """A new one. Those that never ran and are older than the newest hundred go."""
        ...

    async def plan(self, id: str) -> MovePlan | None: ...

    async def plans(self, *, state: PlanState | None = None, limit: int = 50) -> Sequence[MovePlan]:
        """The newest first."""
        ...

    async def set_plan(
        self, id: str, before: PlanState, after: PlanState, *, at: datetime, budget: int | None = None
    ) -> MovePlan | None:
        """Change its state, if it still stands as `before`; as it is then, or None if it did not."""
        ...

    async def note_begun(self, id: str, sessions: Collection[SessionId]) -> None:
        """The turn of these came, whoever noted others meanwhile."""
        ...
