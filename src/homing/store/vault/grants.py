"""Who holds a session's credentials: taking them, giving them up, and saying again who has them."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Update, bindparam, case, func, null, select, update
from sqlalchemy.types import TypeEngine

from homing.decide.fleet.leases import LIVE_HOLDERS_SPEAK_S, epoch_to_open
from homing.model.instances.vault import Grant, Holder, Login, SessionKey, StaleEpoch, Unfinished, VaultSealed
from homing.ports import StoreUnavailable
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import AnyRow
from homing.store.db.schema.columns import BoundedInteger, UtcDateTime
from homing.store.db.schema.tables import credentials, incarnations, reservations, sessions
from homing.store.db.sql import among, as_rows, dialect_of, given_rows
from homing.store.grants.leases import note_revoked
from homing.store.vault.restored import NO_BOOT
from homing.store.vault.rows import (
    GRANT,
    LOGIN,
    grant_row,
    holder_of,
    locked,
    login_of,
    login_row,
    made_and_locked,
    refusals,
    under,
)
from homing.store.vault.sealing import KeyRing, SealedText, frame_place
from homing.store.vault.stepping import inbox_message, keep_adopted, untold_rows

Opened = Grant | StaleEpoch | VaultSealed


def open_many(
    connection: Connection, database: Database, keys: KeyRing, wanted: Mapping[str, int | None], holder: Holder
) -> dict[str, Opened]:
    """Take these sessions for the holder, each at the epoch wanted. What cannot be unsealed is not taken."""
    # Sessions before credentials, each by id: everybody who locks both does it in this order.
    recorded = _recorded(connection, [session for session, epoch in wanted.items() if epoch is None])
    now = database.now(connection)
    stored = made_and_locked(connection, wanted, now)
    if any(row.restored_from is not None for row in stored.values()):
        _let_live_holders_speak(connection, now)
    epochs = {
        session: epoch_to_open(
            epoch,
            holder,
            stored=stored[session].epoch,
            held_by=holder_of(stored[session]),
            recorded=recorded.get(session, 0),
        )
        for session, epoch in wanted.items()
    }
    opened = _unsealed(connection, keys, stored, epochs, holder, now)
    taken = [each for each in opened.values() if isinstance(each, Grant) and not _has(stored[each.session_id], each)]
    _enter(connection, [_Entry(stored[grant.session_id], grant) for grant in taken], now)
    return opened


def release(connection: Connection, grants: Sequence[Grant], now: datetime) -> dict[str, StaleEpoch]:
    """Nobody holds these sessions; those whose grants were refused are in the answer."""
    locked(connection, [grant.session_id for grant in grants])
    given = as_rows(grant_row(grant) for grant in grants)
    done = set(connection.scalars(_release_statement(dialect_of(connection)), {"given": given, "released_at": now}))
    return refusals(connection, [grant for grant in grants if grant.session_id not in done])


def redeclare(connection: Connection, keys: KeyRing, grants: Sequence[Grant], now: datetime) -> dict[str, StaleEpoch]:
    """Raise what is stored to what the holder has: epoch, counters, login. A higher epoch stands.

    So does that of a restored backup; but of what such a holder knows, counters and login are taken.
    """
    stored = made_and_locked(connection, [grant.session_id for grant in grants], now)
    entries: list[_Entry] = []
    told: dict[str, int] = {}
    refused: dict[str, StaleEpoch] = {}
    for grant in grants:
        row = stored[grant.session_id]
        if _stands(row, grant):
            entries.append(_Entry(row, grant, _lost_login(row, keys, grant)))
            continue
        refused[grant.session_id] = StaleEpoch(row.epoch)
        if row.restored_from is not None and grant.epoch >= row.restored_from:
            last = replace(grant, epoch=row.epoch, holder=Holder(grant.holder.instance_url, NO_BOOT))
            entries.append(_Entry(row, last, _lost_login(row, keys, grant)))
            told[grant.session_id] = grant.epoch
    _enter(connection, entries, now)
    _still_restored(connection, told)
    return refused


def adopt(
    connection: Connection,
    keys: KeyRing,
    logins: Mapping[str, Login],
    state: Mapping[str, Sequence[SessionKey]],
    now: datetime,
) -> None:
    """Take in these logins with their keys, held by nobody. Whoever held one of these sessions is refused from then."""
    stored = made_and_locked(connection, logins, now)
    rows = []
    for session, login in logins.items():
        version = stored[session].login_version + 1
        sealed = keys.seal_login(session, version, login)
        rows.append({"session_id": session, **login_row(sealed, version)})
    given = {"given": as_rows(rows), "adopted_at": now}
    connection.execute(_adopt_statement(dialect_of(connection)), given)
    keep_adopted(connection, keys, {session: state.get(session, ()) for session in logins}, now)
    note_revoked(connection, Counter(row.holder_incarnation for row in stored.values() if row.holder_incarnation))


# --- opening ----------------------------------------------------------------------------------------------------


def _recorded(connection: Connection, asked: Collection[str]) -> dict[str, int]:
    """The directory's epochs, not to change until the transaction ends."""
    if not asked:
        return {}
    rows = connection.execute(_recorded_statement(dialect_of(connection)), {"sessions": sorted(asked)})
    return {row.session_id: row.epoch for row in rows}


