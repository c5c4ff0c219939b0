"""One step of a lane: what ended is written down, and what goes next is marked, in one transaction.

A lane is one account's messages. It is worked on under the claim of its job; each step proves that claim again and
holds its row until the commit, so that nobody else can have claimed it in between. A message leaves only after the step
that marked it `dispatching` was committed. Whoever takes a lane over finds those marked under an older fence: they may
have left, and are repeated under the same id, or not at all (`Text.repeated`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Update,
    and_,
    bindparam,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.sql.elements import ColumnElement

from homing.decide.outbox.endings import CHAT_WAITS_S, INTERRUPTIONS_MAX, TRIED_AGAIN_AFTER_S
from homing.decide.pacing.pace import typing_s
from homing.model.fleet import AccountUuid, SessionStatus, WorkspaceId
from homing.model.sends import content_json
from homing.model.sends.messages import MessageState
from homing.model.sends.outbox import (
    Advance,
    BatchState,
    Dispatching,
    LaneClaim,
    LaneStep,
    MessageEnding,
    StateChange,
)
from homing.model.sends.sending import FailureCode, Text
from homing.model.work import JobState
from homing.ports import LaneLost, Notice
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import AnyRow, message_of
from homing.store.db.schema.columns import UtcDateTime, Words
from homing.store.db.schema.outbox import batches, suppressions
from homing.store.db.schema.outbox import outbox_lanes as lanes
from homing.store.db.schema.tables import accounts, jobs, messages, sessions
from homing.store.db.sql import among, as_rows, dialect_of, given_rows
from homing.store.db.turns import take_turn
from homing.store.outbox import feeding
from homing.store.outbox.pacing import WINDOW, Paced, note_restricted, paced, policy_of
from homing.store.outbox.telling import Told, listens
from homing.store.sends.history_jobs import LookedFor, look_for
from homing.store.sends.unknown_sends import settle_by_record

_IN_A_LANE = and_(messages.c.state == literal_column("'accepted'"), messages.c.position.is_not(None))
_HELD_REASON = "its account was paired anew after it was accepted; `homing outbox go` sends it"
_MANY = 500
_ACCOUNT, _FENCE = bindparam("account", type_=Words()), bindparam("its_fence", type_=messages.c.fence.type)
_NOW, _SINCE = bindparam("now", type_=UtcDateTime()), bindparam("since", type_=UtcDateTime())
SOONEST_S = 0.2
"""A chat that waits for its unknown message has something due already: it is looked at again only after this."""


def advance(connection: Connection, database: Database, step: LaneStep, told: Told) -> tuple[Advance, Sequence[Notice]]:
    """Raises LaneLost if the claim is not ours any more; then nothing was changed."""
    _take_turn(connection, step)
    lane = _held(connection, step.claim)
    now = database.now(connection)
    changes = _write_endings(connection, database, step, now)
    if any(each.code == FailureCode.RECIPIENT_RESTRICTED.value for each in step.endings):
        policy = policy_of(connection, step.claim.workspace_id, step.claim.account_uuid)
        note_restricted(connection, step.claim.account_uuid, policy, now)
        lane = _held(connection, step.claim)
    if step.fresh:
        changes += _give_up_interrupted(connection, step.claim, now)
    changes += _expire(connection, step.claim, now)
    if step.leaving:
        return Advance((), None, over=False), told(connection, changes)
    changes += _hold_after_pairing(connection, lane, now)
    taken, pace, suppressed = _taken(connection, database, step, lane, now)
    if taken or step.under_way:
        came = Advance(tuple(taken), pace.next_s, over=False, paced=pace.reason)
    else:
        came = _idle(connection, database, step, now, pace)
    return came, told(connection, changes + suppressed)


def _take_turn(connection: Connection, step: LaneStep) -> None:
    """Before any row is ours: who stores a report takes its turn first too, and then the rows of the same messages."""
    in_doubt = any(each.state is MessageState.UNKNOWN for each in step.endings)
    if in_doubt or ((step.endings or step.fresh) and listens(connection, step.claim.workspace_id)):
        take_turn(connection)


def _held(connection: Connection, claim: LaneClaim) -> AnyRow:
    """The lane's row, locked, as is its job. Whoever adds to the lane waits for our commit, and the other way round."""
    lane = connection.execute(_lane_row(), {"account": claim.account_uuid}).one_or_none()
    job = connection.execute(_claimed_job(), {"job": claim.job_id, "its_fence": claim.fence}).one_or_none()
    if lane is None or job is None:
        raise LaneLost(f"the lane of account {claim.account_uuid} is somebody else's by now")
    return lane


