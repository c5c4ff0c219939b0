"""By which proxies sessions go out, on a SQL database."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from homing.model.fleet import AccountUuid, InstanceUrl, SessionId, SessionStatus
from homing.model.sessions.exit_proxies import ExitProxyUse, KeptExitProxy, SealedExitProxy
from homing.store.db.database import Database
from homing.store.db.schema.tables import accounts, sessions
from homing.store.db.sql import chunks

_ASKED_AT_ONCE = 500
_OUT = frozenset({SessionStatus.CONNECTED.value, SessionStatus.STARTING.value, SessionStatus.PAIRING.value})
_WITH_ACCOUNTS = sessions.join(accounts, accounts.c.id == sessions.c.account_id)


class SqlExitProxies:
    """`ports.sessions.exit_proxies.ExitProxies` on SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, sessions_: Collection[SessionId]) -> Mapping[SessionId, KeptExitProxy]:
        found: dict[SessionId, KeptExitProxy] = {}
        for some in chunks(sorted(sessions_), _ASKED_AT_ONCE):
            asked = (
                select(
                    sessions.c.session_id,
                    accounts.c.uuid,
                    accounts.c.sealed_proxy,
                    accounts.c.proxy_shown,
                    accounts.c.proxy_name,
                )
                .select_from(_WITH_ACCOUNTS)
                .where(sessions.c.session_id.in_(some), accounts.c.sealed_proxy.is_not(None))
            )
            rows = await self._database.read(lambda c, asked=asked: c.execute(asked).all())  # type: ignore[misc]
            found |= {SessionId(row.session_id): _kept(row) for row in rows}
        return found

    async def uses(self) -> Sequence[ExitProxyUse]:
        asked = (
            select(
                sessions.c.session_id,
                sessions.c.instance_url,
                sessions.c.status,
                accounts.c.proxy_name,
                accounts.c.proxy_shown,
            )
            .select_from(_WITH_ACCOUNTS)
            .where(accounts.c.sealed_proxy.is_not(None), sessions.c.instance_url.is_not(None))
            .order_by(sessions.c.session_id)
        )
        rows = await self._database.read_aside(lambda c: c.execute(asked).all())
        return [_use(row) for row in rows]


def _kept(row: Any) -> KeptExitProxy:
    return KeptExitProxy(AccountUuid(row.uuid), SealedExitProxy(row.sealed_proxy, row.proxy_shown, row.proxy_name))


def _use(row: Any) -> ExitProxyUse:
    session, url = SessionId(row.session_id), InstanceUrl(row.instance_url)
    return ExitProxyUse(session, row.proxy_name, row.proxy_shown, url, row.status in _OUT)
