"""Idempotency keys: at any time one gateway drives a keyed send, and an answer once given is given again."""

import asyncio

import pytest
from fleets import ONE, TWO

from clocks import PassTime, SteppedClock
from homing.decide.sending.idempotency import Drive, Mismatch
from homing.flows.sending.idempotent_send import KeyedSends
from homing.model.fleet import AccountUuid
from homing.model.sends.messages import MessageRecord, MessageState, StoredAnswer
from homing.model.sends.sending import Unknown
from homing.ports import Claimed, InUse
from homing.store.db.opening import open_database
from homing.store.sends.messages import SqlMessages
from tests.keyed_driving import Driven, answered

ANSWER = StoredAnswer(200, {"success": True, "data": {"z": 1, "a": "\0 ☃ \ud800"}, "code": None})
LEASE_S, KEEP_S = 10.0, 1000.0


async def claim(
    messages: SqlMessages,
    owner: str,
    *,
    uuid: str | None = None,
    fingerprint: str = "f",
    key: str = "k",
    workspace: int = ONE,
) -> Claimed | InUse:
    return await messages.claim_key(
        workspace,  # type: ignore[arg-type]
        key,
        fingerprint=fingerprint,
        message_uuid=uuid or f"by-{owner}",
        owner=owner,
        lease_s=LEASE_S,
        keep_s=KEEP_S,
    )


async def test_a_new_key_is_ours(messages: SqlMessages) -> None:
    assert await claim(messages, "gw1") == Claimed("by-gw1", taken_over=False)


async def test_a_key_in_use_is_shown_with_its_holder(messages: SqlMessages) -> None:
    await claim(messages, "gw1")
    held = await claim(messages, "gw2")
    assert isinstance(held, InUse)
    assert (held.row.owner, held.row.message_uuid, held.row.answer) == ("gw1", "by-gw1", None)
    assert 0 < (held.row.expires_at - held.row.lease_until).total_seconds() <= KEEP_S - LEASE_S + 0.1


async def test_keys_of_different_workspaces_are_different_keys(messages: SqlMessages) -> None:
    await claim(messages, "gw1", workspace=ONE)
    assert await claim(messages, "gw2", workspace=TWO) == Claimed("by-gw2", taken_over=False)


async def test_of_many_that_claim_at_once_one_gets_the_key(messages: SqlMessages) -> None:
    got = await asyncio.gather(*(claim(messages, f"gw{number}") for number in range(20)))
    won = [each for each in got if isinstance(each, Claimed)]
    lost = [each.row.message_uuid for each in got if isinstance(each, InUse)]
    assert len(won) == 1
    assert lost == [won[0].message_uuid] * 19


async def test_of_two_gateways_one_gets_each_key(store_url: str) -> None:
    databases = [open_database(store_url) for _ in range(2)]
    one, two = (SqlMessages(database) for database in databases)
    got = await asyncio.gather(
        *(claim(messages, owner, key=f"k{n}") for n in range(20) for messages, owner in ((one, "gw1"), (two, "gw2")))
    )
    assert [isinstance(a, Claimed) + isinstance(b, Claimed) for a, b in zip(got[::2], got[1::2], strict=True)] == [
        1
    ] * 20
    for database in databases:
        await database.close()


async def test_of_many_that_take_over_at_once_one_does(messages: SqlMessages, pass_time: PassTime) -> None:
    await claim(messages, "dead")
    await pass_time(LEASE_S)
    got = await asyncio.gather(*(claim(messages, f"gw{number}") for number in range(10)))
    assert [each for each in got if isinstance(each, Claimed)] == [Claimed("by-dead", taken_over=True)]


async def test_a_lapsed_lease_is_taken_over_with_its_first_message_uuid(
    messages: SqlMessages, pass_time: PassTime
) -> None:
    await claim(messages, "gw1")
    await pass_time(LEASE_S - 1)
    assert isinstance(await claim(messages, "gw2"), InUse)
    await pass_time(1)
    assert await claim(messages, "gw2") == Claimed("by-gw1", taken_over=True)
    assert not await messages.answer_key(ONE, "k", "gw1", ANSWER)
    await pass_time(LEASE_S)
    assert await claim(messages, "gw3") == Claimed("by-gw1", taken_over=True)


async def test_a_lapsed_lease_of_another_request_is_not_taken_over(messages: SqlMessages, pass_time: PassTime) -> None:
    await claim(messages, "gw1", fingerprint="first")
    await pass_time(LEASE_S)
    held = await claim(messages, "gw2", fingerprint="second")
    assert isinstance(held, InUse)
    assert held.row.fingerprint == "first"