@prepared
def _lane_row() -> Select[Any]:
    return select(lanes).where(lanes.c.account_uuid == _ACCOUNT).with_for_update()


@prepared
def _claimed_job() -> Select[Any]:
    mine = (jobs.c.id == bindparam("job"), jobs.c.fence == _FENCE, jobs.c.state == JobState.RUNNING)
    return select(jobs.c.id).where(*mine).with_for_update()


# --- what ended -----------------------------------------------------------------------------------------------


def _write_endings(connection: Connection, database: Database, step: LaneStep, now: datetime) -> list[StateChange]:
    if not step.endings:
        return []
    given = as_rows(_ended_row(each) for each in step.endings)
    asked = {"given": given, "its_fence": step.claim.fence, "now": now}
    rows = connection.execute(_ended_statement(database.dialect), asked).all()
    _back_into_batches(connection, rows)
    unknown = [row for row in rows if row.state == MessageState.UNKNOWN]
    _await_unknown(connection, unknown, now)
    settled = {change.message_uuid for change in _settled(connection, unknown)}
    first = {row.uuid for row in unknown if row.unknown_at is None}
    _look_for(connection, database, step, first - settled)
    changes = [change_of(row) for row in rows if row.uuid not in settled and row.state != MessageState.ACCEPTED]
    return changes + _changes(connection, settled)


_ENDED = {
    "uuid": Words(),
    "state": Words(),
    "code": Words(),
    "reason": Words(),
    "instance_url": Words(),
    "message_id": Words(),
}


@prepared
def _ended_statement(dialect: Dialect) -> ReturningUpdate[Any]:
    given = given_rows(dialect, "given", _ENDED)
    ended = {name: given.c[name] for name in ("state", "code", "reason")}
    return (
        update(messages)
        .where(messages.c.uuid == given.c.uuid, messages.c.state == literal_column("'dispatching'"))
        .where(messages.c.fence == _FENCE)
        .values(
            **ended,
            instance_url=func.coalesce(given.c.instance_url, messages.c.instance_url),
            message_id=func.coalesce(given.c.message_id, messages.c.message_id),
            updated_at=_NOW,
        )
        .returning(messages)
    )


def _ended_row(ending: MessageEnding) -> dict[str, str | int | None]:
    return {
        "uuid": ending.message_uuid,
        "state": ending.state.value,
        "code": ending.code,
        "reason": ending.reason,
        "instance_url": ending.instance_url,
        "message_id": ending.message_id,
    }


def _back_into_batches(connection: Connection, rows: Sequence[AnyRow]) -> None:
    """What did not leave, and is of a batch that was paused or cancelled meanwhile, waits in the batch again."""
    back = {row.uuid: row.batch_id for row in rows if row.state == MessageState.ACCEPTED and row.batch_id is not None}
    if not back:
        return
    named = select(batches.c.id).where(batches.c.id.in_(sorted(set(back.values()))))
    stopped = set(connection.scalars(named.where(batches.c.state != BatchState.RUNNING)))
    uuids = sorted(uuid for uuid, batch in back.items() if batch in stopped)
    if uuids:
        connection.execute(update(messages).where(messages.c.uuid.in_(uuids)).values(position=None))


def _await_unknown(connection: Connection, rows: Sequence[AnyRow], now: datetime) -> None:
    """Its chat waits for it a while, in which it is tried again now and then."""
    if rows:
        waits = {
            "unknown_at": func.coalesce(messages.c.unknown_at, literal(now, UtcDateTime())),
            "due_at": now + timedelta(seconds=TRIED_AGAIN_AFTER_S),
            "interruptions": func.coalesce(messages.c.interruptions, 0) + 1,
        }
        connection.execute(update(messages).where(messages.c.uuid.in_([row.uuid for row in rows])).values(waits))


def _look_for(connection: Connection, database: Database, step: LaneStep, uuids: set[str]) -> None:
    """Those that are unknown for the first time are looked for in their chats, too."""
    given = {each.message_uuid: each.given for each in step.endings if each.message_uuid in uuids}
    workspace = step.claim.workspace_id
    look_for(connection, database, [LookedFor(uuid, workspace, span) for uuid, span in given.items() if span])


def _settled(connection: Connection, rows: Sequence[AnyRow]) -> list[StateChange]:
    """Those of which a report told before we knew that they were in doubt."""
    for row in rows:
        settle_by_record(connection, message_of(row))
    found = select(messages).where(messages.c.uuid.in_([row.uuid for row in rows]), messages.c.state == "sent")
    return [change_of(row) for row in connection.execute(found)] if rows else []


