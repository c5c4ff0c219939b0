"""A message finds its session, once, or says why not."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from homing.decide.sending.recovery import SendPolicy
from homing.flows.discovery.rediscover import ROUNDS_PER_S
from homing.model.errors import Code
from homing.model.fleet import Epoch, MoveKind, Rebinding, SessionStatus
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import FailureCode, Found, NotSent, Sent, Unknown
from homing.ports import Page
from tests.flows.worlds import OURS, PLAIN, A, B, C, Misfortune, W, bench

pytestmark = pytest.mark.virtual


async def test_a_message_goes_through_the_instance_that_the_directory_names() -> None:
    async with bench(A, B) as it:
        account = await it.account(B)
        outcome = await it.send(account)
        assert isinstance(outcome, Sent)
        assert (outcome.instance_url, outcome.attempts, outcome.failover) == (B, 1, False)
        assert it.world.said("hello") == 1
        assert it.tally.looks == 0


async def test_a_session_started_elsewhere_is_found_and_the_map_corrected() -> None:
    async with bench(A, B, C) as it:
        account = await it.account(A)
        it.world.lose(A)
        it.world.hold(C, account.session_id, epoch=2)
        outcome = await it.send(account)
        assert isinstance(outcome, Sent)
        assert (outcome.instance_url, outcome.attempts, outcome.failover) == (C, 2, True)
        assert (await it.placement(account)).instance_url == C
        [move, *_] = await it.directory.moves(W, Page())
        assert (move.kind, move.from_url, move.to_url, move.epoch) == (MoveKind.REDISCOVERY, A, C, 2)
        assert move.reason.startswith("found on http://c:3001; http://a:3001 gave no list")
        assert it.world.said("hello") == 1


@pytest.mark.parametrize("phase", [Phase.REFUSED, Phase.CONNECT_TIMED_OUT, Phase.SESSION_NOT_FOUND, Phase.UNAVAILABLE])
async def test_every_safe_fault_of_the_place_leads_to_the_session(phase: Phase) -> None:
    async with bench(A, B, can=PLAIN) as it:
        account = await it.account(A, held=False)
        it.world.hold(B, account.session_id)
        it.world.instances[A].misfortunes.append(Misfortune(Fault(phase)))
        outcome = await it.send(account)
        assert isinstance(outcome, Sent)
        assert outcome.instance_url == B


async def test_a_send_that_our_own_limit_kept_back_is_made_once_there_is_room() -> None:
    async with bench(A, B) as it:
        account = await it.account(A)
        it.world.instances[A].misfortunes.extend([Misfortune(Fault(Phase.NOT_ATTEMPTED))] * 3)
        outcome = await it.send(account)
        assert isinstance(outcome, Sent)
        assert (outcome.instance_url, outcome.attempts, outcome.failover) == (A, 1, False)
        assert (it.tally.looks, it.world.doubted) == (0, [])


async def test_a_send_that_our_own_limit_keeps_back_to_the_end_says_so() -> None:
    async with bench(A, B) as it:
        account = await it.account(A)
        it.world.instances[A].misfortunes.extend([Misfortune(Fault(Phase.NOT_ATTEMPTED, "all in use"))] * 100)
        outcome = await it.send(account)
        assert isinstance(outcome, NotSent)
        assert (outcome.code, outcome.attempts) == (FailureCode.OVERLOADED, 0)
        assert "all in use" in outcome.reason


async def test_a_session_that_moved_while_our_own_limit_kept_its_send_back_is_followed() -> None:
    async with bench(A, B) as it:
        account = await it.account(A)
        it.world.instances[A].misfortunes.append(Misfortune(Fault(Phase.NOT_ATTEMPTED), after_s=2.0))
        sending = asyncio.create_task(it.send(account))
        await asyncio.sleep(1.0)
        placement = (await it.route(account)).placement
        it.world.lose(A)
        it.world.hold(B, account.session_id, epoch=2)
        await it.directory.rebind([Rebinding(placement, B, Epoch(2), MoveKind.REHOME, "moved")])
        await it.route(account)
        outcome = await sending
        assert isinstance(outcome, Sent)
        assert (outcome.instance_url, outcome.attempts, it.tally.looks) == (B, 1, 0)


@pytest.mark.parametrize("phase", [Phase.INTERRUPTED, Phase.REPLY_TIMED_OUT, Phase.SERVER_ERROR, Phase.BAD_GATEWAY])
@pytest.mark.parametrize("delivered", [True, False])
async def test_an_ambiguous_send_is_said_once_where_the_id_is_ours(phase: Phase, delivered: bool) -> None:
    async with bench(A, B) as it:
        account = await it.account(A)
        it.world.instances[A].misfortunes.append(Misfortune(Fault(phase), delivered))
        assert isinstance(await it.send(account), Sent)
        assert it.world.said("hello") == 1


@pytest.mark.parametrize("phase", [Phase.INTERRUPTED, Phase.REPLY_TIMED_OUT, Phase.SERVER_ERROR, Phase.REPLY_MALFORMED])
async def test_an_ambiguous_send_is_unknown_and_not_retried_where_the_id_is_not_ours(phase: Phase) -> None:
    async with bench(A, B, can=PLAIN) as it:
        account = await it.account(A)
        it.world.instances[A].misfortunes.append(Misfortune(Fault(phase), delivered=True))
        outcome = await it.send(account)
        assert isinstance(outcome, Unknown)
        assert it.world.instances[A].sends == 1
        assert it.world.said("hello") == 1


async def test_an_ambiguous_send_is_not_repeated_through_an_instance_that_makes_its_own_ids() -> None:
    async with bench(A, B) as it:
        account = await it.account(A)
        it.world.instances[A].misfortunes.append(Misfortune(Fault(Phase.INTERRUPTED), delivered=True))
        it.world.instances[A].sessions.clear()
        it.world.instances[B].can = PLAIN
        it.world.hold(B, account.session_id)
        outcome = await it.send(account)
        assert isinstance(outcome, Unknown)
        assert it.world.instances[B].sends == 0
        assert it.world.said("hello") == 1


@pytest.mark.parametrize("before", [0, 1], ids=["the first send there", "the way is known"])
async def test_a_taken_over_send_is_unknown_where_the_id_is_not_ours(before: int) -> None:
    async with bench(A, can=PLAIN) as it:
        account = await it.account(A)
        for _ in range(before):
            assert isinstance(await it.send(account), Sent)
        assert isinstance(await it.send(account, repeated=True), Unknown)
        assert it.world.instances[A].sends == before


async def test_a_hanging_instance_does_not_eat_the_deadline() -> None:
    async with bench(A, B) as it:
        account = await it.account(A)
        it.world.instances[A].misfortunes.append(Misfortune(Fault(Phase.REPLY_TIMED_OUT), after_s=99))
        it.world.instances[A].list_takes_s = 99
        it.world.instances[A].sessions.clear()
        it.world.hold(B, account.session_id, epoch=2)
        began_s = it.clock.monotonic()
        assert isinstance(await it.send(account), Sent)
        assert it.clock.monotonic() - began_s <= 7


async def test_a_session_that_is_starting_is_waited_for_and_not_moved() -> None:
    async with bench(A, B) as it:
        account = await it.account(A)
        it.world.hold(A, account.session_id, status=SessionStatus.STARTING)
        asyncio.get_running_loop().call_later(3.0, it.world.hold, A, account.session_id)
        outcome = await it.send(account)
        assert isinstance(outcome, Sent)
        assert (outcome.instance_url, outcome.failover) == (A, False)
        assert it.clock.monotonic() < 5


async def test_a_session_that_appears_within_the_deadline_is_reached() -> None:
    async with bench(A, B) as it:
        account = await it.account(A)
        it.world.lose(A)
        asyncio.get_running_loop().call_later(6.0, lambda: it.world.hold(B, account.session_id, epoch=2))
        assert isinstance(await it.send(account), Sent)
        assert it.world.said("hello") == 1


async def test_a_session_found_nowhere_is_not_sent_and_says_what_was_asked() -> None:
    async with bench(A, B) as it:
        account = await it.account(A)
        it.world.lose(A)
        outcome = await it.send(account)
        assert isinstance(outcome, NotSent)
        assert outcome.code is FailureCode.SESSION_UNREACHABLE
        assert "asked 2 instances: 1 answered without it; http://a:3001 gave no list" in outcome.reason
        assert 9 < it.clock.monotonic() <= 10


async def test_a_stale_epoch_is_corrected_and_the_message_sent() -> None:
    async with bench(A) as it:
        account = await it.account(A, epoch=1)
        it.world.hold(A, account.session_id, epoch=5)
        outcome = await it.send(account)
        assert isinstance(outcome, Sent)
        assert (await it.placement(account)).epoch == 5


async def test_two_strangers_that_claim_a_session_are_not_settled_by_luck() -> None:
    async with bench(A, B, C, can=PLAIN) as it:
        account = await it.account(A, held=False)
        it.world.hold(B, account.session_id)
        it.world.hold(C, account.session_id)
        outcome = await it.send(account)
        assert isinstance(outcome, NotSent)
        assert outcome.code is FailureCode.DUPLICATE_HOLDER
        assert it.world.said("hello") == 0


async def test_an_instance_that_ignores_our_id_loses_the_capability() -> None:
    async with bench(A) as it:
        account = await it.account(A)
        it.world.instances[A].can = PLAIN
        await_declared, remembered = it.world.capabilities, it.world.way

        async def claims_to_take_ids(url, *, timeout_s, fresh=False):  # type: ignore[no-untyped-def]
            declared = await await_declared(url, timeout_s=timeout_s, fresh=fresh)
            return OURS if url not in it.world.withdrawn else declared

        def is_believed(url):  # type: ignore[no-untyped-def]
            way = remembered(url)
            return way if way is None or url in it.world.withdrawn else replace(way, can=OURS)

        it.world.capabilities, it.world.way = claims_to_take_ids, is_believed  # type: ignore[method-assign]
        assert isinstance(await it.send(account, "one"), Sent)
        assert it.world.withdrawn == {A}
        it.world.instances[A].misfortunes.append(Misfortune(Fault(Phase.INTERRUPTED), delivered=True))
        assert isinstance(await it.send(account, "two"), Unknown)


async def test_with_rediscovery_off_a_lost_session_is_not_looked_for() -> None:
    async with bench(A, B, policy=SendPolicy(rediscover=False, retry_delay_s=0.1)) as it:
        account = await it.account(A)
        it.world.lose(A)
        it.world.hold(B, account.session_id, epoch=2)
        outcome = await it.send(account)
        assert isinstance(outcome, NotSent)
        assert (outcome.attempts, it.tally.looks) == (3, 0)


async def test_an_account_without_a_place_goes_to_the_default_instance() -> None:
    async with bench(A, B) as it:
        account = await it.account(None)
        it.world.default_url = B
        it.world.hold(B, account.session_id, epoch=0)
        outcome = await it.send(account)
        assert isinstance(outcome, Sent)
        assert outcome.instance_url == B


async def test_an_account_without_a_place_that_no_instance_has_is_not_waited_for() -> None:
    async with bench(A, B) as it:
        account = await it.account(None)
        it.world.default_url = B
        outcome = await it.send(account)
        assert isinstance(outcome, NotSent)
        assert (outcome.code, outcome.final) == (FailureCode.ACCOUNT_NOT_PLACED, True)
        assert f"homing accounts start {account.id}" in outcome.reason
        assert it.tally.looks == 1


async def test_an_account_without_a_place_is_looked_for_while_an_instance_gives_no_list() -> None:
    async with bench(A, B) as it:
        account = await it.account(None)
        it.world.default_url = B
        it.world.lose(A)
        outcome = await it.send(account)
        assert isinstance(outcome, NotSent)
        assert (outcome.code, outcome.final) == (FailureCode.SESSION_UNREACHABLE, False)


async def test_a_session_in_quarantine_is_not_used_though_somebody_could_send_for_it() -> None:
    async with bench(A, B) as it:
        account = await it.account(A)
        route = replace(await it.route(account), status=SessionStatus.QUARANTINED)
        outcome = await it.sending.send(it.text(account, "hello"), route)
        assert isinstance(outcome, NotSent)
        assert (outcome.code, outcome.final) == (FailureCode.SESSION_QUARANTINED, True)
        assert it.world.said("hello") == 0


async def test_a_thousand_lost_sessions_cost_each_instance_a_handful_of_lists() -> None:
    async with bench(A, B, C) as it:
        accounts = [await it.account(A) for _ in range(1000)]
        it.world.lose(A)
        for number, account in enumerate(accounts):
            it.world.hold(B if number % 2 else C, account.session_id, epoch=2)
        outcomes = await asyncio.gather(*(it.send(account, f"to {account.id}") for account in accounts))
        assert all(isinstance(outcome, Sent) for outcome in outcomes)
        assert max(instance.lists for instance in it.world.instances.values()) <= 5
        assert len(it.world.ledger) == 1000


async def test_a_session_that_an_earlier_look_corrected_has_moved_for_who_failed_at_the_old_place() -> None:
    async with bench(A, B) as it:
        account = await it.account(A)
        stale = await it.route(account)
        it.world.lose(A)
        it.world.hold(B, account.session_id, epoch=2)
        first = await it.rediscovery.look(stale)
        second = await it.rediscovery.look(stale)
        assert isinstance(first.finding, Found)
        assert isinstance(second.finding, Found)
        assert (first.finding.moved, second.finding.moved) == (True, True)
        assert second.finding.instance_url == B


async def test_sends_that_share_a_look_all_get_their_answer() -> None:
    async with bench(A, B) as it:
        account = await it.account(A)
        it.world.lose(A)
        it.world.hold(B, account.session_id, epoch=2)
        outcomes = await asyncio.gather(*(it.send(account, f"n{n}") for n in range(50)))
        assert all(isinstance(outcome, Sent) for outcome in outcomes)
        assert it.world.instances[B].lists <= 5  # some for all of them, however many they are
        assert [it.world.said(f"n{n}") for n in range(50)] == [1] * 50


def test_every_failure_code_of_a_send_is_a_code_of_the_api() -> None:
    assert {code.value for code in FailureCode} <= {code.value for code in Code}


async def test_however_many_wait_for_a_session_the_instances_are_asked_a_few_times_a_second() -> None:
    async with bench(A, B) as it:
        account = await it.account(A, held=False)
        it.world.hold(A, account.session_id, status=SessionStatus.STARTING)

        async def send_late(number: int) -> None:
            await asyncio.sleep(number * 0.01)
            await it.send(account, f"waiting {number}")

        async with asyncio.timeout(60):
            await asyncio.gather(*(send_late(number) for number in range(300)))
        assert it.tally.looks <= 14 * ROUNDS_PER_S


async def test_a_gateway_that_quotes_the_message_in_its_error_puts_it_in_no_log_and_no_answer() -> None:
    async with bench(A) as it:
        account = await it.account(A)
        said = "Dear Anna, your code is 4711"
        words = f"Evaluation failed: could not send '{said}' to 62811111111@c.us"
        it.world.instances[A].misfortunes.append(Misfortune(Fault(Phase.REQUEST_REJECTED, words, 500, quoted=True)))
        with capture_logs() as logs:
            outcome = await it.send(account, said)
        for shown in (str(outcome), str(logs)):
            assert "Evaluation failed" in shown
            assert "Anna" not in shown
            assert "62811111111" not in shown


@pytest.mark.parametrize("phase", [Phase.REPLY_TIMED_OUT, Phase.SERVER_ERROR])
async def test_what_one_session_met_lets_nobody_else_wait_and_is_repeated_by_what_the_instance_can_now(
    phase: Phase,
) -> None:
    async with bench(A, B) as it:
        account = await it.account(A)
        it.world.instances[A].misfortunes.append(Misfortune(Fault(phase)))
        assert isinstance(await it.send(account), Sent)
        assert (it.world.doubted, it.world.asked_anew) == ([], 1)


async def test_a_broken_connection_may_lead_to_another_boot_for_everybody() -> None:
    async with bench(A, B) as it:
        account = await it.account(A)
        it.world.instances[A].misfortunes.append(Misfortune(Fault(Phase.INTERRUPTED)))
        assert isinstance(await it.send(account), Sent)
        assert it.world.doubted == [A]
