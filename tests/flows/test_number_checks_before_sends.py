"""A message to a number with two spellings goes to the one that WhatsApp has, where the gateway can be asked."""

import asyncio
from dataclasses import replace

import pytest

from homing.flows.sending import number_checks
from homing.flows.sending.number_checks import BEFORE_A_SEND_S, GOOD_FOR_S, NOBODY_FOR_S, PACE_S, RESTS_S, NumberChecks
from homing.flows.sending.send_records import _row
from homing.model.errors import Code, Problem
from homing.model.fleet import Account
from homing.model.sends.addresses import Address, AddressKind
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Outcome, Sent, Text, Unknown
from homing.ports import NumberChecked, StoreUnavailable
from tests.flows.worlds import PLAIN, A, B, Bench, Misfortune, bench

pytestmark = pytest.mark.virtual

CHECKS = replace(PLAIN, check_numbers=True)
WRITTEN, KNOWN = "5511987654321", "551187654321"
OTHER_COUNTRY = "62811801641"


def known(digits: str) -> NumberChecked:
    return NumberChecked(exists=True, address=Address(AddressKind.PHONE, digits))


async def sent(it: Bench, account: Account, to: str = WRITTEN) -> tuple[Text, Outcome]:
    text = Text(it.entropy.uuid(), "3EB0", account.workspace_id, account.uuid, to, "hello", phone_as_written=f"+{to}")
    route, _ = await it.routes.route(account.workspace_id, account.uuid, None)
    assert route is not None
    return text, await it.sending.send(text, route)


async def test_the_gateways_answer_is_the_recipient_and_recorded_beside_what_was_written() -> None:
    async with bench(A, can=CHECKS) as it:
        account = await it.account(A)
        it.world.instances[A].known_as[WRITTEN] = known(KNOWN)
        text, outcome = await sent(it, account)
        assert it.world.recipients == [KNOWN]
        assert isinstance(outcome, Sent) and outcome.sent_to == KNOWN and KNOWN in outcome.reason
        row = _row(text, outcome, it.clock)
        assert (row.recipient_phone, row.phone_as_written) == (KNOWN, f"+{WRITTEN}")


async def test_the_other_spelling_is_asked_for_where_the_written_one_is_nobodys() -> None:
    async with bench(A, can=CHECKS) as it:
        account = await it.account(A)
        it.world.instances[A].known_as[KNOWN] = NumberChecked(exists=True)
        await sent(it, account)
        assert it.world.instances[A].checks == [WRITTEN, KNOWN]
        assert it.world.recipients == [KNOWN]


async def test_of_a_number_that_nobody_has_nothing_is_guessed() -> None:
    async with bench(A, can=CHECKS) as it:
        _, outcome = await sent(it, await it.account(A))
        assert it.world.recipients == [WRITTEN]
        assert isinstance(outcome, Sent) and outcome.sent_to is None


async def test_other_countries_numbers_are_not_asked_about() -> None:
    async with bench(A, can=CHECKS) as it:
        await sent(it, await it.account(A), OTHER_COUNTRY)
        assert it.world.instances[A].checks == []
        assert it.world.recipients == [OTHER_COUNTRY]


async def test_a_gateway_without_the_call_is_not_asked() -> None:
    async with bench(A, can=PLAIN) as it:
        await sent(it, await it.account(A))
        assert it.world.instances[A].checks == []
        assert it.world.recipients == [WRITTEN]


async def test_where_a_message_may_be_repeated_its_address_is_the_written_one() -> None:
    """Under one id it is harmless only to the same address, and the next check may be answered in another way."""
    async with bench(A, can=replace(CHECKS, choose_message_id=True)) as it:
        await sent(it, await it.account(A))
        assert it.world.instances[A].checks == []
        assert it.world.recipients == [WRITTEN]


async def test_an_answer_is_good_for_a_day() -> None:
    async with bench(A, can=CHECKS) as it:
        account = await it.account(A)
        it.world.instances[A].known_as[WRITTEN] = known(KNOWN)
        for _ in range(3):
            await sent(it, account)
        assert it.world.instances[A].checks == [WRITTEN]
        await it.clock.sleep(GOOD_FOR_S + 1)
        await sent(it, account)
        assert it.world.instances[A].checks == [WRITTEN, WRITTEN]


async def test_an_answer_is_known_to_all_gateways_of_a_fleet_and_after_their_restarts() -> None:
    async with bench(A, can=CHECKS) as it:
        account = await it.account(A)
        it.world.instances[A].known_as[WRITTEN] = known(KNOWN)
        await sent(it, account)
        another = NumberChecks(it.world, it.clock, it.sending.numbers._kept)
        assert await another.recipient(account.session_id, A, WRITTEN) == KNOWN
        assert it.world.instances[A].checks == [WRITTEN]


class Away:
    """A store that is away, or that does not answer."""

    def __init__(self, silent: bool) -> None:
        self._silent = silent

    async def of(self, *_: object) -> dict[str, NumberChecked]:
        return await self._gone()

    async def remember(self, *_: object, good_for_s: float) -> None:
        await self._gone()

    async def _gone(self) -> dict[str, NumberChecked]:
        if self._silent:
            await asyncio.sleep(60)
        raise StoreUnavailable("away")


