"""An instance that claims a session of the vault under an invented epoch gets neither it nor its messages."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from vault_fleet import Fleet, fleet
from worlds import A, B

from homing.decide.reports.hints import Hint
from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.discovery.listings import Lists
from homing.flows.discovery.rediscover import Rediscovery
from homing.flows.discovery.sync import Sync
from homing.flows.webhooks.hints import Hints
from homing.model.alerts import FLEET, AlertKind, Subject
from homing.model.fleet import Account, InstanceUrl
from homing.model.sends.sending import Found, Nowhere

pytestmark = pytest.mark.virtual

LIAR = InstanceUrl("http://localhost:3009")


@asynccontextmanager
async def claimed(epoch: int = 99) -> AsyncIterator[tuple[Fleet, Account, AlertBook]]:
    """A session that the vault granted to A, and that another instance claims as well."""
    async with fleet(A, B, LIAR) as it:
        [account] = await it.accounts(1, A)
        it.made.world.hold(LIAR, account.session_id, epoch=epoch)
        yield it, account, AlertBook(Unkept(), it.made.clock)


def looking(it: Fleet, alerts: AlertBook) -> Rediscovery:
    made = it.made
    lists = Lists(made.world, made.clock)
    return Rediscovery(made.directory, lists, made.clock, made.entropy, made.tally, alerts=alerts)


def syncing(it: Fleet, alerts: AlertBook) -> Sync:
    made = it.made
    return Sync(made.directory, Lists(made.world, made.clock), made.clock, made.entropy, made.tally, book=alerts)


def false_claims(alerts: AlertBook) -> list[str]:
    return [alert.reason for alert in alerts.standing() if alert.kind is AlertKind.FALSE_CLAIM]


async def test_when_the_holder_dies_the_liar_gets_nothing() -> None:
    async with claimed() as (it, account, alerts):
        before = account.placement
        it.made.world.lose(A)
        found = await looking(it, alerts).look(await it.made.route(account))
        assert isinstance(found.finding, Nowhere)
        await it.made.send(account, "for the holder alone")
        await syncing(it, alerts).run()
        assert it.made.world.ledger == []
        assert it.made.world.instances[LIAR].sends == 0
        assert await it.made.placement(account) == before
        assert "claims it under epoch 99" in false_claims(alerts)[0]
        assert LIAR in false_claims(alerts)[0]


async def test_a_hint_of_the_liar_leads_nowhere_and_is_an_alert() -> None:
    async with claimed() as (it, account, alerts):
        made = it.made
        made.world.lose(A)
        hints = Hints(made.directory, Lists(made.world, made.clock), made.clock, made.entropy, made.tally, book=alerts)
        following = asyncio.create_task(hints.run())
        hints.offer(Hint(account.session_id, "session_ready", LIAR))
        await made.clock.sleep(1)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert await made.placement(account) == account.placement
        assert len(false_claims(alerts)) == 1


async def test_the_alert_stands_until_every_list_was_read_without_the_claim() -> None:
    async with claimed() as (it, account, alerts):
        look, sync = looking(it, alerts), syncing(it, alerts)
        await sync.run()
        assert len(false_claims(alerts)) == 1
        assert alerts.of(Subject.session(account.session_id))[0].kind is AlertKind.FALSE_CLAIM
        it.made.world.instances[LIAR].sessions.clear()
        it.made.world.lose(B)
        assert isinstance((await look.look(await it.made.route(account))).finding, Found)
        await sync.run(force=True)
        assert len(false_claims(alerts)) == 1, "a list that was not read proves nothing"
        it.made.world.instances[B].down = None
        await sync.run(force=True)
        assert false_claims(alerts) == []


async def test_a_holder_that_the_vault_lost_is_not_called_a_liar_while_commits_may_be_lost() -> None:
    async with claimed(epoch=7) as (it, account, alerts):
        alerts.raised(AlertKind.COMMITS_LOST, FLEET, "the database is another")
        await syncing(it, alerts).run()
        assert false_claims(alerts) == []
        assert await it.made.placement(account) == account.placement
