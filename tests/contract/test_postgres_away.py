"""PostgreSQL when it is away, slow, restarted or in contention: never a hang, never a silent second try of a commit."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import Connection, make_url, text

from homing.ports import StoreUnavailable
from homing.store.db.opening import open_database
from homing.store.postgres.engine import PostgresDatabase
from tcp_proxy import TcpProxy, tcp_proxy

MARGIN_S = 0.6


def ask(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT 42")))


def put(connection: Connection, number: int) -> None:
    connection.execute(text("INSERT INTO workspaces (id, created_at) VALUES (:n, now())"), {"n": number})


def count(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT count(*) FROM workspaces")))


@pytest.fixture
async def proxy(postgres_url: str) -> AsyncIterator[TcpProxy]:
    url = make_url(postgres_url)
    async with tcp_proxy(str(url.host), url.port or 5432) as proxy:
        yield proxy


@pytest.fixture
async def database(postgres_url: str, proxy: TcpProxy) -> AsyncIterator[PostgresDatabase]:
    through = make_url(postgres_url).set(port=proxy.port, host="127.0.0.1").render_as_string(hide_password=False)
    opened = open_database(through, connect_timeout_s=0.4, statement_timeout_s=0.8, pool_timeout_s=0.2, pool_size=3)
    assert isinstance(opened, PostgresDatabase)
    yield opened
    proxy.thaw()
    await opened.close()


@asynccontextmanager
async def unavailable_within(limit_s: float) -> AsyncIterator[None]:
    started_s = time.monotonic()
    with pytest.raises(StoreUnavailable) as failure:
        yield
    assert time.monotonic() - started_s < limit_s + MARGIN_S
    assert failure.value.__cause__ is not None
    assert "\n" not in str(failure.value)


Doing = Callable[[PostgresDatabase], Awaitable[object]]
READ_AND_WRITE = pytest.mark.parametrize(
    "doing", [lambda database: database.read(ask), lambda database: database.write(ask)], ids=["read", "write"]
)


@READ_AND_WRITE
async def test_a_refused_port_is_known_at_once(doing: Doing) -> None:
    database = open_database("postgresql://u@127.0.0.1:1/none")
    assert isinstance(database, PostgresDatabase)
    async with unavailable_within(0.3):
        await doing(database)
    await database.close()


@READ_AND_WRITE
async def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up(
    database: PostgresDatabase, proxy: TcpProxy, doing: Doing
) -> None:
    proxy.freeze()
    async with unavailable_within(0.4):
        await doing(database)


@READ_AND_WRITE
async def test_a_server_that_falls_silent_in_the_middle_is_given_up(
    database: PostgresDatabase, proxy: TcpProxy, doing: Doing
) -> None:
    await doing(database)
    proxy.freeze()
    async with unavailable_within(0.8):
        await doing(database)
    proxy.thaw()
    assert await doing(database) == 42


async def test_one_silence_is_believed_of_all_older_connections(database: PostgresDatabase, proxy: TcpProxy) -> None:
    """Where one lost its server without a word, so did the others: each would cost the time of a statement."""

    def slow_pid(connection: Connection) -> int:
        return int(connection.scalar(text("SELECT pg_backend_pid() FROM pg_sleep(0.1)")))

    before = {*await asyncio.gather(*(database.read(slow_pid) for _ in range(3)))}
    proxy.freeze()
    async with unavailable_within(0.8):
        await database.read(ask)
    proxy.thaw()
    after = {*await asyncio.gather(*(database.read(slow_pid) for _ in range(3)))}
    assert len(before) == len(after) == 3
    assert not before & after


async def test_a_slow_statement_is_ended_and_its_connection_kept(database: PostgresDatabase) -> None:
    whoami = text("SELECT pg_backend_pid()")
    pid = await database.read(lambda c: c.scalar(whoami))
    async with unavailable_within(0.8):
        await database.write(lambda c: c.execute(text("SELECT pg_sleep(5)")))
    await asyncio.sleep(0.05)
    assert await database.read(lambda c: c.scalar(whoami)) == pid


async def test_many_that_wait_for_a_silent_server_are_all_answered(database: PostgresDatabase, proxy: TcpProxy) -> None:
    await database.read(ask)
    proxy.freeze()
    started_s = time.monotonic()
    got = await asyncio.gather(*(database.read(ask) for _ in range(20)), return_exceptions=True)
    assert all(isinstance(each, StoreUnavailable) for each in got)
    assert time.monotonic() - started_s < 1.4 + MARGIN_S


async def test_a_wait_for_a_connection_has_an_end(database: PostgresDatabase) -> None:
    slow = [asyncio.ensure_future(database.read(lambda c: c.scalar(text("SELECT pg_sleep(3)")))) for _ in range(3)]
    await asyncio.sleep(0.05)
    async with unavailable_within(0.2):
        await database.read(ask)
    got = await asyncio.gather(*slow, return_exceptions=True)
    assert all(isinstance(each, StoreUnavailable) for each in got)


@READ_AND_WRITE
async def test_connections_that_died_in_the_pool_cost_nobody_an_error(
    database: PostgresDatabase, proxy: TcpProxy, doing: Doing
) -> None:
    await asyncio.gather(*(doing(database) for _ in range(3)))
    proxy.cut()
    await asyncio.sleep(0.05)
    assert await asyncio.gather(*(doing(database) for _ in range(3))) == [42] * 3


async def test_a_write_that_broke_before_its_commit_is_made_once(database: PostgresDatabase) -> None:
    tries: list[int] = []

    def write(connection: Connection) -> None:
        put(connection, 1)
        tries.append(1)
        if len(tries) == 1:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    await database.write(write)
    assert len(tries) == 2
    assert await database.read(count) == 1


async def test_a_commit_whose_answer_was_lost_is_not_tried_again(database: PostgresDatabase, proxy: TcpProxy) -> None:
    tries: list[int] = []

    def write(connection: Connection) -> None:
        tries.append(1)
        put(connection, 1)

    await database.read(ask)
    proxy.cuts_on = lambda data: b"COMMIT;" in data
    async with unavailable_within(0.5):
        await database.write(write)
    assert tries == [1]
    proxy.cuts_on = lambda _data: False
    assert await database.read(count) == 0


async def test_a_write_that_raises_is_rolled_back_before_its_caller_knows(database: PostgresDatabase) -> None:
    def fail(connection: Connection) -> None:
        put(connection, 1)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(fail)
    assert await database.read(count) == 0


async def test_a_caller_that_goes_away_gives_its_connection_back(database: PostgresDatabase) -> None:
    for _ in range(6):
        task = asyncio.ensure_future(database.write(lambda c: c.execute(text("SELECT pg_sleep(3)"))))
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait([task])
    assert await asyncio.gather(*(database.read(ask) for _ in range(3))) == [42] * 3


async def test_writes_that_deadlock_are_both_made(database: PostgresDatabase) -> None:
    def both(first: int, second: int) -> Callable[[Connection], None]:
        def write(connection: Connection) -> None:
            connection.execute(text("SET LOCAL deadlock_timeout = '50ms'"))
            for number in (first, second):
                rename = "UPDATE workspaces SET name = name || 'x' WHERE id = :n"
                connection.execute(text(rename), {"n": number})
                connection.execute(text("SELECT pg_sleep(0.05)"))

        return write

    await database.write(lambda c: [put(c, 1), put(c, 2)])
    await asyncio.gather(database.write(both(1, 2)), database.write(both(2, 1)))
    names = await database.read(lambda c: c.scalars(text("SELECT name FROM workspaces")).all())
    assert names == ["xx", "xx"]


async def test_the_server_ends_what_a_frozen_client_left_open(database: PostgresDatabase) -> None:
    asked = "SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout')"
    assert tuple(await database.read(lambda c: c.execute(text(asked)).one())) == ("720ms", "1440ms")