@pytest.mark.parametrize("silent", [False, True])
async def test_while_the_store_is_away_the_gateway_is_asked(silent: bool) -> None:
    async with bench(A, can=CHECKS) as it:
        account = await it.account(A)
        it.world.instances[A].known_as[WRITTEN] = known(KNOWN)
        checks = NumberChecks(it.world, it.clock, Away(silent))
        began_s = it.clock.monotonic()
        assert await checks.recipient(account.session_id, A, WRITTEN) == KNOWN
        assert it.clock.monotonic() - began_s <= BEFORE_A_SEND_S
        assert await checks.recipient(account.session_id, A, WRITTEN) == KNOWN
        assert it.world.instances[A].checks == [WRITTEN]


async def test_that_nobody_has_a_number_is_good_for_an_hour() -> None:
    async with bench(A, can=CHECKS) as it:
        account = await it.account(A)
        await sent(it, account)
        assert it.world.instances[A].checks == [WRITTEN, KNOWN]
        it.world.instances[A].known_as[KNOWN] = NumberChecked(exists=True)
        await it.clock.sleep(NOBODY_FOR_S + 1)
        await sent(it, account)
        assert it.world.recipients == [WRITTEN, KNOWN]


async def test_a_check_that_fails_costs_a_message_its_time_at_most() -> None:
    async with bench(A, can=CHECKS) as it:
        account = await it.account(A)
        it.world.instances[A].check_takes_s = 60.0
        began_s = it.clock.monotonic()
        _, outcome = await sent(it, account)
        assert isinstance(outcome, Sent) and it.world.recipients == [WRITTEN]
        assert it.clock.monotonic() - began_s <= BEFORE_A_SEND_S + 0.1
        await sent(it, account)
        assert it.world.instances[A].checks == [WRITTEN], "the next one does not wait for it"
        it.world.instances[A].check_takes_s = 0.0
        it.world.instances[A].known_as[WRITTEN] = known(KNOWN)
        await it.clock.sleep(RESTS_S + 1)
        await sent(it, account)
        assert it.world.instances[A].checks == [WRITTEN, WRITTEN]


async def test_a_fault_is_not_remembered_as_an_answer() -> None:
    async with bench(A, can=CHECKS) as it:
        account = await it.account(A)
        it.world.instances[A].known_as[WRITTEN] = Fault(Phase.SERVER_ERROR)
        checks = NumberChecks(it.world, it.clock)
        [first] = await checks.batch(account, [WRITTEN])
        it.world.instances[A].known_as[WRITTEN] = known(KNOWN)
        [second] = await checks.batch(account, [WRITTEN])
        assert isinstance(first, Fault) and second == known(KNOWN)


async def test_a_message_that_may_have_left_says_to_whom() -> None:
    async with bench(A, can=CHECKS) as it:
        account = await it.account(A)
        it.world.instances[A].known_as[WRITTEN] = known(KNOWN)
        it.world.instances[A].misfortunes.append(Misfortune(Fault(Phase.REPLY_TIMED_OUT), delivered=True))
        _, outcome = await sent(it, account)
        assert isinstance(outcome, Unknown) and outcome.sent_to == KNOWN
        assert it.world.recipients == [KNOWN]


async def test_a_session_that_moved_is_sent_through_to_the_same_address() -> None:
    async with bench(A, B, can=CHECKS) as it:
        account = await it.account(A)
        it.world.instances[A].known_as[WRITTEN] = known(KNOWN)
        it.world.instances[A].sessions.clear()
        it.world.hold(B, account.session_id)
        _, outcome = await sent(it, account)
        assert isinstance(outcome, Sent) and outcome.instance_url == B
        assert it.world.recipients == [KNOWN]


async def test_a_batch_is_paced_and_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_checks, "BATCH_WITHIN_S", 1.0)
    async with bench(A, can=CHECKS) as it:
        account, checks = await it.account(A), NumberChecks(it.world, it.clock)
        numbers = [f"6281180{number:04}" for number in range(50)]
        began_s = it.clock.monotonic()
        answers = await checks.batch(account, numbers)
        asked = list(it.world.instances[A].checks)
        assert 2 <= len(asked) <= 1.0 / PACE_S + 1
        assert it.clock.monotonic() - began_s <= 1.0 + 2 * PACE_S
        assert [isinstance(each, Fault) for each in answers] == [False] * len(asked) + [True] * (50 - len(asked))
        await checks.batch(account, numbers)
        assert it.world.instances[A].checks[: len(asked) + 1] == [*asked, numbers[len(asked)]], "it goes on from there"


async def test_where_nobody_can_be_asked_it_says_so() -> None:
    async with bench(A, can=PLAIN) as it:
        account, checks = await it.account(A), NumberChecks(it.world, it.clock)
        with pytest.raises(Problem) as met:
            await checks.batch(account, [WRITTEN])
        assert met.value.code is Code.UNSUPPORTED_CHECK


async def test_no_more_is_remembered_than_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_checks, "REMEMBERED", 2)
    async with bench(A, can=CHECKS) as it:
        account, checks = await it.account(A), NumberChecks(it.world, it.clock)
        for digits in ("1", "2", "3", "3", "2", "1"):
            await checks.batch(account, [digits])
        assert it.world.instances[A].checks == ["1", "2", "3", "1"]
