"""`ports.receivers.Receivers` on SQLite and PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from homing.model.alerts import About, Alert, AlertKind, Subject
from homing.model.deliveries.endpoints import SealedSecret
from homing.model.deliveries.receivers import AlertSilence, Receiver, ReceiverId, ReceiverKind, ToldAlert
from homing.ports import NameTaken
from homing.store.db.database import Database
from homing.store.db.rows import AnyRow
from homing.store.db.schema.receivers import receiver_told, receivers, silences
from homing.store.db.sql import dialect_of, insert
from homing.store.records.recording import record


class SqlReceivers:
    """Receivers, what each was told, and silences; changes of what is set are in the audit log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, receiver: Receiver, secret: SealedSecret | None) -> None:
        await self._database.write(lambda c: _create(c, receiver, secret))

    async def remove(self, id: ReceiverId) -> bool:
        return await self._database.write(lambda c: _remove(c, id))

    async def all(self) -> list[Receiver]:
        found = select(receivers).order_by(receivers.c.name)
        return await self._database.read(lambda c: [_receiver_of(row) for row in c.execute(found)])

    async def find(self, id: ReceiverId) -> tuple[Receiver, SealedSecret | None] | None:
        def found(connection: Connection) -> tuple[Receiver, SealedSecret | None] | None:
            row = connection.execute(select(receivers).where(receivers.c.id == id)).one_or_none()
            if row is None:
                return None
            return _receiver_of(row), SealedSecret(row.secret_key, row.secret) if row.secret_key else None

        return await self._database.read(found)

    async def told(self, id: ReceiverId) -> Mapping[str, ToldAlert]:
        wanted = select(receiver_told).where(receiver_told.c.receiver_id == id)
        rows = await self._database.read(lambda c: c.execute(wanted).all())
        known = {kind.value for kind in AlertKind}
        return {row.alert_id: _told_of(row) for row in rows if row.kind in known}

    async def note(
        self, id: ReceiverId, *, firing: Collection[ToldAlert], resolved: Collection[ToldAlert], error: str = ""
    ) -> None:
        def noted(connection: Connection) -> None:
            now = self._database.now(connection)
            _note(connection, id, firing, resolved, error, now)

        await self._database.write(noted)

    async def now(self) -> datetime:
        return await self._database.read(self._database.now)

    async def silence(self, silence: AlertSilence) -> None:
        await self._database.write(lambda c: _silence(c, silence))

    async def unsilence(self, id: str) -> bool:
        def ended(connection: Connection) -> bool:
            gone = connection.execute(delete(silences).where(silences.c.id == id)).rowcount > 0
            if gone:
                record(connection, "silence.ended", f"silence {id}")
            return gone

        return await self._database.write(ended)

    async def silences(self) -> Sequence[AlertSilence]:
        def lasting(connection: Connection) -> list[AlertSilence]:
            now = self._database.now(connection)
            rows = connection.execute(select(silences).where(silences.c.until > now).order_by(silences.c.until))
            return [_silence_of(row) for row in rows]

        return await self._database.read(lasting)


def _create(connection: Connection, receiver: Receiver, secret: SealedSecret | None) -> None:
    row = {
        "id": receiver.id,
        "name": receiver.name,
        "kind": receiver.kind,
        "target": receiver.target,
        "options": dict(receiver.options),
        "secret": None if secret is None else secret.text,
        "secret_key": None if secret is None else secret.key_id,
        "created_at": receiver.created_at,
        "last_error": "",
    }
    made = insert(dialect_of(connection), receivers).values(row).on_conflict_do_nothing().returning(receivers.c.id)
    if connection.scalar(made) is None:
        raise NameTaken(f"there is a receiver {receiver.name} already")
    record(connection, "receiver.created", f"receiver {receiver.name}", after={"kind": receiver.kind.value})


def _remove(connection: Connection, id: ReceiverId) -> bool:
    name = connection.scalar(delete(receivers).where(receivers.c.id == id).returning(receivers.c.name))
    if name is None:
        return False
    connection.execute(delete(receiver_told).where(receiver_told.c.receiver_id == id))
    record(connection, "receiver.deleted", f"receiver {name}")
    return True


def _note(
    connection: Connection,
    id: ReceiverId,
    firing: Collection[ToldAlert],
    resolved: Collection[ToldAlert],
    error: str,
    now: datetime,
) -> None:
    if firing:
        rows = [_told_row(id, each, now) for each in firing]
        new = insert(dialect_of(connection), receiver_told)
        again = {"reason": new.excluded.reason, "told_at": new.excluded.told_at}
        this = [receiver_told.c.receiver_id, receiver_told.c.alert_id]
        connection.execute(new.on_conflict_do_update(index_elements=this, set_=again), rows)
    if resolved:
        passed = receiver_told.c.alert_id.in_([each.alert_id for each in resolved])
        connection.execute(delete(receiver_told).where(receiver_told.c.receiver_id == id, passed))
    named = receivers.c.id == id
    if error:
        connection.execute(update(receivers).where(named).values(last_error=error))
        began = update(receivers).where(named, receivers.c.failing_since.is_(None)).values(failing_since=now)
        connection.execute(began)
    else:
        well = {"failing_since": None, "last_error": "", "last_told_at": now}
        connection.execute(update(receivers).where(named).values(well))


def _silence(connection: Connection, silence: AlertSilence) -> None:
    row = {
        "id": silence.id,
        "kind": silence.kind.value if silence.kind is not None else "",
        "about": silence.about.value if silence.about is not None else "",
        "subject": silence.subject,
        "until": silence.until,
        "reason": silence.reason,
        "created_by": silence.created_by,
        "created_at": silence.created_at,
    }
    connection.execute(silences.insert().values(row))
    told = {"kind": row["kind"], "subject": silence.subject, "until": str(silence.until), "reason": silence.reason}
    record(connection, "silence.begun", f"silence {silence.id}", after=told)


def _receiver_of(row: AnyRow) -> Receiver:
    return Receiver(
        id=ReceiverId(row.id),
        name=row.name,
        kind=ReceiverKind(row.kind),
        target=row.target,
        created_at=row.created_at,
        options=row.options,
        failing_since=row.failing_since,
        last_error=row.last_error,
        last_told_at=row.last_told_at,
    )


def _told_of(row: AnyRow) -> ToldAlert:
    subject = Subject(About(row.about), row.subject)
    return ToldAlert(row.alert_id, Alert(AlertKind(row.kind), subject, row.reason, row.raised_at), row.told_at)


def _told_row(id: ReceiverId, told: ToldAlert, now: datetime) -> dict[str, object]:
    alert = told.alert
    return {
        "receiver_id": id,
        "alert_id": told.alert_id,
        "about": alert.subject.about.value,
        "subject": alert.subject.name,
        "kind": alert.kind.value,
        "reason": alert.reason,
        "raised_at": alert.raised_at,
        "told_at": now,
    }


def _silence_of(row: AnyRow) -> AlertSilence:
    return AlertSilence(
        id=row.id,
        until=row.until,
        reason=row.reason,
        created_by=row.created_by,
        created_at=row.created_at,
        kind=AlertKind(row.kind) if row.kind else None,
        about=About(row.about) if row.about else None,
        subject=row.subject,
    )
