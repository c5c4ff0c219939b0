"""Steps of a session's ratchets: keys, what came in, what is about to leave, and the login, kept all or nothing."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Delete, Insert, Select, bindparam, delete, select
from sqlalchemy.types import TypeEngine

from homing.model.instances.vault import (
    Committed,
    Grant,
    InboxMessage,
    RatchetStep,
    Reservation,
    SessionKey,
    StaleEpoch,
)
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import AnyRow
from homing.store.db.schema.columns import BoundedInteger, UtcDateTime, Words, as_base64, storable
from homing.store.db.schema.device_state import inbox, session_keys
from homing.store.db.sql import among, as_rows, dialect_of, given_rows, insert, written_moment
from homing.store.vault import logins as vault_logins
from homing.store.vault.reserving import ReservationRequest, reserve
from homing.store.vault.rows import is_under, locked
from homing.store.vault.sealing import KeyRing, SealedText, frame_place, inbox_place, key_place

_KEY: dict[str, TypeEngine[Any]] = {"session_id": Words(), "kind": Words(), "id": Words()}
_KEPT_KEY: dict[str, TypeEngine[Any]] = {**_KEY, "value": Words(), "value_key": Words()}
_NAME: dict[str, TypeEngine[Any]] = {"session_id": Words(), "message_id": Words(), "digest": Words()}
_ARRIVED: dict[str, TypeEngine[Any]] = {
    **_NAME,
    "epoch": BoundedInteger(),
    "body": Words(),
    "body_key": Words(),
    "arrived_at": UtcDateTime(),
    "told_at": UtcDateTime(),
}
Row = dict[str, str | int | None]


def commit(
    connection: Connection, database: Database, ring: KeyRing, steps: Sequence[tuple[Grant, RatchetStep]], now: datetime
) -> list[Committed | StaleEpoch]:
    """Keep each of these steps whose grant stands, whole. Of one session they are in the order of their making."""
    stored = locked(connection, {grant.session_id for grant, _ in steps})
    standing = [place for place, (grant, _) in enumerate(steps) if is_under(stored.get(grant.session_id), grant)]
    grants = _logins_saved(connection, ring, {place: steps[place] for place in standing}, now)
    reserved = _reserved(connection, database, ring, {place: steps[place] for place in standing})
    _keep_keys(connection, ring, [(steps[place][0].session_id, steps[place][1].keys) for place in standing], now)
    known = _taken_in(connection, ring, {place: steps[place] for place in standing}, now)
    answers: list[Committed | StaleEpoch] = []
    for place, (grant, _) in enumerate(steps):
        if place in grants:
            answers.append(Committed(grants[place], reserved[place], known[place]))
        else:
            row = stored.get(grant.session_id)
            answers.append(StaleEpoch(0 if row is None else row.epoch))
    return answers


def keep_adopted(
    connection: Connection, ring: KeyRing, keys: Mapping[str, Sequence[SessionKey]], now: datetime
) -> None:
    """These are the keys of these sessions from now on, and no others."""
    forget_keys(connection, keys)
    _keep_keys(connection, ring, list(keys.items()), now)


def forget_keys(connection: Connection, sessions: Collection[str]) -> None:
    gone = delete(session_keys).where(among(dialect_of(connection), session_keys.c.session_id, "sessions"))
    connection.execute(gone, {"sessions": sorted(sessions)})


def keys(connection: Connection, ring: KeyRing, session_id: str, kind: str, ids: Collection[str]) -> dict[str, bytes]:
    """Raises VaultSealed where one of them does not open."""
    asked = {"session": session_id, "kind": kind, "ids": sorted(ids)}
    found = connection.execute(_keys_statement(dialect_of(connection)), asked)
    return {
        row.id: ring.unseal(key_place(session_id, kind, row.id), SealedText(row.value_key, row.value)) for row in found
    }


def had(connection: Connection, session_id: str, message_id: str, digest: str) -> bool:
    named = {"session": session_id, "message": message_id, "digest": digest}
    return connection.scalar(_had_statement(), named) is not None


def untold_rows(connection: Connection, sessions: Collection[str]) -> dict[str, list[AnyRow]]:
    """What came in and was never told, by session, in the order of its coming."""
    found: dict[str, list[AnyRow]] = {}
    for row in connection.execute(_untold_statement(dialect_of(connection)), {"sessions": sorted(sessions)}):
        found.setdefault(row.session_id, []).append(row)
    return found


def inbox_message(ring: KeyRing, row: AnyRow) -> InboxMessage:
    """Raises VaultSealed."""
    place = inbox_place(row.session_id, row.message_id, row.digest)
    return InboxMessage(row.message_id, row.digest, ring.unseal(place, SealedText(row.body_key, row.body)))


# --- parts of a step ----------------------------------------------------------------------------------------------


def _logins_saved(
    connection: Connection, ring: KeyRing, steps: Mapping[int, tuple[Grant, RatchetStep]], now: datetime
) -> dict[int, Grant]:
    """The grants, with the versions of their logins."""
    grants = {place: grant for place, (grant, _) in steps.items()}
    logins = {place: (grant, step.login) for place, (grant, step) in steps.items() if step.login is not None}
    if logins:
        saved = vault_logins.save(connection, ring, list(logins.values()), now)
        for place, kept in zip(logins, saved, strict=True):
            assert isinstance(kept, Grant), "it is locked, and stood"
            grants[place] = kept
    return grants


def _reserved(
    connection: Connection, database: Database, ring: KeyRing, steps: Mapping[int, tuple[Grant, RatchetStep]]
) -> dict[int, Sequence[Reservation]]:
    wanted: dict[tuple[int, int], ReservationRequest] = {}
    for place, (grant, step) in steps.items():
        for number, unsent in enumerate(step.unsent):
            sealed = ring.seal(frame_place(grant.session_id, unsent.message_id), unsent.frame)
            wanted[place, number] = ReservationRequest(grant, storable(unsent.message_id), sealed)
    asked = list({each.message: each for each in wanted.values()}.values())
    found = reserve(connection, database, asked) if asked else {}
    answers = {each.message: found[place] for place, each in enumerate(asked)}
    return {
        place: [answers[wanted[place, number].message] for number in range(len(step.unsent))]
        for place, (_, step) in steps.items()
    }


def _keep_keys(
    connection: Connection, ring: KeyRing, changed: Sequence[tuple[str, Sequence[SessionKey]]], now: datetime
) -> None:
    last = {(storable(session), key.kind, key.id): key.value for session, each in changed for key in each}
    gone = [_key_row(*name) for name, value in last.items() if value is None]
    kept = [_kept_row(ring, *name, value) for name, value in sorted(last.items()) if value is not None]
    if gone:
        connection.execute(_gone_statement(dialect_of(connection)), {"given": as_rows(gone)})
    if kept:
        given = {"given": as_rows(kept), "updated": now}
        connection.execute(_kept_statement(dialect_of(connection)), given)


def _key_row(session: str, kind: str, id: str) -> Row:
    return {"session_id": session, "kind": kind, "id": id}


def _kept_row(ring: KeyRing, session: str, kind: str, id: str, value: bytes) -> Row:
    sealed = ring.seal(key_place(session, kind, id), value)
    return {**_key_row(session, kind, id), "value": as_base64(sealed.text), "value_key": sealed.key_id}


def _taken_in(
    connection: Connection, ring: KeyRing, steps: Mapping[int, tuple[Grant, RatchetStep]], now: datetime
) -> dict[int, frozenset[tuple[str, str]]]:
    """What of each step's messages had come in before."""
    rows: dict[tuple[str, str, str], Row] = {}
    for grant, step in steps.values():
        for each in step.arrived:
            name = (storable(grant.session_id), storable(each.message_id), each.digest)
            # One after the other, also where they come together: this is the order in which they are told.
            rows.setdefault(name, _arrived_row(ring, grant, each, now + timedelta(microseconds=len(rows))))
    new: set[tuple[str, str, str]] = set()
    if rows:
        made = connection.execute(_arrived_statement(dialect_of(connection)), {"given": as_rows(rows.values())})
        new = {(row.session_id, row.message_id, row.digest) for row in made}
    return {
        place: frozenset(
            (each.message_id, each.digest)
            for each in step.arrived
            if (storable(grant.session_id), storable(each.message_id), each.digest) not in new
        )
        for place, (grant, step) in steps.items()
    }


