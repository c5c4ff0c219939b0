"""Connections to the server that takes a database's writes, whichever that is now and whatever stands in between."""

import asyncio
import os
import ssl
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import structlog

from homing.store.db.database import StoreMisconfigured
from homing.store.db.failures import DRIVER_ERRORS, beyond_waiting, said
from homing.store.postgres.dsn import Host, PostgresDsn, TlsWish

log = structlog.get_logger("homing")

STAGGER_S = 0.25
"""How long one server may be silent before the next is asked beside it."""

_ASKED = """
SELECT current_setting('transaction_read_only') = 'on', pg_backend_pid() <> {pid},
       CASE WHEN pg_backend_pid() = {pid} THEN {limits} END
"""


class Opened(NamedTuple):
    """A connection to a server that takes writes.

    `is_pooled`: something like PgBouncer stands in between, and may give each transaction another connection to the
    server. Nothing of a session may be relied on then: settings, prepared statements, LISTEN.
    """

    connection: "asyncpg.Connection[Any]"
    is_pooled: bool


class TakesNoWrites(ConnectionError):
    """The server was reached and refuses writes: a standby, or a primary that was demoted."""


class NoneTakesWrites(ConnectionError):
    """Several servers are named, and none of them could be used. The message says of each why."""


class Limits(NamedTuple):
    """How long to wait for a connection, and for a statement; None leaves statements to the server's settings."""

    connect_s: float
    statement_s: float | None

    @property
    def settings(self) -> dict[str, str]:
        """What the server ends by itself. A live server ends a slow statement a little before we would: only a silent
        one costs us the connection. It also ends what a frozen or vanished client left open."""
        if self.statement_s is None:
            return {}
        statement_ms = int(self.statement_s * 900)
        return {
            "statement_timeout": str(statement_ms),
            "idle_in_transaction_session_timeout": str(2 * statement_ms),
        }

    def set_by(self, *, local: bool) -> str:
        """An expression that sets them, for the transaction only or for the session."""
        calls = [f"set_config('{name}', '{value}', {str(local).lower()})" for name, value in self.settings.items()]
        return " || ".join(calls) or "NULL"


