"""What a PostgreSQL URL says, as providers and `libpq` write it: servers, who asks, and how the line is protected.

The parameters are those of libpq (PostgreSQL 17, section 34.1.2), as far as they concern us. One that we do not know is
refused by its name: ignored, it would be found out about when it is needed.
"""

import re
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import quote, unquote

from homing.store.db.database import StoreMisconfigured

DEFAULT_PORT = 5432
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SSL_WORDS = {"true": "require", "false": "disable", "on": "require", "off": "disable"}
_WRITABLE = {"any", "read-write", "primary"}
_READING = {"read-only", "standby", "prefer-standby"}

_UNDERSTOOD = {
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "options",
    "password",
    "pgbouncer",
    "port",
    "ssl",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "target_session_attrs",
    "user",
}
_OF_NO_CONSEQUENCE = {
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "sslcompression",
    "sslsni",
    "tcp_user_timeout",
}
"""Parameters that ask for nothing that we would have to do: there are limits of our own on every wait."""

_URL = re.compile(
    r"[a-z+]+://(?:(?P<user>[^:/@]*)(?::(?P<password>[^@]*))?@)?"
    r"(?P<hosts>[^/?]*)(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class TlsWish:
    """How the line to the server is to be protected. `mode` is libpq's `sslmode`; None leaves it to PGSSLMODE."""

    mode: str | None = None
    root_cert: str | None = None
    cert: str | None = None
    key: str | None = None
    key_password: str | None = field(default=None, repr=False)
    revoked: str | None = None
    direct: bool = False

    @property
    def must_be_had(self) -> bool:
        return self.mode in ("require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class Host:
    """One server: a name or an address with its port, or the folder of a socket. Without a name, the usual one."""

    name: str | None
    port: int

    def __str__(self) -> str:
        if self.name is None:
            return "the usual socket"
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class PostgresDsn:
    """One PostgreSQL database, and the servers of which one at a time takes its writes."""

    hosts: tuple[Host, ...]
    database: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: TlsWish = TlsWish()
    connect_timeout_s: float | None = None
    application_name: str = "homing"
    options: str = ""
    binds_channel: bool = False
    """`channel_binding=require`, which the driver cannot do (asyncpg 0.32: SCRAM-SHA-256 without PLUS)."""

    def __str__(self) -> str:
        """For people: never with the password."""
        user = "" if self.user is None else quote(self.user) + (":***" if self.password else "") + "@"
        hosts = ",".join(str(host) for host in self.hosts if host.name is not None)
        return f"postgresql://{user}{hosts}/{self.database}"


def read_dsn(url: str) -> PostgresDsn:
    """The database that the URL names. Raises StoreMisconfigured with one sentence, which holds no secret."""
    match = _URL.fullmatch(url)
    if match is None:
        _refuse("cannot be read; write postgresql://user:password@host:5432/name")
    given = _query(match["query"] or "")
    if "@" in (match["hosts"] or ""):
        _refuse("has an @ too many; in a user's name or a password it is written %40")
    database = unquote(match["database"] or "") or given.get("dbname", "")
    if not database:
        _refuse("names no database; expected sqlite:///path/to/file or postgresql://user@host/name")
    _check_attributes(given)
    return PostgresDsn(
        hosts=_hosts(match["hosts"] or "", given),
        database=database,
        user=unquote(match["user"] or "") or given.get("user") or None,
        password=unquote(match["password"]) if match["password"] else given.get("password") or None,
        tls=_tls(given),
        connect_timeout_s=_seconds(given.get("connect_timeout")),
        application_name=given.get("application_name") or "homing",
        options=given.get("options", ""),
        binds_channel=_binds_channel(given),
    )


def _query(text: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, _, value = part.partition("=")
        given[unquote(name)] = unquote(value)
    unknown = sorted(given.keys() - _UNDERSTOOD - _OF_NO_CONSEQUENCE)
    if unknown:
        known = ", ".join(sorted(_UNDERSTOOD))
        _refuse(f"has the parameter {unknown[0][:60]!r}, which Homing does not know; it knows {known}")
    return given


def _hosts(authority: str, given: dict[str, str]) -> tuple[Host, ...]:
    named = [part for part in (given.get("host") or authority).split(",") if part]
    ports = given.get("port", "").split(",") if given.get("port") else []
    if len(ports) > 1 and len(ports) != len(named):
        _refuse(f"names {len(named)} hosts and {len(ports)} ports; give one port for all, or one for each")
    found = []
    for number, part in enumerate(named):
        name, own_port = _host(part)
        port = ports[number if len(ports) > 1 else 0] if ports else own_port
        found.append(Host(name, _port(port)))
    return tuple(found) or (Host(None, _port(ports[0] if ports else "")),)


def _host(part: str) -> tuple[str, str]:
    """The name and the port in `name`, `name:port`, `[address]:port` or a folder."""
    part = unquote(part)
    if part.startswith("/"):
        return part, ""
    if part.startswith("["):
        name, bracket, rest = part[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            _refuse("has an IPv6 address that cannot be read; it is written [::1]:5432")
        return name, rest[1:]
    if part.count(":") > 1:
        _refuse("has an IPv6 address without brackets; it is written [::1]:5432")
    name, _, port = part.partition(":")
    return name, port


def _port(text: str) -> int:
    if not text:
        return DEFAULT_PORT
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65_535):
        _refuse("has a port that is no number from 1 to 65535; an @, / or : in a password has to be percent-encoded")
    return int(text)


def _tls(given: dict[str, str]) -> TlsWish:
    mode = given.get("sslmode") or given.get("ssl") or None
    mode = _SSL_WORDS.get(mode.lower(), mode) if mode else None
    if mode is not None and mode not in SSL_MODES:
        _refuse(f"has the sslmode {mode[:40]!r}; it is one of {', '.join(SSL_MODES)}")
    negotiation = given.get("sslnegotiation", "postgres")
    if negotiation not in ("postgres", "direct"):
        _refuse("has an sslnegotiation other than postgres or direct")
    return TlsWish(
        mode=mode,
        root_cert=given.get("sslrootcert") or None,
        cert=given.get("sslcert") or None,
        key=given.get("sslkey") or None,
        key_password=given.get("sslpassword") or None,
        revoked=given.get("sslcrl") or None,
        direct=negotiation == "direct",
    )


def _seconds(text: str | None) -> float | None:
    """libpq takes 0 as no limit; we always have one, our own."""
    if text is None or text in ("", "0"):
        return None
    if not (text.isascii() and text.isdigit() and int(text[:6]) <= 60):
        _refuse("has a connect_timeout that is no number of seconds up to 60")
    return float(text)


def _check_attributes(given: dict[str, str]) -> None:
    wanted = given.get("target_session_attrs") or "any"
    if wanted in _READING:
        _refuse(f"asks for target_session_attrs={wanted}, but Homing writes: leave it out, or ask for read-write")
    if wanted not in _WRITABLE:
        _refuse(f"has target_session_attrs={wanted[:40]!r}; it is one of {', '.join(sorted(_WRITABLE))}")


def _binds_channel(given: dict[str, str]) -> bool:
    wanted = given.get("channel_binding") or "prefer"
    if wanted not in ("disable", "prefer", "require"):
        _refuse("has a channel_binding other than disable, prefer or require")
    return wanted == "require"


def _refuse(why: str) -> NoReturn:
    raise StoreMisconfigured(f"the database URL {why}")