@prepared
def _recorded_statement(dialect: Dialect) -> Select[Any]:
    asked = among(dialect, sessions.c.session_id, "sessions")
    columns = (sessions.c.session_id, sessions.c.epoch)
    return select(*columns).where(asked).order_by(sessions.c.session_id).with_for_update(read=True)


def _unsealed(
    connection: Connection,
    keys: KeyRing,
    stored: Mapping[str, AnyRow],
    epochs: Mapping[str, int | StaleEpoch],
    holder: Holder,
    now: datetime,
) -> dict[str, Opened]:
    may_open = [session for session, epoch in epochs.items() if isinstance(epoch, int)]
    unfinished = _unfinished(connection, may_open)
    untold = untold_rows(connection, may_open)
    opened: dict[str, Opened] = {}
    for session, epoch in epochs.items():
        if isinstance(epoch, StaleEpoch):
            opened[session] = epoch
            continue
        try:
            waiting = tuple(inbox_message(keys, each) for each in untold.get(session, []))
            granted = _grant(keys, stored[session], epoch, holder, unfinished.get(session, []), now)
            opened[session] = replace(granted, untold=waiting)
        except VaultSealed as sealed:
            opened[session] = sealed
    return opened


def _grant(
    keys: KeyRing, row: AnyRow, epoch: int, holder: Holder, unfinished: Sequence[AnyRow], now: datetime
) -> Grant:
    sealed = login_of(row)
    return Grant(
        session_id=row.session_id,
        epoch=epoch,
        holder=holder,
        login=None if sealed is None else keys.unseal_login(row.session_id, row.login_version, sealed),
        next_counter=row.reserved_to + 1,
        unfinished=tuple(_unfinished_of(keys, each, now) for each in unfinished),
        login_version=row.login_version,
    )


def _unfinished_of(keys: KeyRing, row: AnyRow, now: datetime) -> Unfinished:
    place = frame_place(row.session_id, row.message_id)
    return Unfinished(
        counter=row.counter,
        message_id=row.message_id,
        frame=keys.unseal(place, SealedText(row.frame_key, row.frame)),
        age_s=max(0.0, (now - row.reserved_at).total_seconds()),
    )


def _unfinished(connection: Connection, asked: Collection[str]) -> dict[str, list[AnyRow]]:
    found: dict[str, list[AnyRow]] = {}
    for row in connection.execute(_unfinished_statement(dialect_of(connection)), {"sessions": sorted(asked)}):
        found.setdefault(row.session_id, []).append(row)
    return found


@prepared
def _unfinished_statement(dialect: Dialect) -> Select[Any]:
    return (
        select(reservations)
        .where(among(dialect, reservations.c.session_id, "sessions"), reservations.c.settled_at.is_(None))
        .order_by(reservations.c.session_id, reservations.c.counter)
    )