class WritableServer:
    """Whichever server of those that a DSN names takes writes now."""

    def __init__(self, dsn: PostgresDsn, limits: Limits) -> None:
        """Raises StoreMisconfigured for a certificate or a key that cannot be read."""
        self.dsn = dsn
        connect_s = limits.connect_s if dsn.connect_timeout_s is None else dsn.connect_timeout_s
        self.limits = limits._replace(connect_s=connect_s)
        self.connects_within_s = connect_s + STAGGER_S * (len(dsn.hosts) - 1)
        """The longest that `connect` takes."""
        self._tls = _tls(dsn.tls)
        self._last = dsn.hosts[0]
        if dsn.binds_channel:
            _warn_of_channel_binding()

    async def connect(self) -> Opened:
        """A connection to the server that takes writes, at the latest after `connects_within_s`.

        With several hosts the one that was writable last is asked first, the next as soon as one failed or was silent
        for a moment. Raises the driver's own errors, TakesNoWrites and NoneTakesWrites.
        """
        hosts = sorted(self.dsn.hosts, key=lambda host: host != self._last)
        if len(hosts) == 1:
            return await self._reach(hosts[0])
        host, opened = await self._first_writable(hosts)
        self._last = host
        return opened

    async def _first_writable(self, hosts: list[Host]) -> tuple[Host, Opened]:
        tries: dict[asyncio.Task[Opened], Host] = {}
        errors: dict[Host, Exception] = {}
        untried = list(hosts)
        try:
            while untried or tries:
                if untried:
                    host = untried.pop(0)
                    tries[asyncio.ensure_future(self._reach(host))] = host
                patience_s = STAGGER_S if untried else None
                done, _ = await asyncio.wait(tries, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
                for ended in done:
                    host = tries.pop(ended)
                    try:
                        return host, ended.result()
                    except DRIVER_ERRORS as error:
                        errors[host] = error
            raise _of_all(errors)
        finally:
            for losing in tries:
                losing.add_done_callback(_let_go)
                losing.cancel()

    async def _reach(self, host: Host) -> Opened:
        settings = {"application_name": self.dsn.application_name, "timezone": "UTC"}
        if self.dsn.options:
            settings["options"] = self.dsn.options
        async with asyncio.timeout(self.limits.connect_s):
            connection: asyncpg.Connection[Any] = await asyncpg.connect(
                host=host.name,
                port=host.port,
                user=self.dsn.user,
                password=self.dsn.password,
                database=self.dsn.database,
                ssl=self._tls,
                direct_tls=self.dsn.tls.direct or None,
                command_timeout=self.limits.statement_s,
                # Statements are prepared, and their names chosen, by whoever knows whether the session is ours alone.
                statement_cache_size=0,
                # Only what poolers pass on. PgBouncer 1.18 refuses a connection that names any other.
                server_settings=settings,
            )
            try:
                return Opened(connection, await self._looked_at(connection, host))
            except BaseException:
                connection.terminate()
                raise

    async def _looked_at(self, connection: "asyncpg.Connection[Any]", host: Host) -> bool:
        """Whether something stands in between: then the process that serves us is not the one that we were told of
        at the start. In a transaction, because there even a pooler keeps to one server."""
        asked = _ASKED.format(pid=connection.get_server_pid(), limits=self.limits.set_by(local=False))
        await connection.execute("BEGIN")
        refuses_writes, is_pooled, _ = await connection.fetchrow(asked)
        await connection.execute("COMMIT")
        if refuses_writes:
            raise TakesNoWrites(f"the server {host} takes no writes: it is a standby, or was made read-only")
        return bool(is_pooled)


async def still_writable(connection: "asyncpg.Connection[Any]", *, timeout_s: float) -> bool:
    """Whether the server that this connection leads to takes writes, asked on a connection that is not pooled."""
    asked = "SELECT current_setting('transaction_read_only') = 'off'"
    return bool(await connection.fetchval(asked, timeout=timeout_s))


def _let_go(losing: "asyncio.Task[Opened]") -> None:
    """Close the connection of a try that came in second."""
    if not losing.cancelled() and losing.exception() is None:
        losing.result().connection.terminate()


def _of_all(errors: dict[Host, Exception]) -> Exception:
    """One error for all; one that waiting may cure, unless none of them is."""
    curable = [error for error in errors.values() if not beyond_waiting(error)]
    if not curable:
        return next(iter(errors.values()))
    each = "; ".join(f"{host}: {said(error)}" for host, error in errors.items())
    return NoneTakesWrites(f"none of the servers takes writes ({each})")


def _tls(wish: TlsWish) -> ssl.SSLContext | str | bool | None:
    """What asyncpg takes: a context where encryption must be had, else its word for how much it is wished for."""
    if not wish.must_be_had:
        return False if wish.mode == "disable" else wish.mode
    try:
        return _context(wish)
    except (OSError, ValueError) as error:
        # An OSError of ssl does not say which file it was.
        files = ", ".join(filter(None, (wish.root_cert, wish.cert, wish.key, wish.revoked)))
        why = getattr(error, "strerror", None) or error
        raise StoreMisconfigured(f"the certificates for the database cannot be read ({files}): {why}") from error


def _context(wish: TlsWish) -> ssl.SSLContext:
    root = wish.root_cert or os.environ.get("PGSSLROOTCERT") or _root_at_home()
    verifies = wish.mode != "require" or root is not None  # as libpq: a named CA is not for nothing
    # Without any, the system's: libpq 16 calls that sslrootcert=system.
    context = ssl.create_default_context(cafile=None if root == "system" else root)
    context.check_hostname = wish.mode == "verify-full"
    if not verifies:
        context.verify_mode = ssl.CERT_NONE
    if wish.revoked is not None:
        context.load_verify_locations(wish.revoked)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    if wish.cert is not None:
        context.load_cert_chain(wish.cert, wish.key, lambda: wish.key_password or "")
    context.set_alpn_protocols(["postgresql"])  # what a server asks for when TLS comes first (PostgreSQL 17)
    return context


def _root_at_home() -> str | None:
    path = Path("~/.postgresql/root.crt").expanduser()
    return str(path) if path.is_file() else None


@cache
def _warn_of_channel_binding() -> None:
    log.warning(
        "The database URL's channel_binding=require cannot be had from this driver and is left out;"
        " sslmode=verify-full protects from somebody in the middle"
    )
