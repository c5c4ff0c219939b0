"""`ports.Outbox` on SQLite and PostgreSQL."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, func, literal_column, select

from homing.model.fleet import AccountUuid, WorkspaceId
from homing.model.instances.events import Settlement
from homing.model.sends.history import Alike
from homing.model.sends.messages import InUse, MessageRecord, MessageState
from homing.model.sends.outbox import (
    Accepted,
    Advance,
    Batch,
    BatchState,
    InvalidLine,
    LaneStep,
    NewBatch,
    NewMessage,
    Pruned,
    Settle,
    StateChange,
    Suppression,
)
from homing.model.sends.pacing import PaceAsked, PaceGo, PacePolicy, PaceWait
from homing.model.tracing import trace_id_now
from homing.ports import Notice, OptOutsChanged
from homing.store.db.batcher import Together
from homing.store.db.database import Database
from homing.store.db.rows import message_of
from homing.store.db.schema.tables import messages
from homing.store.notices.announce import Changes
from homing.store.notices.notices import Announce, StagedNotices
from homing.store.outbox import accepting, batches, changes, in_chats, opting_out, pacing, retention
from homing.store.outbox.lanes import advance
from homing.store.outbox.telling import Told, tell_changes

T = TypeVar("T")
_TOGETHER = 100


class SqlOutbox:
    """Messages accepted at the same time share a transaction; so do those that end and begin in one lane."""

    def __init__(
        self,
        database: Database,
        notices: StagedNotices,
        told: Told | None = None,
        *,
        on_read: Callable[[], None] = lambda: None,
    ) -> None:
        """`told` hears of state changes in the place of customers; `on_read` of each SELECT that a send waits for."""
        self._database, self._notices, self._on_read = database, notices, on_read
        self._told: Told = told or (lambda c, changes: tell_changes(c, database, changes))
        self._changes = Changes(database, notices)
        self._together: Together[NewMessage, Accepted | InUse] = Together(self.accept_all, largest=_TOGETHER)

    async def accept(self, message: NewMessage) -> Accepted | InUse:
        return await self._together(replace(message, trace_id=trace_id_now()))

    async def accept_all(self, new: Sequence[NewMessage]) -> Sequence[Accepted | InUse]:
        return await self._changes.make(lambda c: accepting.accept(c, self._database, new))

    async def advance(self, step: LaneStep) -> Advance:
        return await self._write(lambda c: advance(c, self._database, step, self._told))

    async def cancel(self, workspace: WorkspaceId | None, uuid: str) -> bool:
        return bool(await self._change(lambda c: changes.cancel(c, self._database, workspace, uuid)))

    async def go(self, workspace: WorkspaceId | None, account: AccountUuid) -> int:
        return len(await self._change(lambda c: changes.go(c, self._database, workspace, account)))

    async def settle(self, workspace: WorkspaceId | None, uuid: str, how: Settle, by: str) -> bool:
        return bool(await self._change(lambda c: changes.settle(c, self._database, workspace, uuid, how, by)))

    async def alike(self, record: MessageRecord, ids: Collection[str]) -> Alike:
        return await self._database.read(lambda c: in_chats.alike(c, record, ids))

    async def found(self, settlement: Settlement) -> bool:
        return bool(await self._change(lambda c: in_chats.found(c, self._database, settlement)))

    async def remark(self, uuid: str, why: str) -> None:
        await self._database.write(lambda c: in_chats.remark(c, uuid, why))

    async def waiting(self, account: AccountUuid) -> dict[MessageState, int]:
        """How many of the account's messages are in each state that something may still come of."""
        counted = (
            select(messages.c.state, func.count().label("number"))
            .where(messages.c.account_uuid == account, messages.c.position.is_not(None))
            .where(messages.c.state.in_([state.value for state in _OPEN]))
            .group_by(messages.c.state)
        )
        rows = await self._database.read(lambda c: c.execute(counted).all())
        return {MessageState(row.state): row.number for row in rows}

    async def page(
        self,
        workspace: WorkspaceId | None,
        *,
        before: str | None,
        limit: int,
        account: AccountUuid | None = None,
        state: MessageState | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        batch: str | None = None,
    ) -> list[MessageRecord]:
        wanted = {
            messages.c.workspace_id: workspace,
            messages.c.account_uuid: account,
            messages.c.batch_id: batch,
        }
        statement = select(messages).order_by(messages.c.uuid.desc()).limit(limit)
        for column, value in wanted.items():
            if value is not None:
                statement = statement.where(column == value)
        if state is not None:
            statement = statement.where(*in_state(state))
        if before is not None:
            statement = statement.where(messages.c.uuid < before)
        if since is not None:
            statement = statement.where(messages.c.created_at >= since)
        if until is not None:
            statement = statement.where(messages.c.created_at < until)
        return await self._database.read(lambda c: [message_of(row) for row in c.execute(statement)])

    async def prune(self, *, keep_s: float, after: str, limit: int) -> Pruned:
        def pruned(connection: Connection) -> Pruned:
            before = self._database.now(connection) - timedelta(seconds=keep_s)
            return retention.prune(connection, before=before, after=after, limit=limit)

        return await self._database.write(pruned)

    # --- batches ---

    async def begin_batch(self, new: NewBatch) -> Batch | None:
        return await self._database.write(lambda c: batches.begin(c, self._database, new))

    async def add_to_batch(self, batch: str, new: Sequence[NewMessage], invalid: Sequence[InvalidLine]) -> None:
        await self._database.write(lambda c: batches.add(c, self._database, batch, new, invalid))

    async def change_batch(
        self,
        workspace: WorkspaceId | None,
        batch: str,
        to: BatchState,
        reason: str,
        *,
        fingerprint: str | None = None,
    ) -> bool:
        changed = (workspace, batch, to, reason, fingerprint)
        return await self._changes.make(lambda c: batches.change(c, self._database, *changed))

    async def sweep_batches(self) -> int:
        return await self._write(lambda c: batches.sweep(c, self._database))

    async def batch(self, workspace: WorkspaceId | None, batch: str) -> Batch | None:
        return await self._database.read(lambda c: batches.batch_of(c, workspace, batch))

    async def batches(self, workspace: WorkspaceId | None, *, before: str | None, limit: int) -> list[Batch]:
        return await self._database.read(lambda c: batches.page(c, workspace, before, limit))

    async def invalid_lines(self, batch: str, *, after: int, limit: int) -> list[InvalidLine]:
        return await self._database.read(lambda c: batches.errors(c, batch, after, limit))

    # --- the pace ---

    async def set_pace(self, workspace: WorkspaceId, account: AccountUuid | None, policy: PacePolicy | None) -> None:
        whose = account or pacing.EVERYBODY
        await self._changes.make(lambda c: (None, pacing.set_policy(c, workspace, whose, policy)))

    async def charge(self, workspace: WorkspaceId, account: AccountUuid, asked: PaceAsked) -> PaceGo | PaceWait:
        def charged(connection: Connection) -> PaceGo | PaceWait:
            accepting.lengthen(connection, account, workspace, 0)
            return pacing.charge(connection, workspace, account, asked, self._database.now(connection))

        return await self._database.write(charged)

    async def pace(self, workspace: WorkspaceId, account: AccountUuid | None) -> dict[str, Any] | None:
        whose = account or AccountUuid(pacing.EVERYBODY)
        return await self._database.read(lambda c: pacing.left(c, workspace, whose, self._database.now(c)))

    async def restricted(self, workspace: WorkspaceId, account: AccountUuid) -> None:
        def noted(connection: Connection) -> None:
            accepting.lengthen(connection, account, workspace, 0)
            policy = pacing.policy_of(connection, workspace, account)
            pacing.note_restricted(connection, account, policy, self._database.now(connection))

        await self._database.write(noted)

    # --- who opted out ---

    async def suppress(self, workspace: WorkspaceId, chats: Sequence[str], reason: str) -> int:
        def suppressed(connection: Connection) -> tuple[int, Sequence[Notice]]:
            added = opting_out.suppress(connection, self._database, workspace, chats, reason)
            return added, [OptOutsChanged(workspace)] if added else []

        return await self._changes.make(suppressed)

    async def allow(self, workspace: WorkspaceId, chat: str) -> bool:
        def allowed(connection: Connection) -> tuple[bool, Sequence[Notice]]:
            gone = opting_out.allow(connection, workspace, chat)
            return gone, [OptOutsChanged(workspace)] if gone else []

        return await self._changes.make(allowed)

    async def suppressed(self, workspace: WorkspaceId, *, after: str, limit: int) -> list[Suppression]:
        return await self._database.read(lambda c: opting_out.page(c, workspace, after, limit))

    async def workspaces_with_suppressions(self) -> set[WorkspaceId]:
        return await self._database.read(opting_out.workspaces_with_some)

    async def suppressed_chats(self, workspace: WorkspaceId, *, limit: int) -> list[str]:
        self._on_read()
        return await self._database.read(lambda c: opting_out.chats_of(c, workspace, limit))

    async def is_suppressed(self, workspace: WorkspaceId, chat: str) -> bool:
        self._on_read()
        return await self._database.read(lambda c: opting_out.is_suppressed(c, workspace, chat))

    async def close(self) -> None:
        await self._together.close()

    async def _write(self, fn: Callable[[Connection], tuple[T, Sequence[Notice]]]) -> T:
        """Not carried through for who goes away: a step whose answer nobody waits for must not come late."""

        def staged(connection: Connection) -> tuple[T, Announce]:
            value, notices = fn(connection)
            return value, self._notices.stage(connection, notices)

        value, announce = await self._database.write(staged)
        await announce()
        return value

    async def _change(self, fn: Callable[[Connection], tuple[list[StateChange], list[Notice]]]) -> list[StateChange]:
        def change(connection: Connection) -> tuple[list[StateChange], Sequence[Notice]]:
            changed, notices = fn(connection)
            return changed, [*notices, *self._told(connection, changed)]

        return await self._changes.make(change)


def in_state(state: MessageState) -> list[ColumnElement[bool]]:
    """As the index of those that did not simply go is written: a database that was not told the state, or not the
    index's own condition, would look through all messages."""
    named = messages.c.state == literal_column(f"'{state.value}'")
    went: list[ColumnElement[str]] = [
        literal_column(f"'{each.value}'") for each in (MessageState.SENT, MessageState.DELIVERED, MessageState.READ)
    ]
    return [named] if state in SIMPLY_SENT else [named, messages.c.state.not_in(went)]


SIMPLY_SENT = frozenset({MessageState.SENT, MessageState.DELIVERED, MessageState.READ})
_OPEN: tuple[Any, ...] = (
    MessageState.ACCEPTED,
    MessageState.HELD,
    MessageState.DISPATCHING,
    MessageState.UNKNOWN,
)
