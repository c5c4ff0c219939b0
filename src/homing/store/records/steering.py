"""What people want of the fleet as a whole, on a SQL database."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from homing.model.fleet import Epoch, InstanceUrl
from homing.model.ids import SessionId
from homing.model.instances.steering import AutomationSet, MovePlan, PlanKind, PlannedStep, PlanState
from homing.store.db.database import Database
from homing.store.db.schema.steering import automation, plans
from homing.store.db.sql import dialect_of, insert

_DRAFTS_KEPT = 100
_ROW = 1


class SqlSteering:
    """`ports.instances.steering.Steering` on SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def automation(self) -> AutomationSet:
        def read(connection: Connection) -> AutomationSet:
            row = connection.execute(select(automation)).one_or_none()
            return AutomationSet() if row is None else AutomationSet(row.is_on, row.actor, row.since)

        return await self._database.read(read)

    async def set_automation(self, wanted: AutomationSet) -> None:
        values = {"is_on": wanted.on, "actor": wanted.by, "since": wanted.since}

        def written(connection: Connection) -> None:
            adding = insert(dialect_of(connection), automation).values({**values, "id": _ROW})
            connection.execute(adding.on_conflict_do_update(index_elements=[automation.c.id], set_=values))

        await self._database.write(written)

    async def keep_plan(self, plan: MovePlan) -> None:
        def kept(connection: Connection) -> None:
            connection.execute(insert(dialect_of(connection), plans).values(_row(plan)))
            drafts = plans.c.state == PlanState.DRAFT.value
            newest = select(plans.c.id).where(drafts).order_by(plans.c.created_at.desc()).limit(_DRAFTS_KEPT)
            connection.execute(delete(plans).where(drafts, plans.c.id.not_in(newest.scalar_subquery())))

        await self._database.write(kept)

    async def plan(self, id: str) -> MovePlan | None:
        return await self._database.read(lambda c: _found(c, id))

    async def plans(self, *, state: PlanState | None = None, limit: int = 50) -> Sequence[MovePlan]:
        asked = select(plans).order_by(plans.c.created_at.desc(), plans.c.id).limit(limit)
        if state is not None:
            asked = asked.where(plans.c.state == state.value)
        return await self._database.read(lambda c: [_plan(row) for row in c.execute(asked)])

    async def set_plan(
        self, id: str, before: PlanState, after: PlanState, *, at: datetime, budget: int | None = None
    ) -> MovePlan | None:
        values: dict[str, Any] = {"state": after.value}
        values |= {"started_at": at} if after is PlanState.RUNNING else {"ended_at": at}
        values |= {"budget": budget} if budget is not None else {}

        def changed(connection: Connection) -> MovePlan | None:
            still = (plans.c.id == id) & (plans.c.state == before.value)
            if not connection.execute(update(plans).where(still).values(values)).rowcount:
                return None
            return _found(connection, id)

        return await self._database.write(changed)

    async def note_begun(self, id: str, sessions: Collection[SessionId]) -> None:
        def noted(connection: Connection) -> None:
            row = connection.execute(select(plans.c.begun).where(plans.c.id == id).with_for_update()).one_or_none()
            if row is not None:
                begun = {"sessions": sorted({*row.begun["sessions"], *sessions})}
                connection.execute(update(plans).where(plans.c.id == id).values(begun=begun))

        if sessions:
            await self._database.write(noted)


def _found(connection: Connection, id: str) -> MovePlan | None:
    row = connection.execute(select(plans).where(plans.c.id == id)).one_or_none()
    return None if row is None else _plan(row)


def _row(plan: MovePlan) -> dict[str, Any]:
    return {
        "id": plan.id,
        "kind": plan.kind.value,
        "instance_url": plan.instance_url,
        "budget": plan.budget,
        "reason": plan.reason,
        "actor": plan.by,
        "state": plan.state.value,
        "steps": {"steps": [_step_row(step) for step in plan.steps]},
        "staying": {str(account): why for account, why in plan.staying.items()},
        "begun": {"sessions": sorted(plan.begun)},
        "created_at": plan.created_at,
        "started_at": plan.started_at,
        "ended_at": plan.ended_at,
    }


def _step_row(step: PlannedStep) -> list[Any]:
    where = (step.from_url, step.from_epoch, step.to_url)
    return [step.session_id, step.account_id, *where, step.why, step.gap_ms]


def _plan(row: Row[Any]) -> MovePlan:
    return MovePlan(
        id=row.id,
        kind=PlanKind(row.kind),
        instance_url=None if row.instance_url is None else InstanceUrl(row.instance_url),
        budget=row.budget,
        reason=row.reason,
        by=row.actor,
        created_at=row.created_at,
        steps=tuple(_step(*each) for each in row.steps["steps"]),
        staying={int(account): why for account, why in row.staying.items()},
        state=PlanState(row.state),
        begun=frozenset(SessionId(each) for each in row.begun["sessions"]),
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _step(session: str, account: int, from_url: str, epoch: int, to_url: str | None, why: str, gap: int) -> PlannedStep:
    target = None if to_url is None else InstanceUrl(to_url)
    return PlannedStep(SessionId(session), account, InstanceUrl(from_url), Epoch(epoch), target, why, gap)
