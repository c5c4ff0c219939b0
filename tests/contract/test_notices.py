"""Word of changes between gateways, by every way it can take."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from fleets import A, B, change, new_account, placed_account
from sqlalchemy import Connection, make_url, text
from structlog.testing import capture_logs

from homing.model.fleet import AccountUuid, ContactUuid, Epoch, SessionId, WorkspaceId
from homing.ports import (
    AccountChanged,
    AlertsChanged,
    CacheCleared,
    KeysChanged,
    Notice,
    OptOutsChanged,
    PlacementChanged,
    RosterChanged,
    WorkspacesChanged,
)
from homing.store.db.opening import open_database
from homing.store.directory.directory import SqlDirectory
from homing.store.notices import codec
from homing.store.notices.codec import Letter
from homing.store.notices.notices import LocalNotices, StagedNotices
from homing.store.notices.opening import open_notices
from homing.store.notices.postgres import PostgresNotices
from homing.store.notices.redis import RedisNotices
from homing.store.postgres.engine import PostgresDatabase
from homing.world import SystemClock
from tcp_proxy import TcpProxy, tcp_proxy

LIMIT_S = 10.0
EVERY_KIND: list[Notice] = [
    PlacementChanged(SessionId("s ☃"), AccountUuid("a"), Epoch(7), None, A),
    AccountChanged(account_uuid=AccountUuid("a")),
    AccountChanged(contact_uuid=ContactUuid("c")),
    RosterChanged(),
    KeysChanged(),
    AlertsChanged(),
    WorkspacesChanged(),
    OptOutsChanged(WorkspaceId(7)),
    CacheCleared("by hand"),
]


@dataclass
class Ear:
    """What one gateway heard."""

    heard: list[Notice] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, notice: Notice) -> None:
        self.heard.append(notice)
        self.changed.set()

    async def until(self, enough: Callable[[list[Notice]], bool]) -> list[Notice]:
        async with asyncio.timeout(LIMIT_S):
            while not enough(self.heard):
                self.changed.clear()
                await self.changed.wait()
        return self.heard

    async def until_last(self, notice: Notice) -> list[Notice]:
        return await self.until(lambda heard: bool(heard) and heard[-1] == notice)


@dataclass
class Gateway:
    """One gateway's end of the way."""

    notices: StagedNotices
    ear: Ear
    database: PostgresDatabase | None = None


@dataclass
class Way:
    """Two gateways that can hear each other, and the network between them and the carrier."""

    one: Gateway
    two: Gateway
    proxy: TcpProxy
    kill: Callable[[], object]


@dataclass(frozen=True)
class Patience:
    """How soon gateways take silence for a loss."""

    statement_s: float
    probe_every_s: float
    probe_s: float


PATIENT = Patience(statement_s=LIMIT_S, probe_every_s=LIMIT_S, probe_s=LIMIT_S)
"""A busy machine can be silent for a while, and nothing is lost by it."""
IMPATIENT = Patience(statement_s=0.5, probe_every_s=0.1, probe_s=0.3)


@pytest.fixture(params=["postgres", "redis"])
async def way(request: pytest.FixtureRequest) -> AsyncIterator[Way]:
    async with _way(request, PATIENT) as made:
        yield made


@pytest.fixture(params=["postgres", "redis"])
async def way_that_falls_silent(request: pytest.FixtureRequest) -> AsyncIterator[Way]:
    """Its gateways soon notice."""
    async with _way(request, IMPATIENT) as made:
        yield made


@asynccontextmanager
async def _way(request: pytest.FixtureRequest, patience: Patience) -> AsyncIterator[Way]:
    url = make_url(request.getfixturevalue(f"{request.param}_url"))
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(tcp_proxy(str(url.host), url.port or 0))
        through = url.set(port=proxy.port, host="127.0.0.1").render_as_string(hide_password=False)
        channel = f"test:{uuid4().hex}"
        gateways = [await _gateway(stack, request.param, through, channel, patience) for _ in range(2)]
        direct = url.render_as_string(hide_password=False)

        async def kill() -> None:
            await (_kill_postgres(direct) if request.param == "postgres" else _kill_redis(direct, gateways))

        yield Way(gateways[0], gateways[1], proxy, kill)


async def _gateway(
    stack: AsyncExitStack, carrier: str, url: str, channel: str, patience: Patience = PATIENT
) -> Gateway:
    ear = Ear()
    database: PostgresDatabase | None = None
    probes = {"probe_every_s": patience.probe_every_s, "probe_timeout_s": patience.probe_s}
    notices: PostgresNotices | RedisNotices
    if carrier == "postgres":
        opened = open_database(url, statement_timeout_s=patience.statement_s)
        assert isinstance(opened, PostgresDatabase)
        database = opened
        stack.push_async_callback(database.close)
        notices = PostgresNotices(database, **probes)
    else:
        notices = RedisNotices(url, channel=channel, timeout_s=patience.statement_s, **probes)
    notices.subscribe(ear.hear)
    await notices.start()
    stack.push_async_callback(notices.close)
    return Gateway(notices, ear, database)


