"""By which proxies sessions go out, as it is kept."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from homing.model.fleet import SessionId
from homing.model.sessions.exit_proxies import ExitProxy, ExitProxyUse, KeptExitProxy


class ExitProxies(Protocol):
    """What is kept of exit proxies. Raises StoreUnavailable from every method."""

    async def of(self, sessions: Collection[SessionId]) -> Mapping[SessionId, KeptExitProxy]:
        """Those of these sessions that have one."""
        ...

    async def uses(self) -> Sequence[ExitProxyUse]:
        """All placed sessions that have one."""
        ...


class KnowsExitProxies(Protocol):
    """Tells the opened proxy of a session that is about to be started."""

    async def of(self, sessions: Collection[SessionId]) -> Mapping[SessionId, ExitProxy | str]:
        """The proxies of those that have one, or why it cannot be told. Raises StoreUnavailable."""
        ...