async def test_an_answer_is_given_again_word_for_word(messages: SqlMessages, pass_time: PassTime) -> None:
    await claim(messages, "gw1")
    assert await messages.answer_key(ONE, "k", "gw1", ANSWER)
    await pass_time(LEASE_S * 2)
    for fingerprint in ("f", "other"):
        held = await claim(messages, "gw2", fingerprint=fingerprint)
        assert isinstance(held, InUse)
        assert held.row.answer == ANSWER
        assert held.row.answer is not None
        assert list(held.row.answer.body) == list(ANSWER.body)


async def test_only_the_holder_answers(messages: SqlMessages) -> None:
    await claim(messages, "gw1")
    assert not await messages.answer_key(ONE, "k", "gw2", ANSWER)
    assert not await messages.answer_key(ONE, "none", "gw1", ANSWER)
    held = await claim(messages, "gw2")
    assert isinstance(held, InUse)
    assert held.row.answer is None


async def test_many_keys_at_once_are_each_their_own(messages: SqlMessages) -> None:
    """Some of which somebody else has: claimed in a few statements, answered in a few."""
    names = [f"k{n}" for n in range(60)]
    await asyncio.gather(*(claim(messages, "gw1", key=name) for name in names[::3]))
    got = await asyncio.gather(*(claim(messages, "gw2", key=name, uuid=f"m-{name}") for name in names))
    assert [isinstance(each, Claimed) for each in got] == [place % 3 != 0 for place in range(60)]
    stored = await asyncio.gather(
        *(messages.answer_key(ONE, name, "gw2", StoredAnswer(200, {"of": name})) for name in names)
    )
    assert stored == [place % 3 != 0 for place in range(60)]
    for place, name in enumerate(names):
        held = await claim(messages, "gw3", key=name)
        assert isinstance(held, InUse)
        assert held.row.answer == (StoredAnswer(200, {"of": name}) if place % 3 else None)


async def test_of_two_that_come_with_one_key_the_first_is_served(messages: SqlMessages) -> None:
    """Also where the later one's message is the smaller by its name."""
    got = await asyncio.gather(
        claim(messages, "gw1", key="before", uuid="z"),
        claim(messages, "gw1", uuid="z", fingerprint="z"),
        claim(messages, "gw1", uuid="a", fingerprint="a"),
    )
    assert got[1] == Claimed("z", taken_over=False)
    assert isinstance(got[2], InUse)


async def test_a_claim_that_was_given_up_under_way_is_let_go_of_after_it_was_made(messages: SqlMessages) -> None:
    giving_up = asyncio.create_task(claim(messages, "gw1"))
    await asyncio.sleep(0)
    giving_up.cancel()
    await messages.release_key(ONE, "k", "gw1", "by-gw1")
    assert await claim(messages, "gw2") == Claimed("by-gw2", taken_over=False)


async def test_a_key_past_its_keeping_is_new_again(messages: SqlMessages, pass_time: PassTime) -> None:
    await claim(messages, "gw1")
    await messages.answer_key(ONE, "k", "gw1", ANSWER)
    await pass_time(KEEP_S)
    assert await claim(messages, "gw2", fingerprint="other") == Claimed("by-gw2", taken_over=False)
    held = await claim(messages, "gw3")
    assert isinstance(held, InUse)
    assert (held.row.answer, held.row.fingerprint) == (None, "other")


async def test_a_key_still_driven_is_kept_past_its_time(messages: SqlMessages, pass_time: PassTime) -> None:
    await claim(messages, "gw1")
    await pass_time(KEEP_S)
    await messages.renew_keys("gw1", [(ONE, "k")], LEASE_S)
    assert isinstance(await claim(messages, "gw2"), InUse)
    assert await messages.forget_expired_keys() == 0


async def test_a_released_key_is_new_again(messages: SqlMessages) -> None:
    await claim(messages, "gw1")
    await messages.release_key(ONE, "k", "gw2", "by-gw1")
    assert isinstance(await claim(messages, "gw2"), InUse)
    await messages.release_key(ONE, "k", "gw1", "by-gw1")
    assert await claim(messages, "gw2", fingerprint="other") == Claimed("by-gw2", taken_over=False)


async def test_an_answered_key_is_not_forgotten_by_a_late_release(messages: SqlMessages) -> None:
    await claim(messages, "gw1")
    await messages.answer_key(ONE, "k", "gw1", ANSWER)
    await messages.release_key(ONE, "k", "gw1", "by-gw1")
    assert isinstance(await claim(messages, "gw1"), InUse)