def _has(row: AnyRow, grant: Grant) -> bool:
    return row.epoch == grant.epoch and holder_of(row) == grant.holder


def _let_live_holders_speak(connection: Connection, now: datetime) -> None:
    """Raises StoreUnavailable as long as a boot may not have said yet what a restored backup lacks."""
    first = connection.scalar(select(func.min(incarnations.c.began_at)))
    if first is not None and (now - first).total_seconds() < LIVE_HOLDERS_SPEAK_S:
        raise StoreUnavailable("a backup was restored, and whoever holds its sessions says so first")


def _still_restored(connection: Connection, told: Mapping[str, int]) -> None:
    """Nobody has opened these yet: a holder of a later epoch may know still more."""
    for session, epoch in told.items():
        of_it = update(credentials).where(credentials.c.session_id == session)
        connection.execute(of_it.values(restored_from=epoch))


# --- entering a holder --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    """A grant to be written over what is stored; with a login only if that is lost there."""

    stored: AnyRow
    grant: Grant
    login: SealedText | None = None

    @property
    def row(self) -> dict[str, str | int | None]:
        return {
            **grant_row(self.grant),
            **login_row(self.login, self.grant.login_version),
            "reserved_to": self.grant.next_counter - 1,
        }

    @property
    def revoked(self) -> str | None:
        """The boot that this takes the session from."""
        boot: str | None = self.stored.holder_incarnation
        return boot if boot != self.grant.holder.incarnation else None


_ENTERED: dict[str, TypeEngine[Any]] = {
    **GRANT,
    **LOGIN,
    "reserved_to": BoundedInteger(),
}


def _enter(connection: Connection, entries: Sequence[_Entry], now: datetime) -> None:
    if entries:
        given = as_rows(entry.row for entry in entries)
        connection.execute(_enter_statement(dialect_of(connection)), {"given": given, "granted": now})
        note_revoked(connection, Counter(boot for entry in entries if (boot := entry.revoked)))


@prepared
def _enter_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", _ENTERED)
    granted_at = bindparam("granted", type_=UtcDateTime())
    lost = given.c.login.is_not(None)
    return (
        update(credentials)
        .where(credentials.c.session_id == given.c.session_id, credentials.c.epoch <= given.c.epoch)
        .values(
            epoch=given.c.epoch,
            holder_url=given.c.url,
            holder_incarnation=given.c.incarnation,
            reserved_to=case(
                (given.c.reserved_to > credentials.c.reserved_to, given.c.reserved_to), else_=credentials.c.reserved_to
            ),
            login=case((lost, given.c.login), else_=credentials.c.login),
            login_key=case((lost, given.c.login_key), else_=credentials.c.login_key),
            login_version=case((lost, given.c.login_version), else_=credentials.c.login_version),
            granted_at=granted_at,
            updated_at=granted_at,
            restored_from=null(),
        )
    )


# --- the other ways -----------------------------------------------------------------------------------------------


@prepared
def _release_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", GRANT)
    released_at = bindparam("released_at", type_=UtcDateTime())
    nobody = {"holder_url": null(), "holder_incarnation": null(), "updated_at": released_at}
    return update(credentials).where(*under(given)).values(nobody).returning(credentials.c.session_id)


@prepared
def _adopt_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", LOGIN)
    return (
        update(credentials)
        .where(credentials.c.session_id == given.c.session_id)
        .values(
            login=given.c.login,
            login_key=given.c.login_key,
            login_version=given.c.login_version,
            holder_url=null(),
            holder_incarnation=null(),
            updated_at=bindparam("adopted_at", type_=UtcDateTime()),
        )
    )


def _stands(row: AnyRow, grant: Grant) -> bool:
    return grant.epoch > row.epoch or (grant.epoch == row.epoch and holder_of(row) == grant.holder)


def _lost_login(row: AnyRow, keys: KeyRing, grant: Grant) -> SealedText | None:
    if grant.login is None or row.login_version >= grant.login_version:
        return None
    return keys.seal_login(grant.session_id, grant.login_version, grant.login)