async def _kill_postgres(url: str) -> None:
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    database = open_database(url)
    await database.read(lambda c: c.execute(text(f"{others} AND pid <> pg_backend_pid()")).all())
    await database.close()


async def _kill_redis(url: str, gateways: Sequence[Gateway]) -> None:
    from redis.asyncio import Redis

    names = [gateway.notices.client_name for gateway in gateways if isinstance(gateway.notices, RedisNotices)]
    async with Redis.from_url(url, protocol=2) as redis:
        for client in await redis.client_list():
            if client["name"] in names:
                await redis.client_kill_filter(_id=client["id"])


async def test_each_kind_of_notice_reaches_the_other_gateway_whole_and_in_order(way: Way) -> None:
    await way.one.notices.publish(EVERY_KIND)
    assert way.one.ear.heard == EVERY_KIND
    assert await way.two.ear.until_last(EVERY_KIND[-1]) == EVERY_KIND


async def test_a_gateway_hears_its_own_word_once(way: Way) -> None:
    await way.one.notices.publish([RosterChanged()])
    await way.two.ear.until_last(RosterChanged())
    await way.two.notices.publish([KeysChanged()])
    assert await way.one.ear.until_last(KeysChanged()) == [RosterChanged(), KeysChanged()]


async def test_thousands_of_notices_in_one_batch_all_arrive(way: Way) -> None:
    many: list[Notice] = [
        PlacementChanged(SessionId(f"session-{number}"), AccountUuid(f"account-{number}"), Epoch(number), A, B)
        for number in range(5_000)
    ]
    await way.one.notices.publish(many)
    assert await way.two.ear.until(lambda heard: len(heard) >= 5_000) == many


@pytest.mark.parametrize("way_to_fail", ["kill", "cut"])
async def test_after_a_lost_connection_all_is_doubted_and_then_heard_again(way: Way, way_to_fail: str) -> None:
    if way_to_fail == "kill":
        await way.kill()  # type: ignore[misc]
    else:
        way.proxy.cut()
    for gateway in (way.one, way.two):
        [doubt] = await gateway.ear.until(lambda heard: len(heard) == 1)
        assert isinstance(doubt, CacheCleared)
        assert "may have been missed" in doubt.reason
    await way.one.notices.publish([RosterChanged()])
    await way.two.ear.until_last(RosterChanged())


async def test_a_connection_that_fell_silent_is_given_up(way_that_falls_silent: Way) -> None:
    silent = way_that_falls_silent
    silent.proxy.freeze()
    await asyncio.sleep(0.6)
    silent.proxy.thaw()
    [doubt] = await silent.two.ear.until(lambda heard: len(heard) == 1)
    assert isinstance(doubt, CacheCleared)
    await silent.one.ear.until(lambda heard: len(heard) == 1)
    await silent.one.notices.publish([RosterChanged()])
    await silent.two.ear.until_last(RosterChanged())


async def test_word_that_could_not_be_sent_is_owned_up_to(way_that_falls_silent: Way) -> None:
    silent = way_that_falls_silent
    silent.proxy.freeze()
    async with asyncio.timeout(LIMIT_S):
        await silent.one.notices.publish([RosterChanged()])
    assert silent.one.ear.heard[0] == RosterChanged()
    silent.proxy.thaw()
    told = await silent.two.ear.until(lambda heard: any("lost" in getattr(each, "reason", "") for each in heard))
    assert all(isinstance(each, CacheCleared | RosterChanged) for each in told)


async def test_a_subscriber_that_fails_keeps_nothing_from_the_others(way: Way) -> None:
    def fail(_notice: Notice) -> None:
        raise RuntimeError("a bug")

    later = Ear()
    way.two.notices.subscribe(fail)
    way.two.notices.subscribe(later.hear)
    await way.one.notices.publish([RosterChanged(), KeysChanged()])
    await later.until_last(KeysChanged())


async def test_a_carrier_that_is_away_does_not_stop_the_start() -> None:
    notices = RedisNotices("redis://127.0.0.1:1/0", timeout_s=0.2)
    async with asyncio.timeout(LIMIT_S):
        await notices.start()
        await notices.publish([RosterChanged()])
        await notices.close()


# --- with the transaction, on PostgreSQL ---


