"""Forgetting messages that ended long ago, a part at a time, from the oldest on.

The order is that of their uuids, which begin with the time: the primary key leads to the oldest ones, so that a part
costs the same in a table of a million messages and of a hundred million, and no index stands for this alone. What still
waits is passed over and stays; a run goes on behind it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, and_, delete, select

from homing.model.sends.messages import MessageState
from homing.model.sends.outbox import BatchState, Pruned
from homing.store.db.schema.outbox import batch_errors, batches
from homing.store.db.schema.tables import messages

_WAITS = frozenset({MessageState.ACCEPTED, MessageState.HELD, MessageState.DISPATCHING})
_OVER = (BatchState.DONE, BatchState.CANCELLED, BatchState.REJECTED)
_BATCHES_AT_ONCE = 100
_IN_A_STATEMENT = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def prune(connection: Connection, *, before: datetime, after: str, limit: int) -> Pruned:
    """Looks at so many messages behind `after` and forgets those of them that ended before then."""
    looked_at = connection.execute(
        select(messages.c.uuid, messages.c.state, messages.c.updated_at)
        .where(messages.c.uuid > after, messages.c.uuid < first_uuid_at(before))
        .order_by(messages.c.uuid)
        .limit(limit)
    ).all()
    old = [row.uuid for row in looked_at if row.updated_at < before and row.state not in _WAITS]
    for part in _parts(old):
        # Once more, since somebody may have sent it again meanwhile.
        ended = and_(messages.c.uuid.in_(part), messages.c.state.not_in(_WAITS))
        connection.execute(delete(messages).where(ended))
    if len(looked_at) >= limit:
        return Pruned(len(old), looked_at[-1].uuid)
    return Pruned(len(old) + _prune_batches(connection, before), None)


def first_uuid_at(moment: datetime) -> str:
    """What is made before then sorts below it, what is made later above (RFC 9562, version 7)."""
    digits = f"{max(0, (moment - _EPOCH) // _MS):012x}"
    return f"{digits[:8]}-{digits[8:]}"


def _prune_batches(connection: Connection, before: datetime) -> int:
    """Batches that are over and of which no message is left, with what was said of their lines."""
    kept = select(messages.c.uuid).where(messages.c.batch_id == batches.c.id).exists()
    over = and_(batches.c.id < first_uuid_at(before), batches.c.state.in_(_OVER), batches.c.updated_at < before, ~kept)
    gone = list(connection.scalars(select(batches.c.id).where(over).order_by(batches.c.id).limit(_BATCHES_AT_ONCE)))
    if gone:
        connection.execute(delete(batch_errors).where(batch_errors.c.batch_id.in_(gone)))
        connection.execute(delete(batches).where(batches.c.id.in_(gone)))
    return len(gone)


def _parts(uuids: Sequence[str]) -> list[Sequence[str]]:
    return [uuids[begin : begin + _IN_A_STATEMENT] for begin in range(0, len(uuids), _IN_A_STATEMENT)]
