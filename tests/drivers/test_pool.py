"""Who gets a connection when there are not enough, and that none of them is ever lost to the pool."""

import asyncio

import pytest

from homing.drivers.http.connection import Connection
from homing.drivers.http.pool import Opened, Pool, PoolLimits
from homing.model.sends.faults import Fault, Phase


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
    return Pool(PoolLimits(places=1, of_a_session=1, waiters=1, patience_s=0.05), open_one)


def roomy(*, places: int = 8, of_a_session: int = 8, waiters: int = 100) -> Pool:
    return Pool(PoolLimits(places, of_a_session, waiters, patience_s=5.0), open_one)


def later() -> float:
    return asyncio.get_running_loop().time() + 5.0


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
        assert ended.phase is Phase.NOT_ATTEMPTED
        assert "came free" in ended.detail


async def test_a_connection_opened_while_the_pool_closes_is_closed(pool: Pool) -> None:
    may_open, opened = asyncio.Event(), []

    async def open_late(of: Pool, until: float) -> Opened:
        await may_open.wait()
        opened.append(await open_one(of, until))
        return opened[-1]

    late = Pool(PoolLimits(places=1, of_a_session=1, waiters=1, patience_s=1.0), open_late)
    opening = asyncio.create_task(late.take(soon()))
    await asyncio.sleep(0)
    await late.close()
    may_open.set()
    await opening
    assert opened[0].gone
    assert late.is_empty


async def as_many_as_it_gets(pool: Pool, session: str, asked: int = 20) -> list[Connection]:
    """What a session has at once that asks for so many; the others of its calls wait, and are sent away."""
    asking = [asyncio.create_task(pool.take(later(), session)) for _ in range(asked)]
    for _ in range(asked):
        await asyncio.sleep(0)
    got = [each.result() for each in asking if each.done()]
    for each in asking:
        each.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    return [each for each in got if isinstance(each, Connection)]


async def test_one_session_has_at_most_its_share() -> None:
    assert len(await as_many_as_it_gets(roomy(of_a_session=3), "hanging")) == 3


async def test_each_session_leaves_as_many_as_it_has() -> None:
    pool = roomy(places=12)
    taken = [len(await as_many_as_it_gets(pool, session)) for session in ("one", "two", "three", "four")]
    assert taken == [6, 3, 2, 1]


async def test_calls_of_no_session_may_have_all_there_are() -> None:
    assert len(await as_many_as_it_gets(roomy(places=8, of_a_session=2), "")) == 8


async def test_who_waits_is_served_in_turn_of_the_sessions_and_not_in_turn_of_the_calls() -> None:
    pool = roomy(places=1)
    held = await pool.take(later(), "holder")
    assert isinstance(held, Connection)
    served: list[str] = []

    async def wait(session: str) -> None:
        got = await pool.take(later(), session)
        assert isinstance(got, Connection)
        served.append(session)
        pool.free(got)

    waiting = [asyncio.create_task(wait(session)) for session in ("many", "many", "many", "few", "few", "one")]
    await asyncio.sleep(0)
    pool.free(held)
    await asyncio.gather(*waiting)
    assert served == ["many", "few", "one", "many", "few", "many"]


async def test_a_session_that_has_its_share_does_not_keep_a_free_connection_from_the_others() -> None:
    pool = roomy(places=4, of_a_session=1)
    held = await pool.take(later(), "hanging")
    waiting = asyncio.create_task(pool.take(later(), "hanging"))
    await asyncio.sleep(0)
    neighbour = await pool.take(later(), "neighbour")
    assert isinstance(neighbour, Connection)
    pool.free(neighbour)
    await asyncio.sleep(0)
    assert not waiting.done()
    assert isinstance(held, Connection)
    pool.free(held)
    assert isinstance(await waiting, Connection)


async def test_one_sessions_line_leaves_room_in_the_line_for_others() -> None:
    pool = roomy(places=1, waiters=4)
    held = await pool.take(later(), "holder")
    waiting = [asyncio.create_task(pool.take(later(), "many")) for _ in range(4)]
    await asyncio.sleep(0)
    refused = [each.result() for each in waiting if each.done()]
    assert [each.phase for each in refused if isinstance(each, Fault)] == [Phase.NOT_ATTEMPTED] * 2
    other = asyncio.create_task(pool.take(later(), "other"))
    await asyncio.sleep(0)
    assert not other.done()
    assert isinstance(held, Connection)
    pool.free(held)
    for each in (*waiting, other):
        each.cancel()
    await asyncio.gather(*waiting, other, return_exceptions=True)


async def test_shares_are_given_back_whatever_becomes_of_a_connection() -> None:
    pool = roomy(places=4, of_a_session=2)
    for end in (pool.free, lambda connection: connection.leave(), pool.free):
        for connection in await as_many_as_it_gets(pool, "one"):
            end(connection)
    assert len(await as_many_as_it_gets(pool, "one")) == 2


async def test_a_connection_that_our_queue_left_no_time_for_is_not_the_instances_fault() -> None:
    opening = asyncio.Event()

    async def open_never(of: Pool, until: float) -> Opened:
        opening.set()
        await asyncio.sleep(until - asyncio.get_running_loop().time())
        return Fault(Phase.CONNECT_TIMED_OUT, "no connection in time")

    pool = Pool(PoolLimits(places=1, of_a_session=1, waiters=1, patience_s=1.0), open_never)
    at_once = asyncio.create_task(pool.take(soon()))
    await opening.wait()
    waited = await pool.take(asyncio.get_running_loop().time() + 0.15)
    assert isinstance(waited, Fault)
    assert waited.phase is Phase.NOT_ATTEMPTED
    ended = await at_once
    assert isinstance(ended, Fault)
    assert ended.phase is Phase.CONNECT_TIMED_OUT
