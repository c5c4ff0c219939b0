"""The pace of a lane: which of the messages that are due may go now. What it has left is in the lane's row, so that it
moves with the account and survives every restart."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, bindparam, delete, select, update

from homing.decide.pacing.pace import RESTRICTED_S, PacePlan, limits, plan, refilled, typing_s
from homing.decide.pacing.quiet_hours import quiet_until
from homing.model.fleet import AccountUuid, WorkspaceId
from homing.model.sends.pacing import PaceAsked, PaceGo, PacePolicy, PaceState, PaceWait
from homing.ports import AccountChanged, CacheCleared, Notice
from homing.store.db.database import Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import AnyRow
from homing.store.db.schema.outbox import known_chats, pacing
from homing.store.db.schema.outbox import outbox_lanes as lanes
from homing.store.db.schema.tables import accounts, messages, sessions
from homing.store.db.sql import among, dialect_of, insert
from homing.store.records.recording import record

EVERYBODY = ""
"""In place of an account: all of a workspace that have no pace of their own."""
WINDOW = 200
"""So many due messages are looked at where some of them may have to be passed over."""


@dataclass(frozen=True, slots=True)
class Paced:
    """What may go now; in how many seconds the next one may, if the pace holds some back, and why."""

    rows: Sequence[AnyRow]
    next_s: float | None
    reason: str


def policy_of(connection: Connection, workspace: WorkspaceId, account: AccountUuid) -> PacePolicy | None:
    """The account's own pace, else its workspace's."""
    asked = {"workspace": workspace, "accounts": [account, EVERYBODY]}
    found = connection.execute(_policies(dialect_of(connection)), asked)
    rows = {row.account_uuid: row.policy for row in found}
    written = rows.get(account, rows.get(EVERYBODY))
    return None if written is None else msgspec.convert(written, PacePolicy)


@prepared
def _policies(dialect: Dialect) -> Select[Any]:
    named = (pacing.c.workspace_id == bindparam("workspace"), among(dialect, pacing.c.account_uuid, "accounts"))
    return select(pacing.c.account_uuid, pacing.c.policy).where(*named)


def set_policy(connection: Connection, workspace: WorkspaceId, account: str, policy: PacePolicy | None) -> list[Notice]:
    """Set it, or take it away. Every gateway hears of it: routes say whether a pace is set."""
    named = (pacing.c.workspace_id == workspace, pacing.c.account_uuid == account)
    connection.execute(delete(pacing).where(*named))
    written: dict[str, Any] | None = None if policy is None else msgspec.to_builtins(policy)
    if written is not None:
        row = {"workspace_id": workspace, "account_uuid": account, "policy": written}
        connection.execute(insert(dialect_of(connection), pacing).values(row))
    subject = f"account {account}" if account else f"workspace {workspace}"
    record(connection, "pace.changed", subject, after={"pace": written is not None})
    if account:
        return [AccountChanged(account_uuid=AccountUuid(account))]
    return [CacheCleared(f"the pace of workspace {workspace} was set")]


def charge(
    connection: Connection, workspace: WorkspaceId, account: AccountUuid, asked: PaceAsked, now: datetime
) -> PaceGo | PaceWait:
    """One message goes now, beside the lane; or how long it would have to wait. Without a pace nothing is asked.

    The lane is locked by the caller (`lengthen`): both take from the same account.
    """
    policy = policy_of(connection, workspace, account)
    if policy is None:
        return PaceGo()
    quiet = quiet_until(asked.chat, policy.quiet, now) if policy.quiet is not None else None
    if quiet is not None:
        return PaceWait((quiet - now).total_seconds(), "its pace: quiet hours where the recipient is")
    lane = connection.execute(select(lanes).where(lanes.c.account_uuid == account)).one()
    known = _known(connection, policy, account, [asked.chat])
    made = _planned(connection, lane, policy, [asked.chat not in known], now, asked.chance)
    if not made.goes:
        return PaceWait(made.next_s or 1.0, made.reason)
    _keep(connection, account, made.state)
    _now_known(connection, policy, account, [asked.chat])
    return PaceGo(typing_s(policy, asked.characters))


def paced(
    connection: Connection,
    lane: AnyRow,
    policy: PacePolicy | None,
    rows: Sequence[AnyRow],
    now: datetime,
    chance: float,
    *,
    free: int,
) -> Paced:
    """All that there is room for, where no pace is set."""
    if policy is None:
        return Paced(rows[:free], None, "")
    awake = _awake(connection, policy, rows, now)[:free]
    known = _known(connection, policy, lane.account_uuid, [row.chat for row in awake])
    made = _planned(connection, lane, policy, [row.chat not in known for row in awake], now, chance)
    _keep(connection, lane.account_uuid, made.state)
    goes = [awake[place] for place in made.goes]
    _now_known(connection, policy, lane.account_uuid, [row.chat for row in goes])
    return Paced(goes, made.next_s, made.reason)


def _planned(
    connection: Connection, lane: AnyRow, policy: PacePolicy, new_chats: Sequence[bool], now: datetime, chance: float
) -> PacePlan:
    of = _account(connection, lane.account_uuid)
    now_s = now.timestamp()
    return plan(
        policy,
        PaceState.read(lane.pace, now_s),
        new_chats,
        now_s=now_s,
        age_days=0.0 if of is None else (now - of.created_at).total_seconds() / 86_400,
        epoch=0 if of is None else of.epoch,
        chance=chance,
    )


def note_restricted(connection: Connection, account: AccountUuid, policy: PacePolicy | None, now: datetime) -> None:
    """WhatsApp said `do not`: for a while no new chat is begun. The lane is locked by the caller."""
    if policy is not None:
        pace = connection.scalar(select(lanes.c.pace).where(lanes.c.account_uuid == account)) or {}
        state = PaceState.read(pace, now.timestamp())
        written = {**state.written(), "restricted": now.timestamp() + RESTRICTED_S}
        connection.execute(update(lanes).where(lanes.c.account_uuid == account).values(pace=written))


def left(connection: Connection, workspace: WorkspaceId, account: AccountUuid, now: datetime) -> dict[str, Any] | None:
    """What the account has left of each of its limits, in messages; None if it has no pace."""
    policy = policy_of(connection, workspace, account)
    if policy is None:
        return None
    written = connection.scalar(select(lanes.c.pace).where(lanes.c.account_uuid == account)) or {}
    of = _account(connection, account)
    age_days = 0.0 if of is None else (now - of.created_at).total_seconds() / 86_400
    known = limits(policy, age_days)
    state = refilled(PaceState.read(written, now.timestamp()), known, now.timestamp())
    return {
        "policy": msgspec.to_builtins(policy),
        "left": {each.name: int(state.left[each.name]) for each in known},
        "of": {each.name: int(each.messages) for each in known},
        "next_in_s": max(0.0, round(state.next_s - now.timestamp(), 1)),
    }


def _account(connection: Connection, account: AccountUuid) -> AnyRow | None:
    joined = accounts.join(sessions, sessions.c.account_id == accounts.c.id)
    found = select(accounts.c.created_at, sessions.c.epoch).select_from(joined).where(accounts.c.uuid == account)
    return connection.execute(found).one_or_none()


def _awake(connection: Connection, policy: PacePolicy, rows: Sequence[AnyRow], now: datetime) -> list[AnyRow]:
    """Those whose recipients may be written to now; the others are due when their quiet hours end."""
    if policy.quiet is None:
        return list(rows)
    awake = []
    for row in rows:
        until = quiet_until(row.chat, policy.quiet, now)
        if until is None:
            awake.append(row)
        else:
            late = {"due_at": until, "reason": "its pace: quiet hours where the recipient is"}
            connection.execute(update(messages).where(messages.c.uuid == row.uuid).values(late))
    return awake


def _known(connection: Connection, policy: PacePolicy, account: str, chats: Sequence[str]) -> set[str]:
    if policy.new_chats_per_day is None:
        return set(chats)
    asked = {"chats": sorted(set(chats))}
    found = select(known_chats.c.chat).where(known_chats.c.account_uuid == account)
    return set(connection.scalars(found.where(among(dialect_of(connection), known_chats.c.chat, "chats")), asked))


def _now_known(connection: Connection, policy: PacePolicy, account: str, chats: Sequence[str]) -> None:
    if policy.new_chats_per_day is not None and chats:
        rows = [{"account_uuid": account, "chat": chat} for chat in sorted(set(chats))]
        connection.execute(insert(dialect_of(connection), known_chats).on_conflict_do_nothing(), rows)


def _keep(connection: Connection, account: str, state: PaceState) -> None:
    connection.execute(update(lanes).where(lanes.c.account_uuid == account).values(pace=state.written()))