def _arrived_row(ring: KeyRing, grant: Grant, message: InboxMessage, at: datetime) -> Row:
    session, message_id = storable(grant.session_id), storable(message.message_id)
    row: Row = {"session_id": session, "message_id": message_id, "digest": message.digest, "epoch": grant.epoch}
    if message.body is None:
        return {**row, "body": None, "body_key": None, "arrived_at": written_moment(at), "told_at": written_moment(at)}
    sealed = ring.seal(inbox_place(session, message_id, message.digest), message.body)
    body: Row = {"body": as_base64(sealed.text), "body_key": sealed.key_id}
    return {**row, **body, "arrived_at": written_moment(at), "told_at": None}


# --- statements ---------------------------------------------------------------------------------------------------


@prepared
def _kept_statement(dialect: Dialect) -> Any:
    given = given_rows(dialect, "given", _KEPT_KEY)
    chosen = select(*(given.c[name] for name in _KEPT_KEY), bindparam("updated", type_=UtcDateTime())).where(
        given.c.session_id.is_not(None)
    )
    adding = insert(dialect, session_keys).from_select([*_KEPT_KEY, "updated_at"], chosen)
    newer = {name: adding.excluded[name] for name in ("value", "value_key", "updated_at")}
    key = [session_keys.c.session_id, session_keys.c.kind, session_keys.c.id]
    return adding.on_conflict_do_update(index_elements=key, set_=newer)


@prepared
def _gone_statement(dialect: Dialect) -> Delete:
    given = given_rows(dialect, "given", _KEY)
    same = [session_keys.c[name] == given.c[name] for name in _KEY]
    return delete(session_keys).where(select(given.c.id).where(*same).correlate(session_keys).exists())


@prepared
def _keys_statement(dialect: Dialect) -> Select[Any]:
    mine = (session_keys.c.session_id == bindparam("session"), session_keys.c.kind == bindparam("kind"))
    return select(session_keys).where(*mine, among(dialect, session_keys.c.id, "ids"))


@prepared
def _had_statement() -> Select[Any]:
    named = (
        inbox.c.session_id == bindparam("session"),
        inbox.c.message_id == bindparam("message"),
        inbox.c.digest == bindparam("digest"),
    )
    return select(inbox.c.epoch).where(*named)


@prepared
def _untold_statement(dialect: Dialect) -> Select[Any]:
    mine = among(dialect, inbox.c.session_id, "sessions")
    return select(inbox).where(mine, inbox.c.told_at.is_(None)).order_by(inbox.c.session_id, inbox.c.arrived_at)


@prepared
def _arrived_statement(dialect: Dialect) -> Insert:
    given = given_rows(dialect, "given", _ARRIVED)
    chosen = select(*(given.c[name] for name in _ARRIVED)).where(given.c.session_id.is_not(None))
    adding = insert(dialect, inbox).from_select(list(_ARRIVED), chosen).on_conflict_do_nothing()
    return adding.returning(inbox.c.session_id, inbox.c.message_id, inbox.c.digest)
