"""Which MySQL or MariaDB database is meant, and how it is reached."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

_SCHEMES = {"mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql"}
_OPTIONS = {"unix_socket", "ssl_ca", "ssl"}
_EXAMPLE = "mysql://user:password@host:3306/database"


@dataclass(frozen=True, slots=True)
class MysqlDsn:
    """One database. `shown` names it without the password, which stands nowhere else but in `password`.

    `tls`: an encrypted line or none at all; `ca_file`: and whoever answers proves with this authority who it is.
    """

    host: str
    port: int
    user: str
    database: str
    password: str = field(repr=False)
    socket: str | None = None
    tls: bool = False
    ca_file: str | None = None

    @property
    def shown(self) -> str:
        return f"mysql://{self.user}@{self.socket or f'{self.host}:{self.port}'}/{self.database}"


def read_dsn(text: str) -> MysqlDsn:
    """The database that is meant. Raises ValueError with a sentence that never has what was given in it."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port or 3306
    except ValueError:
        raise ValueError(f"The DSN is no URL; it is written {_EXAMPLE}, with %-escapes in the password") from None
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"The DSN must begin with mysql:// or mariadb://, as in {_EXAMPLE}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - _OPTIONS):
        raise ValueError(f"The DSN has no option {unknown[0][:40]!r}; there are {', '.join(sorted(_OPTIONS))}")
    database = unquote(parts.path.lstrip("/"))
    if not database or "/" in database:
        raise ValueError(f"The DSN must name one database behind the host, as in {_EXAMPLE}")
    ca_file = options.get("ssl_ca")
    if ca_file is not None and not Path(ca_file).is_file():
        raise ValueError(f"The DSN's ssl_ca names {ca_file[:200]}, and there is no such file")
    return MysqlDsn(
        host=parts.hostname or "localhost",
        port=port,
        user=unquote(parts.username or ""),
        database=database,
        password=unquote(parts.password or ""),
        socket=options.get("unix_socket"),
        tls=ca_file is not None or options.get("ssl", "").lower() in ("1", "true", "required"),
        ca_file=ca_file,
    )
