"""An instance's word is followed by a look, and only what the look shows changes anything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from homing.decide.reports.hints import Hint
from homing.flows.discovery.listings import Lists
from homing.flows.sending.own_messages import Said
from homing.flows.webhooks.hints import Hints
from homing.model.fleet import Account, Capabilities, Epoch, InstanceUrl, MoveKind, Rebinding, SessionId, SessionStatus
from homing.model.instances.events import DeliveryEvidence
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Sent
from homing.ports import Page, StoreUnavailable
from tests.flows.worlds import OURS, PLAIN, A, B, Bench, C, Misfortune, W, bench

pytestmark = pytest.mark.virtual

SETTLED_S = 10.0


@asynccontextmanager
async def hinting(*urls: InstanceUrl, can: Capabilities = OURS) -> AsyncIterator[tuple[Bench, Hints]]:
    async with bench(*urls, can=can) as it:
        hints = Hints(it.directory, Lists(it.world, it.clock), it.clock, it.entropy, it.tally, it.news)
        running = asyncio.create_task(hints.run())
        try:
            yield it, hints
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def lists(it: Bench) -> dict[InstanceUrl, int]:
    return {url: instance.lists for url, instance in it.world.instances.items()}


async def status(it: Bench, account: Account) -> SessionStatus:
    found = await it.directory.account(W, uuid=account.uuid)
    assert found is not None
    return found.status


@pytest.mark.parametrize("can", [OURS, PLAIN])
async def test_a_session_that_is_ready_elsewhere_is_moved_at_once(can: Capabilities) -> None:
    async with hinting(A, B, C, can=can) as (it, hints):
        account = await it.account(A, held=False)
        it.world.hold(B, account.session_id, epoch=2)
        hints.offer(Hint(account.session_id, "session_ready", B))
        await it.clock.sleep(0.1)
        placement = await it.placement(account)
        assert (placement.instance_url, placement.epoch) == (B, 2)
        [move, *_] = await it.directory.moves(W, Page())
        assert move.kind is MoveKind.REDISCOVERY
        assert move.reason == "session_ready from http://b:3001: found on http://b:3001; http://a:3001 does not have it"
        assert it.tally.moves == [(MoveKind.REDISCOVERY, 1)]
        assert lists(it) == {A: 1, B: 1, C: 0}


async def test_the_route_is_dropped_by_the_move() -> None:
    async with hinting(A, B) as (it, hints):
        account = await it.account(A)
        await it.route(account)
        it.world.lose(A)
        it.world.hold(B, account.session_id, epoch=2)
        hints.offer(Hint(account.session_id, "session_ready", B))
        await it.clock.sleep(3)
        assert (await it.route(account)).placement.instance_url == B
        outcome = await it.send(account)
        assert isinstance(outcome, Sent)
        assert outcome.attempts == 1


@pytest.mark.parametrize(("can", "url"), [(OURS, A), (OURS, B), (PLAIN, A), (PLAIN, B)])
async def test_sends_that_wait_go_out_as_soon_as_their_session_is_heard_of(can: Capabilities, url: InstanceUrl) -> None:
    """Left alone they would look once a second by then."""
    async with hinting(A, B, can=can) as (it, hints):
        account = await it.account(A, held=False)
        sends = [asyncio.create_task(it.send(account, f"waiting {number}")) for number in range(20)]
        await it.clock.sleep(3.05)
        it.world.hold(url, account.session_id, epoch=2)
        hints.offer(Hint(account.session_id, "session_ready", url))
        began_s = it.clock.monotonic()
        outcomes = await asyncio.gather(*sends)
        assert it.clock.monotonic() - began_s < 0.2
        assert {outcome.instance_url for outcome in outcomes if isinstance(outcome, Sent)} == {url}
        assert [it.world.said(f"waiting {number}") for number in range(20)] == [1] * 20


async def test_a_late_word_of_an_instance_that_lost_the_session_changes_nothing() -> None:
    async with hinting(A, B) as (it, hints):
        account = await it.account(A, epoch=4)
        before = await it.directory.account(W, uuid=account.uuid)
        for kind in ("session_ready", "session_disconnected", "session_error"):
            hints.offer(Hint(account.session_id, kind, B))
            await it.clock.sleep(SETTLED_S)
        after = await it.directory.account(W, uuid=account.uuid)
        assert after is not None
        assert before is not None
        assert (after.placement, after.status) == (before.placement, before.status)
        assert len(await it.directory.moves(W, Page())) == 1


async def test_an_older_epoch_is_not_adopted_whatever_its_holder_says() -> None:
    async with hinting(A, B) as (it, hints):
        account = await it.account(A, epoch=5)
        it.world.lose(A)
        it.world.hold(B, account.session_id, epoch=3)
        hints.offer(Hint(account.session_id, "session_ready", B))
        await it.clock.sleep(SETTLED_S)
        assert (await it.placement(account)).instance_url == A


async def test_a_list_that_lags_behind_the_word_is_read_again_for_a_while() -> None:
    async with hinting(A, B) as (it, hints):
        account = await it.account(A, held=False)
        asyncio.get_running_loop().call_later(2.0, lambda: it.world.hold(B, account.session_id, epoch=2))
        hints.offer(Hint(account.session_id, "session_ready", B))
        await it.clock.sleep(SETTLED_S)
        assert (await it.placement(account)).instance_url == B
        assert lists(it)[B] == 4


async def test_what_never_comes_true_is_left_to_the_sync() -> None:
    async with hinting(A, B) as (it, hints):
        account = await it.account(A)
        hints.offer(Hint(account.session_id, "session_ready", B))
        await it.clock.sleep(600)
        assert lists(it) == {A: 4, B: 4}


async def test_what_happens_at_home_becomes_the_status() -> None:
    async with hinting(A, B) as (it, hints):
        account = await it.account(A)
        it.world.hold(A, account.session_id, status=SessionStatus.DISCONNECTED)
        hints.offer(Hint(account.session_id, "session_disconnected", A))
        await it.clock.sleep(1)
        assert await status(it, account) is SessionStatus.DISCONNECTED
        assert lists(it) == {A: 1, B: 0}
        it.world.hold(A, account.session_id)
        hints.offer(Hint(account.session_id, "session_reconnected", A))
        await it.clock.sleep(1)
        assert await status(it, account) is SessionStatus.CONNECTED
        found = await it.directory.account(W, uuid=account.uuid)
        assert found is not None
        assert found.last_verified_at is not None
        assert (it.clock.now() - found.last_verified_at).total_seconds() < 2


async def test_a_stop_that_somebody_asked_for_stays_one() -> None:
    async with hinting(A) as (it, hints):
        account = await it.account(A)
        await it.directory.set_status(account.session_id, SessionStatus.STOPPED)
        it.world.hold(A, account.session_id, status=SessionStatus.DISCONNECTED)
        hints.offer(Hint(account.session_id, "session_disconnected", A))
        await it.clock.sleep(SETTLED_S)
        assert await status(it, account) is SessionStatus.STOPPED


async def test_a_session_in_quarantine_is_followed_nowhere() -> None:
    async with hinting(A, B) as (it, hints):
        account = await it.account(A, held=False)
        await it.directory.set_status(account.session_id, SessionStatus.QUARANTINED)
        it.world.hold(B, account.session_id, epoch=9)
        hints.offer(Hint(account.session_id, "session_ready", B))
        await it.clock.sleep(SETTLED_S)
        assert (await it.placement(account)).instance_url == A
        assert await status(it, account) is SessionStatus.QUARANTINED
        assert lists(it) == {A: 1, B: 1}


async def test_a_stop_that_somebody_asks_for_while_we_look_stays_one() -> None:
    async with hinting(A) as (it, hints):
        account = await it.account(A)
        it.world.hold(A, account.session_id, status=SessionStatus.DISCONNECTED)
        it.world.instances[A].list_takes_s = 1
        hints.offer(Hint(account.session_id, "session_disconnected", A))
        await it.clock.sleep(0.5)
        await it.directory.set_status(account.session_id, SessionStatus.STOPPED)
        await it.clock.sleep(SETTLED_S)
        assert await status(it, account) is SessionStatus.STOPPED


async def test_a_silent_holder_does_not_keep_a_session_from_its_new_place() -> None:
    async with hinting(A, B) as (it, hints):
        account = await it.account(A)
        it.world.instances[A].list_takes_s = 99
        it.world.hold(B, account.session_id, epoch=2)
        hints.offer(Hint(account.session_id, "session_ready", B))
        await it.clock.sleep(3)
        assert (await it.placement(account)).instance_url == B


async def test_two_that_both_claim_it_are_not_settled_by_the_one_that_speaks() -> None:
    async with hinting(A, B, can=PLAIN) as (it, hints):
        account = await it.account(A)
        it.world.hold(B, account.session_id)
        hints.offer(Hint(account.session_id, "session_ready", B))
        await it.clock.sleep(SETTLED_S)
        assert (await it.placement(account)).instance_url == A


async def test_a_thousand_hints_at_once_ask_each_instance_a_handful_of_times() -> None:
    async with hinting(A, B, C) as (it, hints):
        accounts = [await it.account(A, held=False) for _ in range(1000)]
        for account in accounts:
            it.world.hold(B, account.session_id, epoch=2)
            hints.offer(Hint(account.session_id, "session_ready", B))
        await it.clock.sleep(SETTLED_S)
        assert len(await it.directory.placed_on(B)) == 1000
        assert max(lists(it).values()) <= 3


async def test_hints_that_come_close_together_share_their_looks() -> None:
    async with hinting(A, B) as (it, hints):
        for _ in range(100):
            account = await it.account(A, held=False)
            it.world.hold(B, account.session_id, epoch=2)
            hints.offer(Hint(account.session_id, "session_ready", B))
            await it.clock.sleep(0.001)
        await it.clock.sleep(SETTLED_S)
        assert len(await it.directory.placed_on(B)) == 100
        assert max(lists(it).values()) <= 10


async def test_a_newer_word_counts_for_more_than_waiting_for_an_older_one() -> None:
    async with hinting(A, B, C) as (it, hints):
        account = await it.account(A, held=False)
        hints.offer(Hint(account.session_id, "session_ready", B))
        await it.clock.sleep(0.51)
        it.world.hold(C, account.session_id, epoch=2)
        hints.offer(Hint(account.session_id, "session_ready", C))
        await it.clock.sleep(SETTLED_S)
        assert (await it.placement(account)).instance_url == C


@pytest.mark.parametrize("left", ["session_disconnected", "session_status_changed"])
@pytest.mark.parametrize("between_s", [0.0, 0.51])
async def test_who_tells_that_it_came_is_asked_although_another_one_tells_that_it_left(
    left: str, between_s: float
) -> None:
    async with hinting(A, B) as (it, hints):
        account = await it.account(A, held=False)
        if between_s == 0.0:
            it.world.hold(B, account.session_id, epoch=2)
        hints.offer(Hint(account.session_id, "session_ready", B))
        await it.clock.sleep(between_s)
        it.world.hold(B, account.session_id, epoch=2)
        hints.offer(Hint(account.session_id, left, A))
        await it.clock.sleep(SETTLED_S)
        assert (await it.placement(account)).instance_url == B


async def test_an_arrival_whose_list_is_behind_is_waited_for_although_the_departure_is_told_after_it() -> None:
    async with hinting(A, B) as (it, hints):
        account = await it.account(A, held=False)
        hints.offer(Hint(account.session_id, "session_ready", B))
        hints.offer(Hint(account.session_id, "session_disconnected", A))
        await it.clock.sleep(0.1)
        it.world.hold(B, account.session_id, epoch=2)
        await it.clock.sleep(SETTLED_S)
        assert (await it.placement(account)).instance_url == B


async def test_many_words_of_one_session_are_one_look() -> None:
    async with hinting(A) as (it, hints):
        account = await it.account(A)
        for kind in ("session_authenticated", "session_ready", "session_status_changed") * 50:
            hints.offer(Hint(account.session_id, kind, A))
        await it.clock.sleep(SETTLED_S)
        assert lists(it) == {A: 1}


async def test_a_hint_without_a_sender_looks_where_the_session_should_be() -> None:
    async with hinting(A, B) as (it, hints):
        account = await it.account(A)
        it.world.hold(A, account.session_id, status=SessionStatus.PAIRING)
        hints.offer(Hint(account.session_id, "session_disconnected", None))
        await it.clock.sleep(1)
        assert await status(it, account) is SessionStatus.PAIRING
        assert lists(it) == {A: 1, B: 0}


async def test_a_stranger_is_never_called() -> None:
    async with hinting(A) as (it, hints):
        account = await it.account(A)
        hints.offer(Hint(account.session_id, "session_ready", InstanceUrl("http://evil.example")))
        hints.offer(Hint(SessionId("nobody's"), "session_ready", A))
        await it.clock.sleep(SETTLED_S)
        assert (await it.placement(account)).instance_url == A


async def test_a_hint_waits_for_a_store_that_is_away() -> None:
    async with hinting(A, B) as (it, hints):
        account = await it.account(A, held=False)
        it.world.hold(B, account.session_id, epoch=2)
        real = it.directory.accounts_of

        async def away(_: object) -> list[Account]:
            raise StoreUnavailable("away")

        it.directory.accounts_of = away  # type: ignore[method-assign]
        hints.offer(Hint(account.session_id, "session_ready", B))
        await it.clock.sleep(60)
        it.directory.accounts_of = real  # type: ignore[method-assign]
        await it.clock.sleep(SETTLED_S)
        assert (await it.placement(account)).instance_url == B


async def test_a_change_that_was_overtaken_is_looked_at_again() -> None:
    async with hinting(A, B, C) as (it, hints):
        account = await it.account(A, held=False)
        it.world.hold(B, account.session_id, epoch=3)
        it.world.instances[B].list_takes_s = 1
        hints.offer(Hint(account.session_id, "session_status_changed", B))
        await it.clock.sleep(0.5)
        assert await it.directory.rebind([Rebinding(account.placement, C, Epoch(2), MoveKind.REHOME, "meanwhile")])
        await it.clock.sleep(SETTLED_S)
        assert (await it.placement(account)).instance_url == B


# --- what we said ourselves ---


async def test_our_own_message_is_known_while_it_is_sent_and_afterwards() -> None:
    async with bench(A, can=PLAIN) as it:
        said = Said()
        it.sending._said = said
        account = await it.account(A)
        words = DeliveryEvidence("message_sent", account.session_id, "its-own-id", "62811111111", "hello")
        assert not said.explains(words)
        it.world.instances[A].misfortunes.append(Misfortune(Fault(Phase.REPLY_TIMED_OUT), after_s=5))
        sending = asyncio.create_task(it.send(account))
        await it.clock.sleep(1)
        assert said.explains(words)
        await sending
        assert not said.explains(words)
        outcome = await it.send(account)
        assert isinstance(outcome, Sent)
        await it.clock.sleep(0.001)  # who hears of sends is told behind their answers
        assert said.explains(
            DeliveryEvidence("message_sent", account.session_id, outcome.receipt.message_id, None, "hello")
        )
        assert not said.explains(words)