def _changes(connection: Connection, uuids: set[str]) -> list[StateChange]:
    if not uuids:
        return []
    return [change_of(row) for row in connection.execute(select(messages).where(messages.c.uuid.in_(sorted(uuids))))]


def change_of(row: AnyRow) -> StateChange:
    return StateChange(
        message_uuid=row.uuid,
        workspace_id=WorkspaceId(row.workspace_id),
        account_uuid=AccountUuid(row.account_uuid),
        message_id=row.message_id,
        recipient=row.recipient_phone,
        state=MessageState(row.state),
        code=row.code,
        reason=row.reason,
        batch_id=row.batch_id,
        text=row.text,
    )


def _give_up_interrupted(connection: Connection, claim: LaneClaim, now: datetime) -> list[StateChange]:
    """A message that every gateway died with is not given to the next one, and its chat does not wait for it."""
    asked = _mine(claim) | {"now": now, "waited": now - timedelta(seconds=CHAT_WAITS_S)}
    return [change_of(row) for row in connection.execute(_given_up(), asked).all()]


@prepared
def _given_up() -> ReturningUpdate[Any]:
    poisonous = and_(_interrupted(), messages.c.interruptions >= INTERRUPTIONS_MAX)
    reason = f"{INTERRUPTIONS_MAX} gateways ended while they sent it; whether it left is not known"
    given_up = {
        "state": MessageState.UNKNOWN,
        "code": "unknown",
        "reason": reason,
        "updated_at": _NOW,
        "unknown_at": bindparam("waited", type_=UtcDateTime()),
    }
    return update(messages).where(poisonous).values(given_up).returning(messages)


def _interrupted() -> ColumnElement[bool]:
    """Marked by somebody who did not live to say how it went."""
    return and_(
        messages.c.account_uuid == _ACCOUNT,
        messages.c.state == literal_column("'dispatching'"),
        messages.c.fence != _FENCE,
    )


def _mine(claim: LaneClaim) -> dict[str, Any]:
    return {"account": claim.account_uuid, "its_fence": claim.fence}


def _expire(connection: Connection, claim: LaneClaim, now: datetime) -> list[StateChange]:
    rows = connection.execute(_expired(), {"account": claim.account_uuid, "now": now})
    return [change_of(row) for row in rows]


@prepared
def _expired() -> ReturningUpdate[Any]:
    over = (
        select(messages.c.uuid)
        .where(messages.c.account_uuid == _ACCOUNT, messages.c.state == literal_column("'accepted'"))
        .where(messages.c.expires_at <= _NOW)
        .limit(_MANY)
    )
    expired = {
        "state": MessageState.EXPIRED,
        "code": "expired",
        "reason": "it waited longer than it was worth sending",
        "updated_at": _NOW,
    }
    return update(messages).where(messages.c.uuid.in_(over)).values(expired).returning(messages)


def _hold_after_pairing(connection: Connection, lane: AnyRow, now: datetime) -> list[StateChange]:
    """The backlog of an account that was logged out and paired anew: people may not want to read it any more."""
    since = connection.execute(_paired_anew(), {"account": lane.account_uuid}).one_or_none()
    if since is None or (lane.go_at is not None and lane.go_at >= since.logout_reported_at):
        return []
    until = max(since.logout_reported_at, since.code_reported_at or since.logout_reported_at)
    backlog = and_(messages.c.account_uuid == lane.account_uuid, _IN_A_LANE, messages.c.created_at < until)
    held = {"state": MessageState.HELD, "code": "held", "reason": _HELD_REASON, "updated_at": now}
    rows = connection.execute(update(messages).where(backlog).values(held).returning(messages)).all()
    return [change_of(row) for row in rows]


@prepared
def _paired_anew() -> Select[Any]:
    return (
        select(sessions.c.logout_reported_at, sessions.c.code_reported_at)
        .join_from(sessions, accounts, accounts.c.id == sessions.c.account_id)
        .where(accounts.c.uuid == _ACCOUNT, sessions.c.logout_reported_at.is_not(None))
        .where(sessions.c.status != SessionStatus.LOGGED_OUT)
    )


# --- what goes next -------------------------------------------------------------------------------------------


