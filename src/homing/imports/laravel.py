"""The Laravel application's database (MySQL or MariaDB): its tables `whatsapp_accounts` and `contacts`.

It is read in pages by the primary key, a SELECT each: however many rows there are, no more than a page is in memory,
no cursor is open at the server while we write, and a connection that breaks is opened again where it broke. Columns
differ between versions of the application; those that mean something to us are taken where they are. Before November
2025 the table of accounts was `whatsapp_sessions`, and workspaces were `organizations`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import pymysql
import structlog

from homing.imports.columns import fields_of, missing
from homing.imports.dsn import MysqlDsn
from homing.model.directory.importing import ImportKind, RowOrigin, SourceRow
from homing.ports.directory.importing import SourceUnreadable

T = TypeVar("T")

PAGE = 1_000
CONNECT_WITHIN_S = 10.0
ANSWER_WITHIN_S = 60.0
TRIES = 5
_TABLES = {ImportKind.ACCOUNT: ("whatsapp_accounts", "whatsapp_sessions"), ImportKind.CONTACT: ("contacts",)}
_WORKSPACES = ("workspaces", "organizations")
_COLUMNS_OF = "SELECT column_name AS name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
_REFUSED = {1044, 1045, 1049, 1142, 1698}
"""Wrong name or password, no such database, not permitted: another try would be answered the same."""

log = structlog.get_logger("homing")


class LaravelDatabase:
    """`ports.importing.ImportSource`, to be used as a context: the connection is closed behind it."""

    def __init__(self, dsn: MysqlDsn, kinds: Sequence[ImportKind] = tuple(ImportKind)) -> None:
        self._dsn, self._kinds = dsn, kinds
        self._connection: Any = None

    async def __aenter__(self) -> Self:
        await self._ask(lambda cursor: cursor.execute("SELECT 1"), tries=1)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._close)

    async def totals(self) -> Mapping[ImportKind, int | None]:
        """By a count, which the server does by its smallest index."""
        found: dict[ImportKind, int | None] = {}
        for kind in self._kinds:
            table, _ = await self._table(kind)
            found[kind] = int((await self._rows(f"SELECT COUNT(*) AS n FROM `{table}`"))[0]["n"])  # noqa: S608
        return found

    async def workspace_names(self) -> Mapping[int, str]:
        """None where the application has no such table, or the user may not read it."""
        for table in _WORKSPACES:
            with suppress(SourceUnreadable):
                rows = await self._rows(f"SELECT id, name FROM `{table}`")  # noqa: S608
                return {int(row["id"]): str(row["name"] or "")[:200] for row in rows}
        return {}

    async def pages(self) -> AsyncIterator[Sequence[SourceRow]]:
        """Accounts, then contacts."""
        for kind in self._kinds:
            table, fields = await self._table(kind)
            columns = ", ".join(f"`{column}` AS `{field}`" for field, column in fields.items())
            query = f"SELECT {columns} FROM `{table}` WHERE id > %s ORDER BY id LIMIT {PAGE}"  # noqa: S608
            after = 0
            while rows := await self._rows(query, after):
                yield [_row(kind, table, row) for row in rows]
                after = rows[-1]["id"]

    async def _table(self, kind: ImportKind) -> tuple[str, dict[str, str]]:
        """The table of a kind, and field → column. Raises SourceUnreadable."""
        for table in _TABLES[kind]:
            asked = (
                "SELECT column_name AS name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
            )
            columns = [str(row["name"]) for row in await self._rows(asked, self._dsn.database, table)]
            if not columns:
                continue
            fields = fields_of(kind, columns)
            lacking = missing(kind, fields) + [name for name in ("id",) if name not in fields]
            if lacking:
                raise SourceUnreadable(
                    f"The table {table} of {self._dsn.shown} has no column {' and no '.join(lacking)}; this is no"
                    " database of the Laravel application that is known here"
                )
            return table, fields
        raise SourceUnreadable(
            f"the database {self._dsn.shown} has no table {_TABLES[kind][0]} that this user may read"
        )

    async def _rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        def ask(cursor: Any) -> list[dict[str, Any]]:
            cursor.execute(query, values)
            return list(cursor.fetchall())

        return await self._ask(ask)

    async def _ask(self, ask: Callable[[Any], T], tries: int = TRIES) -> T:
        """Ask, and again on a new connection if that one broke. Raises SourceUnreadable."""
        for attempt in range(1, tries + 1):
            try:
                return await asyncio.to_thread(self._asked, ask)
            except (pymysql.MySQLError, OSError) as error:
                await asyncio.to_thread(self._close)
                if attempt == tries or not _may_pass(error):
                    raise SourceUnreadable(self._sentence(error)) from None
                log.warning("The source's connection broke; it is opened again", source=self._dsn.shown)
                await asyncio.sleep(0.2 * 2**attempt)
        raise AssertionError("every try returns or raises")

    def _asked(self, ask: Callable[[Any], T]) -> T:
        if self._connection is None:
            self._connection = self._connected()
        with self._connection.cursor() as cursor:
            return ask(cursor)

    def _connected(self) -> Any:
        dsn = self._dsn
        tls = {"ssl": {"ca": dsn.ca_file} if dsn.ca_file else {"check_hostname": False}} if dsn.tls else {}
        return pymysql.connect(
            host=dsn.host,
            port=dsn.port,
            unix_socket=dsn.socket,
            user=dsn.user,
            password=dsn.password,
            database=dsn.database,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=CONNECT_WITHIN_S,
            read_timeout=ANSWER_WITHIN_S,
            write_timeout=ANSWER_WITHIN_S,
            cursorclass=pymysql.cursors.DictCursor,
            **tls,
        )

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(pymysql.MySQLError, OSError):
                connection.close()

    def _sentence(self, error: Exception) -> str:
        words = str(error.args[-1] if error.args else error).split("\n", 1)[0][:200]
        if self._dsn.password:
            words = words.replace(self._dsn.password, "***")
        return f"the database {self._dsn.shown} cannot be read: {words}"


def _may_pass(error: Exception) -> bool:
    if isinstance(error, pymysql.ProgrammingError):
        return False
    lost = isinstance(error, pymysql.OperationalError | pymysql.InterfaceError | OSError)
    return lost and not (error.args and error.args[0] in _REFUSED)


def _row(kind: ImportKind, table: str, row: Mapping[str, Any]) -> SourceRow:
    values = {field: None if value is None else _text(value) for field, value in row.items()}
    return SourceRow(kind, RowOrigin(table, str(row["id"])), values)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
