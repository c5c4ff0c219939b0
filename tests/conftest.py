"""What tests of every kind may ask for: the stores, each on both databases, and the servers behind them."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from services import PostgresServer, apart, postgres_server, redis_server

from homing.store.database import Database
from homing.store.directory import SqlDirectory
from homing.store.messages import SqlMessages
from homing.store.migrating import migrate
from homing.store.notices import LocalNotices
from homing.store.opening import open_database

settings.register_profile("homing", database=None, deadline=None)
settings.load_profile("homing")


class SteppedClock:
    """A clock that moves only when told to. It stands in for the Clock port where nothing sleeps."""

    def __init__(self) -> None:
        self._passed_s = 0.0

    def advance(self, by_s: float) -> None:
        self._passed_s += by_s

    def monotonic(self) -> float:
        return self._passed_s

    def now(self) -> datetime:
        return datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=self._passed_s)

    async def sleep(self, delay_s: float) -> None:
        self.advance(delay_s)


@pytest.fixture(scope="session")
def _postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_url(_postgres: PostgresServer) -> Iterator[str]:
    """A fresh, migrated PostgreSQL database, dropped afterwards."""
    url = _postgres.fresh_database()
    yield url
    _postgres.drop(url)


@pytest.fixture
def empty_postgres_url(_postgres: PostgresServer) -> Iterator[str]:
    """A PostgreSQL database that was never migrated."""
    url = _postgres.fresh_database(migrated=False)
    yield url
    _postgres.drop(url)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis, perhaps shared with others: use keys and channels of your own."""
    with redis_server() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A fresh, migrated SQLite file."""
    url = f"sqlite:///{tmp_path / 'homing.db'}"
    apart(migrate(url))
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh, migrated database that other processes can open, on each store in turn."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def clock() -> SteppedClock:
    """The clock of the directory, and the store's own where the database has none."""
    return SteppedClock()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, clock: SteppedClock) -> AsyncIterator[Database]:
    """An open database with its tables, on each store in turn."""
    url = "sqlite://" if request.param == "memory" else request.getfixturevalue(f"{request.param}_url")
    opened = open_database(url, now=clock.now)
    yield opened
    await opened.close()


@pytest.fixture
def local_notices() -> LocalNotices:
    return LocalNotices()


@pytest.fixture
def directory(database: Database, local_notices: LocalNotices, clock: SteppedClock) -> SqlDirectory:
    return SqlDirectory(database, local_notices, clock)


@pytest.fixture
def messages(database: Database) -> SqlMessages:
    return SqlMessages(database)