def _taken(
    connection: Connection, database: Database, step: LaneStep, lane: AnyRow, now: datetime
) -> tuple[list[Dispatching], Paced, list[StateChange]]:
    if step.free <= 0:
        return [], Paced((), None, ""), []
    claim = step.claim
    forgotten = _forgotten(connection, step) if step.in_doubt else []
    rows = _interrupted_rows(connection, claim) if step.fresh else []
    again = _unknown_rows(connection, claim, now, step.free - len(rows) - len(forgotten))
    feeding.feed(connection, database, claim, lane, now)
    free = step.free - len(rows) - len(forgotten) - len(again)
    policy = policy_of(connection, claim.workspace_id, claim.account_uuid)
    heads = _heads(connection, claim, now, free if policy is None or free <= 0 else WINDOW)
    unwanted = _suppressed(connection, database.dialect, claim, heads)
    changes = _refuse(connection, [row for row in heads if row.chat in unwanted], now)
    wanted = [row for row in heads if row.chat not in unwanted]
    pace = paced(connection, lane, policy, wanted, now, step.chance, free=max(free, 0))
    chosen = [*forgotten, *rows, *again, *pace.rows]
    _mark(connection, claim, chosen, now)
    repeated = {row.uuid for row in (*rows, *again)}
    typed = {} if policy is None else {row.uuid: typing_s(policy, len(row.text)) for row in pace.rows}
    going = [_dispatching(row, repeated=row.uuid in repeated, typed_s=typed.get(row.uuid, 0.0)) for row in chosen]
    return going, pace, changes


def _forgotten(connection: Connection, step: LaneStep) -> list[AnyRow]:
    """Marked by a step of ours whose answer was lost: they never left, since we did not hear that they might."""
    mine = (messages.c.account_uuid == step.claim.account_uuid, messages.c.fence == step.claim.fence)
    marked = select(messages).where(*mine, messages.c.state == literal_column("'dispatching'"))
    return [row for row in connection.execute(marked) if row.uuid not in step.known]


def _interrupted_rows(connection: Connection, claim: LaneClaim) -> list[AnyRow]:
    rows = list(connection.execute(_interrupted_statement(), _mine(claim)))
    if rows:
        once_more = {"interruptions": func.coalesce(messages.c.interruptions, 0) + 1}
        connection.execute(update(messages).where(_interrupted()).values(once_more), _mine(claim))
    return rows


@prepared
def _interrupted_statement() -> Select[Any]:
    return select(messages).where(_interrupted()).order_by(messages.c.position).limit(_MANY)


def _unknown_rows(connection: Connection, claim: LaneClaim, now: datetime, limit: int) -> list[AnyRow]:
    """Those that their chats wait for, to be tried again under the same id."""
    if limit <= 0:
        return []
    asked = {"account": claim.account_uuid, "now": now, "since": _waited_since(now), "limit": limit}
    return list(connection.execute(_unknown_statement(), asked))


def _waited_since(now: datetime) -> datetime:
    """What is unknown from then on is waited for by its chat."""
    return now - timedelta(seconds=CHAT_WAITS_S)


@prepared
def _unknown_statement() -> Select[Any]:
    return (
        select(messages)
        .where(messages.c.account_uuid == _ACCOUNT, messages.c.position.is_not(None))
        .where(messages.c.state == MessageState.UNKNOWN, messages.c.due_at <= _NOW)
        .where(messages.c.unknown_at > _SINCE)
        .order_by(messages.c.position)
        .limit(bindparam("limit"))
    )


def _heads(connection: Connection, claim: LaneClaim, now: datetime, limit: int) -> list[AnyRow]:
    """The first message of each chat that nothing stands in the way of, oldest first."""
    if limit <= 0:
        return []
    asked = {"account": claim.account_uuid, "now": now, "since": _waited_since(now), "limit": limit}
    return list(connection.execute(_heads_statement(), asked))


@prepared
def _heads_statement() -> Select[Any]:
    before = messages.alias("before")
    earlier = or_(
        before.c.due_at < messages.c.due_at,
        and_(before.c.due_at == messages.c.due_at, before.c.position < messages.c.position),
    )
    awaited = and_(before.c.state == literal_column("'unknown'"), before.c.unknown_at > _SINCE)
    stands = or_(
        before.c.state == literal_column("'dispatching'"),
        awaited,
        and_(before.c.state == literal_column("'accepted'"), earlier),
    )
    blocked = exists(
        select(literal(1))
        .where(before.c.account_uuid == messages.c.account_uuid, before.c.chat == messages.c.chat)
        .where(
            before.c.state.in_(
                [literal_column("'accepted'"), literal_column("'dispatching'"), literal_column("'unknown'")]
            )
        )
        .where(before.c.position.is_not(None), stands)
    )
    return (
        select(messages)
        .where(messages.c.account_uuid == _ACCOUNT, _IN_A_LANE, messages.c.due_at <= _NOW, ~blocked)
        .order_by(messages.c.due_at, messages.c.position)
        .limit(bindparam("limit"))
    )


