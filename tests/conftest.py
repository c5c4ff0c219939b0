"""What tests of every kind may ask for: the stores, each on both databases, and the servers behind them."""

import gc
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from clocks import SteppedClock
from homing.store.db.database import Database
from homing.store.db.migrating import migrate
from homing.store.db.opening import open_database
from homing.store.directory.directory import SqlDirectory
from homing.store.notices.notices import LocalNotices
from homing.store.sends.messages import SqlMessages
from services import (
    MariadbServer,
    PostgresServer,
    ServiceMissing,
    apart,
    mariadb_server,
    postgres_server,
    redis_server,
)

settings.register_profile("homing", database=None, deadline=None)
settings.load_profile("homing")


def pytest_collection_finish() -> None:
    """All tests are there to stay: no collection needs to look through them again."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What could not be tried here is named at the end of every run that met it."""
    told = [
        value
        for report in terminalreporter.getreports("passed")
        for name, value in getattr(report, "user_properties", ())
        if name == "no driver for" and report.when == "call"
    ]
    left_out = {
        str(report.longrepr[2])
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple)
    }
    for each in sorted(each.removeprefix("Skipped: ") for each in left_out):
        if each.startswith("NOT RUN"):
            terminalreporter.write_line(each, yellow=True)
    for each in told:
        terminalreporter.write_line(f"NOT PLAYED, there is no driver yet: {each}", yellow=True)


@pytest.fixture(scope="session")
def _postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_url(_postgres: PostgresServer) -> Iterator[str]:
    """A migrated PostgreSQL database without a row, for this test alone."""
    url = _postgres.take()
    yield url
    _postgres.give_back(url)


@pytest.fixture
def empty_postgres_url(_postgres: PostgresServer) -> Iterator[str]:
    """A PostgreSQL database that was never migrated."""
    url = _postgres.create_empty()
    yield url
    _postgres.drop(url)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis, perhaps shared with others: use keys and channels of your own."""
    with redis_server() as url:
        yield url


@pytest.fixture(scope="session")
def _mariadb() -> Iterator[MariadbServer]:
    try:
        with mariadb_server() as server:
            yield server
    except ServiceMissing as error:
        pytest.skip(f"NOT RUN: {error}")


@pytest.fixture
def mariadb(_mariadb: MariadbServer) -> MariadbServer:
    """A MariaDB on which databases may be made."""
    return _mariadb


@pytest.fixture
def mariadb_dsn(mariadb: MariadbServer) -> Iterator[str]:
    """The DSN of a new database of MariaDB, for this test alone."""
    dsn = mariadb.create()
    yield dsn
    mariadb.drop(dsn)


@pytest.fixture(scope="session")
def _migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "homing.db"
    apart(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, _migrated_file: Path) -> str:
    """A fresh, migrated SQLite file."""
    return f"sqlite:///{shutil.copy(_migrated_file, tmp_path / 'homing.db')}"


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
