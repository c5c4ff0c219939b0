"""Who gets a connection when there are not enough, and that none of them is ever lost to the pool."""

import asyncio

import pytest

from homing.drivers.connection import Connection
from homing.drivers.pool import Opened, Pool
from homing.model.faults import Fault, Phase


class Mute(asyncio.Transport):
    """A connection in memory that nothing ever comes from."""

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        return None


async def open_one(pool: Pool, until: float) -> Opened:
    connection = Connection(idle_s=60.0, head_limit_bytes=1_000, on_free=pool.free, on_gone=pool.gone)
    connection.connection_made(Mute())
    return connection


@pytest.fixture
def pool() -> Pool:
    return Pool(places=1, waiters=1, open_one=open_one)


def soon() -> float:
    return asyncio.get_running_loop().time() + 0.05


async def taken(pool: Pool) -> Connection:
    got = await pool.take(soon())
    assert isinstance(got, Connection), got
    return got


async def test_a_connection_that_is_gone_is_not_given_out(pool: Pool) -> None:
    connection = await taken(pool)
    pool.free(connection)
    connection.leave()
    assert pool.take_idle() is None
    assert pool.is_empty
    assert await taken(pool) is not connection


@pytest.mark.parametrize("given", ["a connection", "a place"])
async def test_what_a_waiter_was_given_as_it_left_goes_to_the_next(pool: Pool, given: str) -> None:
    connection = await taken(pool)
    leaving = asyncio.create_task(pool.take(soon()))
    await asyncio.sleep(0)
    if given == "a connection":
        pool.free(connection)
    else:
        connection.leave()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert (await taken(pool) is connection) == (given == "a connection")


async def test_a_waiter_that_left_leaves_room_for_another(pool: Pool) -> None:
    connection = await taken(pool)
    leaving = asyncio.create_task(pool.take(soon()))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    waiting = asyncio.create_task(pool.take(soon()))
    await asyncio.sleep(0)
    pool.free(connection)
    assert await waiting is connection


async def test_a_waiter_whose_time_is_up_leaves_room_for_another(pool: Pool) -> None:
    await taken(pool)
    for _ in range(3):
        ended = await pool.take(soon())
        assert isinstance(ended, Fault)
        assert ended.phase is Phase.CONNECT_TIMED_OUT
        assert "came free" in ended.detail


async def test_a_connection_opened_while_the_pool_closes_is_closed(pool: Pool) -> None:
    may_open, opened = asyncio.Event(), []

    async def open_late(of: Pool, until: float) -> Opened:
        await may_open.wait()
        opened.append(await open_one(of, until))
        return opened[-1]

    late = Pool(places=1, waiters=1, open_one=open_late)
    opening = asyncio.create_task(late.take(soon()))
    await asyncio.sleep(0)
    await late.close()
    may_open.set()
    await opening
    assert opened[0].gone
    assert late.is_empty
