"""By which proxies sessions go out, on every store."""

from fleets import A, placed_account

from homing.model.fleet import SessionId, SessionStatus
from homing.model.sessions.exit_proxies import KeptExitProxy, SealedExitProxy
from homing.ports import AccountChanges
from homing.store.db.database import Database
from homing.store.directory.directory import SqlDirectory
from homing.store.directory.exit_proxies import SqlExitProxies

PROXY = SealedExitProxy("sealed-words", "http://***@p.example:8080", "0123456789abcdef")


async def test_an_account_keeps_its_proxy_and_shows_only_what_may_be_seen(
    directory: SqlDirectory, database: Database
) -> None:
    account = await placed_account(directory, 1)
    await placed_account(directory, 2)
    proxies = SqlExitProxies(database)
    await directory.change_account(account, AccountChanges(exit_proxy=PROXY))
    [kept] = (await proxies.of([account.session_id, SessionId("session-2"), SessionId("nobody")])).items()
    assert kept == (account.session_id, KeptExitProxy(account.uuid, PROXY))
    shown = await directory.account(None, id=account.id)
    assert shown is not None
    assert shown.exit_proxy == PROXY.shown
    assert "sealed-words" not in repr(shown)
    await directory.change_account(shown, AccountChanges(exit_proxy=None))
    assert await proxies.of([account.session_id]) == {}


async def test_the_sessions_that_go_out_by_a_proxy_are_those_that_are_up(
    directory: SqlDirectory, database: Database
) -> None:
    proxies = SqlExitProxies(database)
    for number, status in ((1, SessionStatus.CONNECTED), (2, SessionStatus.STOPPED)):
        account = await placed_account(directory, number)
        await directory.set_status(account.session_id, status)
        await directory.change_account(account, AccountChanges(exit_proxy=PROXY))
    found = await proxies.uses()
    assert [(each.session_id, each.out, each.instance_url) for each in found] == [
        ("session-1", True, A),
        ("session-2", False, A),
    ]