def _suppressed(connection: Connection, dialect: Dialect, claim: LaneClaim, rows: Sequence[AnyRow]) -> set[str]:
    if not rows:
        return set()
    asked = {"workspace": claim.workspace_id, "chats": sorted({row.chat for row in rows})}
    return set(connection.scalars(_suppressed_statement(dialect), asked))


@prepared
def _suppressed_statement(dialect: Dialect) -> Select[Any]:
    named = (suppressions.c.workspace_id == bindparam("workspace"), among(dialect, suppressions.c.chat, "chats"))
    return select(suppressions.c.chat).where(*named)


def _refuse(connection: Connection, rows: Sequence[AnyRow], now: datetime) -> list[StateChange]:
    if not rows:
        return []
    refused = {
        "state": MessageState.FAILED,
        "code": "recipient_opted_out",
        "reason": "the recipient does not want to be written to by this workspace",
        "updated_at": now,
    }
    named = messages.c.uuid.in_([row.uuid for row in rows])
    return [
        change_of(row) for row in connection.execute(update(messages).where(named).values(refused).returning(messages))
    ]


def _mark(connection: Connection, claim: LaneClaim, rows: Sequence[AnyRow], now: datetime) -> None:
    if rows:
        asked = {"uuids": [row.uuid for row in rows], "its_fence": claim.fence, "now": now}
        connection.execute(_marked(dialect_of(connection)), asked)


@prepared
def _marked(dialect: Dialect) -> Update:
    marked = {
        "state": MessageState.DISPATCHING,
        "fence": _FENCE,
        "attempts": messages.c.attempts + 1,
        "updated_at": _NOW,
    }
    return update(messages).where(among(dialect, messages.c.uuid, "uuids")).values(marked)


def _dispatching(row: AnyRow, *, repeated: bool, typed_s: float) -> Dispatching:
    text = Text(
        uuid=row.uuid,
        message_id=row.message_id,
        workspace_id=WorkspaceId(row.workspace_id),
        account_uuid=AccountUuid(row.account_uuid),
        recipient_phone=row.recipient_phone,
        text=row.text,
        repeated=repeated or bool(row.interruptions),
        phone_as_written=row.phone_as_written,
        content=content_json.read(row.content) if row.content else None,
    )
    was_marked = row.updated_at if row.state == MessageState.DISPATCHING else None
    return Dispatching(text, row.chat, row.due_at, typed_s, was_marked)


# --- nothing to do just now -----------------------------------------------------------------------------------


def _idle(connection: Connection, database: Database, step: LaneStep, now: datetime, pace: Paced) -> Advance:
    """Until when the lane may rest. If that is long, or for good, our claim of it ends with this step."""
    claim = step.claim
    asked = {"account": claim.account_uuid}
    waiting = connection.scalar(_next_waiting(), asked)
    awaited = connection.scalar(_next_awaited(), asked | {"since": _waited_since(now)})
    known = [each for each in (waiting, awaited, feeding.next_due(connection, claim)) if each is not None]
    if not known:
        ended = {"state": JobState.DONE, "finished_at": now, "reason": "nothing waits any more"}
        _end_claim(connection, claim, ended)
        return Advance((), None, over=True)
    soonest_s = SOONEST_S if step.free else 0.0
    due_s = pace.next_s if pace.next_s is not None else (min(known) - now).total_seconds()
    wait_s = max(due_s, soonest_s, step.rests_s)
    if wait_s >= step.held_for_s:
        later = {"state": JobState.READY, "due_at": database.instant(wait_s), "reason": pace.reason or "it waits"}
        _end_claim(connection, claim, {**later, "attempts": jobs.c.attempts - 1})
        return Advance((), wait_s, over=True, paced=pace.reason)
    return Advance((), wait_s, over=False, paced=pace.reason)


@prepared
def _next_waiting() -> Select[Any]:
    return select(func.min(messages.c.due_at)).where(messages.c.account_uuid == _ACCOUNT, _IN_A_LANE)


@prepared
def _next_awaited() -> Select[Any]:
    return (
        select(func.min(messages.c.due_at))
        .where(messages.c.account_uuid == _ACCOUNT, messages.c.state == MessageState.UNKNOWN)
        .where(messages.c.position.is_not(None), messages.c.unknown_at > _SINCE)
    )


def _end_claim(connection: Connection, claim: LaneClaim, ended: dict[str, Any]) -> None:
    """In the step itself: whoever adds to the lane after it finds that nobody works on it, and sees to it."""
    connection.execute(update(jobs).where(jobs.c.id == claim.job_id).values(owner=None, **ended))
