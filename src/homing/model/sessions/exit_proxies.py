"""Exit proxies: by which address a session reaches WhatsApp, wherever it is opened."""

from dataclasses import dataclass, field
from urllib.parse import quote

from homing.model.fleet import AccountUuid, InstanceUrl, SessionId


@dataclass(frozen=True, slots=True)
class ExitProxy:
    """The proxy through which an account's session goes out. `scheme` is `http`, `https` or `socks5`."""

    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def server(self) -> str:
        """Its address without who asks: `http://host:port`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def url(self) -> str:
        """With the login, as gateways take it that want one address. Secret."""
        if self.username is None:
            return self.server
        login = quote(self.username, safe="") + (f":{quote(self.password, safe='')}" if self.password else "")
        return self.server.replace("://", f"://{login}@", 1)

    @property
    def shown(self) -> str:
        """As people may see it: its login is masked."""
        return self.server if self.username is None else self.server.replace("://", "://***@", 1)


@dataclass(frozen=True, slots=True)
class SealedExitProxy:
    """An exit proxy at rest. `name` is the same for all accounts that leave by the same address and login."""

    sealed: str = field(repr=False)
    shown: str
    name: str


@dataclass(frozen=True, slots=True)
class KeptExitProxy:
    """A sealed exit proxy, and the account that it was sealed for."""

    account_uuid: AccountUuid
    proxy: SealedExitProxy


@dataclass(frozen=True, slots=True)
class ExitProxyUse:
    """A session that goes out by a proxy, and the instance where it is placed. `out`: it is connected, or on its way
    up."""

    session_id: SessionId
    name: str
    shown: str
    instance_url: InstanceUrl
    out: bool
