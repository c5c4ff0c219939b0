"""Where the directory has each session, read from its database: looking often costs the gateways nothing."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing

import asyncpg

_RECORDS = "SELECT session_id, instance_url FROM sessions"

Read = Callable[[], Awaitable[dict[str, str]]]


@asynccontextmanager
async def open_records(database_url: str) -> AsyncIterator[Read]:
    """A way to read them, as often as wanted."""
    if database_url.startswith("sqlite:///"):
        with closing(sqlite3.connect(f"file:{database_url.removeprefix('sqlite:///')}?mode=ro", uri=True)) as file:

            async def read() -> dict[str, str]:
                return dict(file.execute(_RECORDS).fetchall())

            yield read
        return
    connection = await asyncpg.connect(database_url)
    try:

        async def fetch() -> dict[str, str]:
            return {row[0]: row[1] for row in await connection.fetch(_RECORDS)}

        yield fetch
    finally:
        await connection.close()