@pytest.fixture
async def gateways(postgres_url: str) -> AsyncIterator[tuple[Gateway, Gateway]]:
    async with AsyncExitStack() as stack:
        yield (
            await _gateway(stack, "postgres", postgres_url, ""),
            await _gateway(stack, "postgres", postgres_url, ""),
        )


async def test_a_rolled_back_transaction_announces_nothing(gateways: tuple[Gateway, Gateway]) -> None:
    one, two = gateways
    assert one.database is not None

    def fail(connection: Connection) -> None:
        one.notices.stage(connection, [KeysChanged()])
        raise RuntimeError("on second thoughts")

    with pytest.raises(RuntimeError, match="second thoughts"):
        await one.database.write(fail)
    await one.notices.publish([RosterChanged()])
    assert await two.ear.until_last(RosterChanged()) == [RosterChanged()]
    assert one.ear.heard == [RosterChanged()]


async def test_a_gateway_that_dies_after_its_commit_is_heard_all_the_same(gateways: tuple[Gateway, Gateway]) -> None:
    one, two = gateways
    assert one.database is not None
    announce = await one.database.write(lambda c: one.notices.stage(c, [KeysChanged()]))
    assert await two.ear.until_last(KeysChanged()) == [KeysChanged()]
    assert await one.ear.until_last(KeysChanged()) == [KeysChanged()]
    await announce()
    assert one.ear.heard == [KeysChanged()]


async def test_a_rebinding_through_one_gateway_is_heard_by_the_other(gateways: tuple[Gateway, Gateway]) -> None:
    one, two = gateways
    assert one.database is not None
    directory = SqlDirectory(one.database, one.notices, SystemClock())
    account = await placed_account(directory, 1, A)
    assert await directory.rebind([change(account.placement, B, 2)])
    last = PlacementChanged(account.session_id, account.uuid, Epoch(2), A, B)
    assert one.ear.heard[-1] == last
    await two.ear.until_last(last)
    assert two.ear.heard == one.ear.heard


# --- which way it is ---


async def test_the_way_follows_from_the_database_and_redis(sqlite_url: str, postgres_url: str, redis_url: str) -> None:
    kinds = []
    for url, redis in [(sqlite_url, None), (postgres_url, None), (postgres_url, redis_url), (sqlite_url, redis_url)]:
        database = open_database(url)
        notices = await open_notices(database, url, redis)
        kinds.append(type(notices))
        await notices.close()
        await database.close()
    assert kinds == [LocalNotices, PostgresNotices, RedisNotices, RedisNotices]


async def test_local_notices_are_heard_before_publish_returns() -> None:
    ear, notices = Ear(), LocalNotices()
    notices.subscribe(ear.hear)
    await notices.publish(EVERY_KIND)
    assert ear.heard == EVERY_KIND


# --- how they are written ---


def test_what_is_written_reads_back_and_fits_the_way() -> None:
    many: list[Notice] = EVERY_KIND * 200
    payloads = codec.written(Letter("me", 3, many))
    assert all(len(payload.encode()) < 8000 for payload in payloads)
    letters = [codec.read(payload) for payload in payloads]
    assert {(letter.sender, letter.number) for letter in letters} == {("me", 3)}
    assert [notice for letter in letters for notice in letter.notices] == many


def test_a_notice_too_long_for_the_way_becomes_a_doubt_of_everything() -> None:
    long = PlacementChanged(SessionId("s" * 9000), AccountUuid("a"), Epoch(1))
    [payload] = codec.written(Letter("me", 1, [long]))
    [doubt] = codec.read(payload).notices
    assert isinstance(doubt, CacheCleared)


def test_a_notice_of_an_unknown_kind_is_ignored_with_a_warning() -> None:
    with capture_logs() as lines:
        letter = codec.read('{"v":1,"from":"x","n":1,"notices":[["dance",{}],["roster",{"later":1}]]}')
    assert letter.notices == [RosterChanged()]
    assert [(line["log_level"], line["kind"]) for line in lines] == [("warning", "dance")]


NOT_UNDERSTOOD = [
    "",
    "{",
    "[]",
    "null",
    '{"v":1}',
    '{"v":2,"from":"x","n":1,"notices":[]}',
    '{"v":1,"from":"x","n":1,"notices":[["placement",{}]]}',
]


@pytest.mark.parametrize("payload", NOT_UNDERSTOOD)
def test_what_cannot_be_understood_puts_everything_in_doubt(payload: str) -> None:
    [doubt] = codec.read(payload).notices
    assert isinstance(doubt, CacheCleared)


async def test_directory_changes_through_local_notices_need_no_start(directory: SqlDirectory) -> None:
    assert await directory.create_account(new_account(1))