async def test_a_renewed_lease_runs_on(messages: SqlMessages, pass_time: PassTime) -> None:
    for key in ("k", "k2"):
        await claim(messages, "gw1", key=key)
    await pass_time(LEASE_S - 1)
    await messages.renew_keys("gw1", [(ONE, "k"), (TWO, "k2"), (ONE, "none")], LEASE_S)
    await messages.renew_keys("gw2", [(ONE, "k2")], LEASE_S)
    await pass_time(LEASE_S - 1)
    assert isinstance(await claim(messages, "gw2"), InUse)
    assert isinstance(await claim(messages, "gw2", key="k2"), Claimed)


async def test_the_leases_of_a_dead_gateway_end_and_no_others(messages: SqlMessages) -> None:
    owners = ["gw1:a", "gw1:b", "gw10:a", "GW1:a", "gw_:a", "g%:a"]
    for owner in owners:
        await claim(messages, owner, key=owner)
    await messages.release_owner("gw1:")
    await messages.release_owner("gw_:")
    taken = [owner for owner in owners if isinstance(await claim(messages, "next", key=owner), Claimed)]
    assert taken == ["gw1:a", "gw1:b", "gw_:a"]


async def test_expired_keys_are_forgotten_a_bounded_number_at_a_time(
    messages: SqlMessages, pass_time: PassTime
) -> None:
    for number in range(5):
        await claim(messages, "gw1", key=f"k{number}")
    assert await messages.forget_expired_keys() == 0
    await pass_time(KEEP_S)
    await claim(messages, "gw1", key="fresh")
    assert await messages.forget_expired_keys(limit=3) == 3
    assert await messages.forget_expired_keys(limit=3) == 2
    assert isinstance(await claim(messages, "gw2", key="fresh"), InUse)


@pytest.mark.parametrize("key", ["", " ", "ключ", "a'b\"c", "k" * 5_000, "%", "_"])
async def test_any_text_is_a_key_of_its_own(messages: SqlMessages, key: str) -> None:
    await claim(messages, "gw1", key="k")
    assert await claim(messages, "gw2", key=key) == Claimed("by-gw2", taken_over=False)
    await messages.renew_keys("gw2", [(ONE, key)], LEASE_S)
    assert await messages.answer_key(ONE, key, "gw2", ANSWER)


async def test_who_asks_again_because_the_answer_was_lost_has_the_key(messages: SqlMessages) -> None:
    assert await claim(messages, "gw1", uuid="one") == Claimed("one", taken_over=False)
    assert await claim(messages, "gw1", uuid="one") == Claimed("one", taken_over=False)
    assert isinstance(await claim(messages, "gw1", uuid="two"), InUse)


async def test_a_key_is_not_released_by_a_claim_that_did_not_get_it(messages: SqlMessages, pass_time: PassTime) -> None:
    """A late release may find that the same gateway has claimed the key for another request, or has taken it over."""
    await claim(messages, "gw1", uuid="one")
    await messages.release_key(ONE, "k", "gw1", "two")
    assert isinstance(await claim(messages, "gw2", uuid="three"), InUse)
    await pass_time(LEASE_S + 1)
    assert await claim(messages, "gw2", uuid="three") == Claimed("one", taken_over=True)
    await messages.release_key(ONE, "k", "gw2", "three")
    await pass_time(LEASE_S + 1)
    assert await claim(messages, "gw2", uuid="four") == Claimed("one", taken_over=True), "it may have been sent"


async def test_a_retry_of_an_unknown_send_that_was_settled_is_answered_as_sent(
    messages: SqlMessages, clock: SteppedClock
) -> None:
    keyed = KeyedSends(messages, clock, owner="gw1", keep_s=KEEP_S)
    told = {"success": None, "outcome": "unknown", "detail": "cut", "data": {"message_id": "3EB0"}, "attempts": 1}

    async def unknown(_: Drive) -> Driven:
        return Unknown("cut", 1), StoredAnswer(202, {**told, "message_uuid": "m"})

    async def never(_: Drive) -> Driven:
        raise AssertionError("an unknown send is never driven again")

    assert await answered(keyed, ONE, "k", "f", "m", unknown) == StoredAnswer(202, {**told, "message_uuid": "m"})
    assert (await answered(keyed, ONE, "k", "f", "n", never)).status == 202  # type: ignore[union-attr]
    now = clock.now()
    sent = MessageRecord(
        "m", ONE, AccountUuid("a"), "true_3EB0", "628", "hi", MessageState.SENT, None, "it was sent after all", 1, None,
        now, now,
    )  # fmt: skip
    await messages.record(sent)
    again = await answered(keyed, ONE, "k", "f", "n", never)
    assert isinstance(again, StoredAnswer)
    assert (again.status, again.body["success"], again.body["message_uuid"]) == (200, True, "m")
    assert again.body["data"] == {"message_id": "true_3EB0", "timestamp": int(now.timestamp())}
    assert "outcome" not in again.body
    assert isinstance(await answered(keyed, ONE, "k", "another body", "n", never), Mismatch)
