"""What gateways said of numbers, on a SQL database."""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection, delete, select, tuple_

from homing.model.fleet import SessionId
from homing.model.sends.addresses import Address
from homing.model.sends.calls import NumberChecked
from homing.store.db.database import Database
from homing.store.db.schema.numbers import number_checks as table
from homing.store.db.sql import dialect_of, insert

FORGOTTEN_AT_ONCE = 20
"""Expired answers that go with each new one: more than come, so that the table does not grow."""


class SqlNumberChecks:
    """`ports.sends.numbers.CheckedNumbers` on SQLite and PostgreSQL. `on_read` hears of each SELECT."""

    def __init__(self, database: Database, *, on_read: Callable[[], None] = lambda: None) -> None:
        self._database, self._on_read = database, on_read

    async def of(self, session_id: SessionId, numbers: Sequence[str]) -> Mapping[str, NumberChecked]:
        def read(connection: Connection) -> dict[str, NumberChecked]:
            asked = select(table).where(
                table.c.session_id == session_id,
                table.c.digits.in_(list(numbers)),
                table.c.expires_at > self._database.instant(),
            )
            return {row.digits: _checked(row.is_on_whatsapp, row.address) for row in connection.execute(asked)}

        self._on_read()
        return await self._database.read(read)

    async def remember(self, session_id: SessionId, digits: str, checked: NumberChecked, *, good_for_s: float) -> None:
        told = {
            "is_on_whatsapp": checked.exists,
            "address": str(checked.address) if checked.address is not None else None,
        }

        def write(connection: Connection) -> None:
            expires_at = self._database.instant(good_for_s)
            row = insert(dialect_of(connection), table).values(
                session_id=session_id, digits=digits, expires_at=expires_at, **told
            )
            key = [table.c.session_id, table.c.digits]
            connection.execute(row.on_conflict_do_update(index_elements=key, set_={**told, "expires_at": expires_at}))
            old = select(*key).where(table.c.expires_at <= self._database.instant()).limit(FORGOTTEN_AT_ONCE)
            connection.execute(delete(table).where(tuple_(*key).in_(old)))

        await self._database.write(write)


def _checked(exists: bool, address: str | None) -> NumberChecked:
    return NumberChecked(exists, Address.of(address) if address is not None else None)
