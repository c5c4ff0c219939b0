"""PostgreSQL with a standby: when the roles change, work goes on at the new primary, and never on the old one."""

import asyncio
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from homing.lab.chaos.ground.servers import Pair, own_pair, server_user, set_up
from homing.ports import CacheCleared, KeysChanged, Notice, StoreUnavailable
from homing.store.db.migrating import current_revision, migrate, newest_revision
from homing.store.db.opening import open_database
from homing.store.notices.postgres import PostgresNotices
from homing.store.postgres.engine import PostgresDatabase
from services import apart

WELL_WITHIN_S = 5.0


@pytest.fixture(scope="module")
def fresh() -> Iterator[Path]:
    """The data of a PostgreSQL server that was never started: making it takes longer than all that follows."""
    with tempfile.TemporaryDirectory(prefix="homing-fresh-") as folder:
        place = Path(folder)
        user = server_user(place)
        apart(set_up(place / "data", user))
        yield place / "data"


@pytest.fixture
async def pair(fresh: Path) -> AsyncIterator[Pair]:
    async with own_pair({"fsync": "off"}, fresh=fresh) as pair:
        yield pair


@pytest.fixture
def url(pair: Pair) -> str:
    return f"postgresql://postgres@127.0.0.1:{pair.first.port},127.0.0.1:{pair.second.port}/postgres"


def put(connection: Connection) -> None:
    connection.execute(text("INSERT INTO workspaces (id, created_at) SELECT count(*) + 1, now() FROM workspaces"))


def count(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT count(*) FROM workspaces")))


def port(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT inet_server_port()")))


async def until(works: Callable[[], object], within_s: float = WELL_WITHIN_S) -> float:
    """How long it took until an awaitable of this kind raised nothing."""
    began_s = time.monotonic()
    while True:
        try:
            await works()  # type: ignore[misc]
            return time.monotonic() - began_s
        except StoreUnavailable:
            assert time.monotonic() - began_s < within_s
            await asyncio.sleep(0.05)


async def caught_up(pair: Pair, many: int) -> None:
    """The standby has everything before the roles change: what an asynchronous one loses is not the question here."""
    connection = await asyncpg.connect(pair.second.url)
    async with asyncio.timeout(WELL_WITHIN_S):
        while True:
            with suppress(asyncpg.UndefinedTableError):
                if await connection.fetchval("SELECT count(*) FROM workspaces") == many:
                    break
            await asyncio.sleep(0.02)
    await connection.close()


async def test_after_a_failover_that_leaves_the_old_primary_read_only_work_goes_on_at_the_new_one(
    pair: Pair, url: str
) -> None:
    await migrate(url)
    database = open_database(url)
    await asyncio.gather(*(database.write(put) for _ in range(1)))
    await asyncio.gather(*(database.read(count) for _ in range(8)))  # a pool full of connections to the first
    await caught_up(pair, 1)
    await pair.demote_first()
    with pytest.raises(StoreUnavailable, match="takes no writes"):
        await database.write(put)
    with pytest.raises(StoreUnavailable, match="takes no writes"):
        await database.write_at_once(put)
    await pair.promote_second()
    assert await until(lambda: database.write(put)) < WELL_WITHIN_S
    # Not one connection to the old primary is left: what it has to say of the fleet grows old.
    ports = await asyncio.gather(*(database.read(port) for _ in range(10)))
    assert set(ports) == {pair.second.port}
    assert await database.read(count) == 2
    assert await current_revision(url) == newest_revision()
    await database.close()


async def test_a_connection_to_a_demoted_primary_ends_with_its_first_refused_write(pair: Pair) -> None:
    alone = f"postgresql://postgres@127.0.0.1:{pair.first.port}/postgres"
    await migrate(alone)
    database = open_database(alone)
    await database.write(put)
    await pair.demote_first()
    for doing in (lambda: database.write(put), lambda: database.write_at_once(put)):
        with pytest.raises(StoreUnavailable, match="takes no writes"):
            await doing()
    # Nothing is read from it either: a standby knows only what was.
    with pytest.raises(StoreUnavailable, match="takes no writes"):
        await database.read(count)
    await database.close()


async def test_a_primary_that_died_is_passed_over(pair: Pair, url: str) -> None:
    await migrate(url)
    database = open_database(url)
    await database.write(put)
    await caught_up(pair, 1)
    await pair.first.end(signal.SIGQUIT)
    await pair.promote_second()
    assert await until(lambda: database.write(put)) < WELL_WITHIN_S
    assert await database.read(count) == 2
    await database.close()


async def test_notices_are_heard_from_the_new_primary(pair: Pair, url: str) -> None:
    await migrate(url)
    database = open_database(url)
    assert isinstance(database, PostgresDatabase)
    heard: list[Notice] = []
    mine, other = (PostgresNotices(database, probe_every_s=0.2) for _ in range(2))
    mine.subscribe(heard.append)
    await mine.start()
    await other.start()
    await database.write(put)
    await caught_up(pair, 1)
    await pair.demote_first()
    await pair.promote_second()
    async with asyncio.timeout(WELL_WITHIN_S):
        # Until it has noticed, the old primary carries what is said there, from one to the other.
        while not any(isinstance(notice, CacheCleared) for notice in heard):
            await other.publish([KeysChanged()])
            await asyncio.sleep(0.1)
        heard.clear()
        while KeysChanged() not in heard:
            await other.publish([KeysChanged()])
            await asyncio.sleep(0.1)
    for notices in (mine, other):
        await notices.close()
    await database.close()


async def test_a_migration_goes_to_the_server_that_takes_writes(pair: Pair) -> None:
    backwards = f"postgresql://postgres@127.0.0.1:{pair.second.port},127.0.0.1:{pair.first.port}/postgres"
    assert await migrate(backwards) == newest_revision()
    with pytest.raises(StoreUnavailable, match="takes no writes"):
        await migrate(f"postgresql://postgres@127.0.0.1:{pair.second.port}/postgres")


async def test_a_silent_server_does_not_hold_up_the_other(pair: Pair) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{pair.first.port}"
        database = open_database(f"postgresql://postgres@{hosts}/postgres", connect_timeout_s=30)
        began_s = time.monotonic()
        assert await database.read(port) == pair.first.port
        assert time.monotonic() - began_s < WELL_WITHIN_S
        await database.close()


async def test_what_no_server_could_is_said_of_each(pair: Pair) -> None:
    hosts = f"127.0.0.1:1,127.0.0.1:{pair.second.port}"
    database = open_database(f"postgresql://postgres:hush@{hosts}/postgres")
    with capture_logs(), pytest.raises(StoreUnavailable) as refused:
        await database.read(port)
    said = str(refused.value)
    assert "127.0.0.1:1" in said
    assert f"127.0.0.1:{pair.second.port} takes no writes" in said
    assert "hush" not in said
    await database.close()
