"""Accepting messages: the row, its key's answer and the lane's job are one transaction, or nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, assert_never

from sqlalchemy import Connection, update

from homing.model.fleet import AccountUuid, WorkspaceId
from homing.model.sends.messages import Claimed, InUse, MessageState
from homing.model.sends.outbox import Accepted, NewMessage, OutboxKey
from homing.model.sends.sending import Text
from homing.model.work import JobState, NewJob
from homing.ports import Notice, OutboxChanged, WorkReady
from homing.store.db.database import Database
from homing.store.db.schema.outbox import outbox_lanes as lanes
from homing.store.db.schema.tables import jobs, messages
from homing.store.db.sql import dialect_of, insert
from homing.store.sends import idempotency
from homing.store.sends.idempotency import AnsweredKey, WantedKey
from homing.store.work import jobs as work

KIND = "outbox"
OWNER = "outbox"
"""Who holds the idempotency keys of accepted messages: they are answered as soon as they are taken."""
WAITS = "it waits for its turn"


def accept(
    connection: Connection, database: Database, new: Sequence[NewMessage]
) -> tuple[list[Accepted | InUse], list[Notice]]:
    """Each message's uuid, or what its key was used for before."""
    answers: list[Accepted | InUse] = []
    fresh: list[tuple[NewMessage, str, bool]] = []
    for message, found in zip(new, _claimed(connection, database, new), strict=True):
        match found:
            case InUse():
                answers.append(found)
            case Claimed(message_uuid=uuid, taken_over=repeated):
                answers.append(Accepted(uuid))
                fresh.append((message, uuid, repeated))
            case _:
                assert_never(found)
    notices = _add(connection, database, fresh)
    return answers, notices


def _claimed(connection: Connection, database: Database, new: Sequence[NewMessage]) -> list[Claimed | InUse]:
    """Of each its uuid, and whether a send under its key was begun before and may have been said; or who has its key.

    Keys that nobody ever used are taken and answered first and together, which is nearly all of them. Of two that come
    with the same key the second so finds the first one's answer.
    """
    wanted = {place: _wanted(each.text, each.key) for place, each in enumerate(new) if each.key is not None}
    is_new = dict(zip(wanted, idempotency.claim_new(connection, database, list(wanted.values())), strict=True))
    found = {
        place: Claimed(each.text.uuid, taken_over=each.key is None and each.text.repeated)
        for place, each in enumerate(new)
        if is_new.get(place, True)
    }
    _answer(connection, database, [(each, found[place]) for place, each in enumerate(new) if place in found])
    return [
        found.get(place) or _claimed_late(connection, database, each, wanted[place]) for place, each in enumerate(new)
    ]


def _claimed_late(
    connection: Connection, database: Database, message: NewMessage, wanted: WantedKey
) -> Claimed | InUse:
    found = idempotency.claim(connection, database, wanted)
    if isinstance(found, Claimed):
        _answer(connection, database, [(message, found)])
    return found


def _wanted(text: Text, key: OutboxKey) -> WantedKey:
    return WantedKey(text.workspace_id, key.key, key.fingerprint, text.uuid, OWNER, lease_s=0.0, keep_s=key.keep_s)


def _answer(connection: Connection, database: Database, claimed: Sequence[tuple[NewMessage, Claimed]]) -> None:
    answered = [
        AnsweredKey(each.text.workspace_id, each.key.key, OWNER, each.key.answer.naming(found.message_uuid))
        for each, found in claimed
        if each.key is not None
    ]
    if answered:
        idempotency.answer(connection, database.dialect, answered)


def _add(connection: Connection, database: Database, fresh: Sequence[tuple[NewMessage, str, bool]]) -> list[Notice]:
    in_lanes: dict[tuple[AccountUuid, WorkspaceId], int] = defaultdict(int)
    for message, _, _ in fresh:
        in_lanes[message.text.account_uuid, message.text.workspace_id] += message.batch_id is None
    lasts = {
        account: lengthen(connection, account, workspace, number)
        for (account, workspace), number in sorted(in_lanes.items())
        if number
    }
    now = database.now(connection)
    rows = []
    for message, uuid, repeated in fresh:
        account = message.text.account_uuid
        if message.batch_id is None:
            lasts[account] += 1
        place = lasts[account] if message.batch_id is None else None
        rows.append(_row(message, uuid, repeated, place, now))
    if rows:
        connection.execute(insert(dialect_of(connection), messages).on_conflict_do_nothing(), rows)
    waiting = {account: workspace for (account, workspace), number in in_lanes.items() if number}
    return wake(connection, database, waiting)


def lengthen(connection: Connection, account: AccountUuid, workspace: WorkspaceId, by: int) -> int:
    """Make room at the end of an account's lane, which is ours until the commit; answers the last place before it."""
    added = insert(dialect_of(connection), lanes).values(
        account_uuid=account, workspace_id=workspace, last_position=by, pace={}
    )
    longer = added.on_conflict_do_update(
        index_elements=[lanes.c.account_uuid], set_={"last_position": lanes.c.last_position + by}
    ).returning(lanes.c.last_position)
    return int(connection.execute(longer).scalar_one()) - by


def wake(connection: Connection, database: Database, accounts: Mapping[AccountUuid, WorkspaceId]) -> list[Notice]:
    """See to it that somebody looks after these lanes, now. They are to be locked by the caller (`lengthen`)."""
    if not accounts:
        return []
    names = sorted(accounts)
    new = [
        NewJob(KIND, {"account": name, "workspace": accounts[name]}, dedup=name, share=f"workspace {accounts[name]}")
        for name in names
    ]
    made = work.enqueue(connection, database, new)
    known = [name for name, made_id in zip(names, made.ids, strict=True) if made_id is None]
    if known:
        # One that waits for a later time waits no longer; one that is being done hears of it.
        hurried = update(jobs).where(jobs.c.kind == KIND, jobs.c.dedup.in_(known), jobs.c.state == JobState.READY)
        connection.execute(hurried.values(due_at=database.instant()))
    return [WorkReady(KIND), *(OutboxChanged(AccountUuid(name)) for name in names)]


def _row(message: NewMessage, uuid: str, repeated: bool, place: int | None, now: datetime) -> dict[str, Any]:
    text, due_at = message.text, now + timedelta(seconds=message.after_s)
    return {
        "uuid": uuid,
        "workspace_id": text.workspace_id,
        "account_uuid": text.account_uuid,
        "message_id": text.message_id,
        "recipient_phone": text.recipient_phone,
        "text": text.text,
        "state": MessageState.ACCEPTED.value,
        "code": None,
        "reason": WAITS,
        "attempts": 0,
        "instance_url": None,
        "created_at": now,
        "updated_at": now,
        "phone_as_written": text.phone_as_written,
        "content": dict(message.content),
        "chat": message.chat,
        "position": place,
        "due_at": due_at,
        "expires_at": due_at + timedelta(seconds=message.max_age_s),
        "interruptions": int(repeated),
        "batch_id": message.batch_id,
        "trace_id": message.trace_id,
    }
