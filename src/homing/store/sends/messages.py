"""The records of sends, and the idempotency keys, on a SQL database."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from homing.decide.reports.settling import begun_at
from homing.model.fleet import WorkspaceId
from homing.model.sends.history import HandOver
from homing.model.sends.messages import MessageRecord, MessageState, StoredAnswer
from homing.model.tracing import trace_id_now
from homing.ports import Claimed, InUse
from homing.store.db.batcher import Together
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import message_of
from homing.store.db.schema.tables import messages
from homing.store.db.sql import dialect_of, insert
from homing.store.db.turns import take_turn
from homing.store.sends import idempotency
from homing.store.sends.history_jobs import LookedFor, look_for
from homing.store.sends.idempotency import AnsweredKey, WantedKey
from homing.store.sends.unknown_sends import settle_by_record

_UNKNOWN_AT_ONCE = 16
"""Few enough that whoever takes the turn next does not wait long."""


class SqlMessages:
    """`ports.Messages` on SQLite and PostgreSQL. Leases run by the database's clock (`Database.instant`)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._claiming: Together[WantedKey, bool] = Together(self._claim_new)
        self._answering: Together[AnsweredKey, bool] = Together(self._answer_all)
        self._doubting: Together[MessageRecord, None] = Together(self._record_unknown, largest=_UNKNOWN_AT_ONCE)

    async def record(self, message: MessageRecord) -> None:
        kept = replace(message, trace_id=message.trace_id or trace_id_now())
        if kept.state is MessageState.UNKNOWN:
            await self._doubting(kept)
        else:
            await self._database.write(lambda c: _record(c, kept))

    async def _record_unknown(self, messages: Sequence[MessageRecord]) -> Sequence[None]:
        """These take turns with all who store reports. An instance that falls silent leaves many at once: what waits
        for its turn holds one connection, and leaves the others to those who bring the instance's sessions back."""
        await self._database.write(lambda c: _record_unknown(c, self._database, messages))
        return [None] * len(messages)

    async def message(self, workspace: WorkspaceId | None, uuid: str) -> MessageRecord | None:
        return await self._database.read(lambda c: _message(c, workspace, uuid))

    async def messages(self, workspace: WorkspaceId | None, *, before: str | None, limit: int) -> list[MessageRecord]:
        return await self._database.read(lambda c: _messages_page(c, workspace, before, limit))

    async def claim_key(
        self,
        workspace: WorkspaceId,
        key: str,
        *,
        fingerprint: str,
        message_uuid: str,
        owner: str,
        lease_s: float,
        keep_s: float,
    ) -> Claimed | InUse:
        wanted = WantedKey(workspace, key, fingerprint, message_uuid, owner, lease_s, keep_s)
        if await self._claiming(wanted):
            return Claimed(message_uuid, taken_over=False)
        return await self._database.write(lambda c: idempotency.claim(c, self._database, wanted))

    async def _claim_new(self, wanted: Sequence[WantedKey]) -> Sequence[bool]:
        return await self._database.write_at_once(lambda c: idempotency.claim_new(c, self._database, wanted))

    async def renew_keys(self, owner: str, keys: Collection[tuple[WorkspaceId, str]], lease_s: float) -> None:
        if keys:
            await self._database.write(lambda c: idempotency.renew(c, self._database, owner, keys, lease_s))

    async def answer_key(self, workspace: WorkspaceId, key: str, owner: str, answer: StoredAnswer) -> bool:
        return await self._answering(AnsweredKey(workspace, key, owner, answer))

    async def _answer_all(self, answered: Sequence[AnsweredKey]) -> Sequence[bool]:
        dialect = self._database.dialect
        return await self._database.write_at_once(lambda c: idempotency.answer(c, dialect, answered))

    async def release_key(self, workspace: WorkspaceId, key: str, owner: str, message_uuid: str) -> None:
        # Whoever gave up waiting for his claim lets go of it: not before it may have been made.
        await self._claiming.under_way()
        await self._database.write_at_once(lambda c: idempotency.release(c, workspace, key, owner, message_uuid))

    async def release_owner(self, owner_prefix: str) -> None:
        await self._database.write(lambda c: idempotency.release_owner(c, owner_prefix, self._database.instant()))

    async def forget_expired_keys(self, *, limit: int = 1_000) -> int:
        """Delete keys that are past their keeping, at most so many; returns how many went."""
        return await self._database.write(lambda c: idempotency.forget_expired(c, self._database.instant(), limit))


_RECORDED = (
    "uuid", "workspace_id", "account_uuid", "message_id", "recipient_phone", "text", "state", "code", "reason",
    "attempts", "instance_url", "created_at", "updated_at", "phone_as_written", "content", "trace_id",
)  # fmt: skip
"""What is known of a send that the caller waited for; the rest is the outbox's."""


def _record(connection: Connection, message: MessageRecord) -> None:
    values = {name: getattr(message, name) for name in _RECORDED}
    connection.execute(_record_statement(dialect_of(connection)), values)


def _record_unknown(connection: Connection, database: Database, messages: Sequence[MessageRecord]) -> None:
    """Those that no report tells of yet are looked for."""
    take_turn(connection)
    for message in messages:
        _record(connection, message)
    newest = {message.uuid: message for message in messages}
    open_ones = [message for message in newest.values() if not settle_by_record(connection, message)]
    look_for(connection, database, [_looked_for(message) for message in open_ones])


def _looked_for(message: MessageRecord) -> LookedFor:
    return LookedFor(message.uuid, message.workspace_id, HandOver(begun_at(message), message.created_at))


def _given() -> dict[str, Any]:
    return {name: bindparam(name, type_=messages.c[name].type) for name in _RECORDED}


@prepared
def _record_statement(dialect: Dialect) -> sqlite.Insert | postgresql.Insert:
    statement = insert(dialect, messages).values(_given())
    replacing: dict[str, Any] = {name: statement.excluded[name] for name in _RECORDED if name != "uuid"}
    replacing["trace_id"] = func.coalesce(messages.c.trace_id, statement.excluded.trace_id)
    return statement.on_conflict_do_update(index_elements=[messages.c.uuid], set_=replacing)


def _message(connection: Connection, workspace: WorkspaceId | None, uuid: str) -> MessageRecord | None:
    statement = select(messages).where(messages.c.uuid == uuid)
    if workspace is not None:
        statement = statement.where(messages.c.workspace_id == workspace)
    row = connection.execute(statement).one_or_none()
    return None if row is None else message_of(row)


def _messages_page(
    connection: Connection, workspace: WorkspaceId | None, before: str | None, limit: int
) -> list[MessageRecord]:
    statement = select(messages).order_by(messages.c.uuid.desc()).limit(limit)
    if workspace is not None:
        statement = statement.where(messages.c.workspace_id == workspace)
    if before is not None:
        statement = statement.where(messages.c.uuid < before)
    return [message_of(row) for row in connection.execute(statement)]
