"""PostgreSQL behind PgBouncer as it comes, in session and in transaction mode, with our own settings as they are."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, make_url, text
from structlog.testing import capture_logs

from homing.demo.plan import Unworkable
from homing.lab.chaos.ground.servers import GroundServer, own_bouncer
from homing.ports import CacheCleared, KeysChanged, Notice, StoreUnavailable
from homing.store.db.migrating import migrate, newest_revision
from homing.store.db.opening import open_database
from homing.store.notices.postgres import PostgresNotices
from homing.store.postgres.engine import PostgresDatabase

LIMIT_S = 10.0
MODES = pytest.mark.parametrize("mode", ["session", "transaction"])


@pytest.fixture
async def bouncer(request: pytest.FixtureRequest, mode: str, postgres_url: str) -> AsyncIterator[GroundServer]:
    url = make_url(postgres_url)
    server = f"host={url.host} port={url.port or 5432} user={url.username}"
    try:
        async with own_bouncer(server, mode) as bouncer:
            yield bouncer
    except Unworkable as error:
        pytest.skip(f"NOT RUN: {error}")


def through(bouncer: GroundServer, url: str) -> str:
    return make_url(url).set(host="127.0.0.1", port=bouncer.port).render_as_string(hide_password=False)


@pytest.fixture
async def database(bouncer: GroundServer, postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    opened = open_database(through(bouncer, postgres_url), pool_size=6, pool_timeout_s=LIMIT_S, connect_timeout_s=5)
    assert isinstance(opened, PostgresDatabase)
    yield opened
    await opened.close()


async def until(known: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not known():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


@MODES
async def test_a_database_is_migrated_through_it(bouncer: GroundServer, empty_postgres_url: str) -> None:
    assert await migrate(through(bouncer, empty_postgres_url)) == newest_revision()


def put(connection: Connection, number: int) -> None:
    made = "INSERT INTO workspaces (id, name, created_at) VALUES (:n, :name, now())"
    connection.execute(text(made), {"n": number, "name": f"w{number}"})


def rename(connection: Connection, number: int) -> int:
    changed = text("UPDATE workspaces SET name = name || 'x' WHERE id = :n")
    return int(connection.execute(changed, {"n": number}).rowcount)


def look(connection: Connection, number: int) -> Any:
    found = connection.scalar(text("SELECT name FROM workspaces WHERE id = :n"), {"n": number})
    return found, connection.scalar(text("SELECT count(*) FROM workspaces WHERE id > :n"), {"n": -number})


@pytest.mark.parametrize("mode", ["transaction"])
async def test_many_who_share_its_connections_find_their_own_statements(database: PostgresDatabase) -> None:
    """Each takes whichever connection is free, so that nothing prepared on one may be asked of another."""

    async def one(number: int) -> None:
        await database.write(lambda c: put(c, number))
        for _ in range(5):
            assert await database.write_at_once(lambda c: rename(c, number)) == 1
            assert (await database.read(lambda c: look(c, number)))[0].startswith(f"w{number}x")

    await asyncio.gather(*(one(number) for number in range(1, 31)))
    assert (await database.read(lambda c: look(c, 1)))[1] == 30


@MODES
async def test_limits_hold_and_stay_with_us(
    database: PostgresDatabase, bouncer: GroundServer, postgres_url: str
) -> None:
    short = open_database(through(bouncer, postgres_url), statement_timeout_s=0.5)
    began_s = time.monotonic()
    with pytest.raises(StoreUnavailable, match="statement timeout"):
        await short.write(lambda c: c.execute(text("SELECT pg_sleep(5)")))
    assert time.monotonic() - began_s < 5
    assert await short.read(lambda c: c.scalar(text("SHOW statement_timeout"))) == "450ms"
    await short.close()
    # Whoever gets that connection next has the server's own.
    stranger = await asyncpg.connect(through(bouncer, postgres_url), statement_cache_size=0)
    async with stranger.transaction():
        assert await stranger.fetchval("SHOW statement_timeout") == "0"
    await stranger.close()


@MODES
async def test_a_lost_listen_is_noticed_and_what_is_kept_is_doubted(
    mode: str, database: PostgresDatabase, postgres_url: str
) -> None:
    notices, judged, heard = PostgresNotices(database, prove_every_s=0.2, proved_within_s=1.0), [], list[Notice]()
    notices.watch_hearing(judged.append)
    notices.subscribe(heard.append)
    with capture_logs():
        await notices.start()
        await until(lambda: len(judged) >= 2)
        await notices.close()
    if mode == "session":
        assert set(judged) == {None}
    else:
        assert "HOMING_LISTEN_URL" in judged[0]
        assert isinstance(heard[0], CacheCleared)


@pytest.mark.parametrize("mode", ["transaction"])
async def test_a_way_around_it_replaces_the_lost_listen(database: PostgresDatabase, postgres_url: str) -> None:
    ways = [PostgresNotices(database, listen_url=postgres_url) for _ in range(2)]
    judged, heard = [], list[Notice]()
    ways[0].watch_hearing(judged.append)
    ways[0].subscribe(heard.append)
    for way in ways:
        await way.start()
    await ways[1].publish([KeysChanged()])
    await until(lambda: bool(judged and heard))
    assert (judged[0], heard) == (None, [KeysChanged()])
    for way in ways:
        await way.close()
