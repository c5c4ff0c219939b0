"""Instances that answer garbage, half a body, ten megabytes or nothing: a fault with an outcome, never a crash."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from bench.fleet import Answered, Fleet, open_fleet

pytestmark = [pytest.mark.e2e, pytest.mark.walk]

DONE_AND_SPOILT = ("garbage", "half", "huge", "drop_after")
"""The instance did its work, and its answer is of no use."""


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    """An account on each of four instances. Whatever they do, the gateway stays alive, with no trace in its log."""
    async with open_fleet(accounts=4, contacts=3, reports=False) as up:
        yield up
        for url in up.demo.instances:
            await up.misbehave(url, clear=True)
        assert {(await up.send(each)).status for each in up.residents} == {200}
        said = "".join(child.log.read_text() for child in up.demo.gateways.values())
        assert "Traceback" not in said
        assert "inside the gateway" not in said


async def spoil(fleet: Fleet, effects: tuple[str, ...], **how: object) -> list[Answered]:
    """Each instance does another thing wrong with sends, and each account sends once."""
    for url, effect in zip(fleet.demo.instances, effects, strict=True):
        await fleet.misbehave(url, **{effect: {"scope": "sends", **how}})
    return list(await asyncio.gather(*(fleet.send(each) for each in fleet.residents)))


async def test_an_answer_that_was_spoilt_once_is_asked_for_again_under_the_same_id(fleet: Fleet) -> None:
    answers = await spoil(fleet, DONE_AND_SPOILT, count=1)
    assert [(each.status, each.attempts) for each in answers] == [(200, 2)] * 4
    assert [fleet.delivered()[each.text] for each in answers] == [1] * 4


async def test_answers_that_stay_spoilt_end_as_unknown_and_are_said_once(fleet: Fleet) -> None:
    answers = await spoil(fleet, DONE_AND_SPOILT)
    for each in answers:
        assert (each.status, each.document["success"], each.document["outcome"]) == (202, None, "unknown")
        record = await fleet.api(f"/messages/{each.document['message_uuid']}")
        assert (record["state"], bool(record["reason"])) == ("unknown", True)
    assert [fleet.delivered()[each.text] for each in answers] == [1] * 4


async def test_instances_that_report_settle_what_their_spoilt_answers_left_unknown() -> None:
    async with open_fleet(accounts=4, contacts=3) as up:
        answers = await spoil(up, DONE_AND_SPOILT)
        assert {(each.status, each.document["outcome"]) for each in answers} == {(202, "unknown")}
        async with asyncio.timeout(10):
            while {await _state(up, each) for each in answers} != {"sent"}:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)
        assert [up.delivered()[each.text] for each in answers] == [1] * 4


async def _state(fleet: Fleet, answered: Answered) -> str:
    record = await fleet.api(f"/messages/{answered.document['message_uuid']}")
    return str(record["state"])


async def test_silence_and_refusals_end_within_the_deadline_in_the_words_promised(fleet: Fleet) -> None:
    urls = list(fleet.demo.instances)
    await fleet.misbehave(urls[0], hang={"scope": "sends"})
    await fleet.misbehave(urls[1], drop_before={"scope": "sends"})
    await fleet.misbehave(urls[2], answer={"scope": "sends", "status": 503})
    await fleet.misbehave(urls[3], answer={"scope": "sends", "status": 429})
    began_s = time.monotonic()
    answers = await asyncio.gather(*(fleet.send(each) for each in fleet.residents))
    assert time.monotonic() - began_s < 11
    told = [(each.status, each.document.get("code") or each.document.get("outcome")) for each in answers]
    assert told == [(202, "unknown"), (202, "unknown"), (503, "session_unreachable"), (503, "instance_throttled")]
    assert [each.document.get("retry_after_s", 0) > 0 for each in answers] == [False, False, True, True]
    assert sum(fleet.delivered().values()) == 0


async def test_a_session_is_found_although_every_other_list_is_of_no_use(fleet: Fleet) -> None:
    home, second, third, refuge = fleet.demo.instances
    mover = fleet.on(home)[0]
    await fleet.misbehave(home, garbage={"scope": "lists"})
    await fleet.misbehave(second, huge={"scope": "lists"})
    await fleet.misbehave(third, hang={"scope": "lists"})
    await fleet.start_elsewhere([mover], refuge)
    found = await fleet.send(mover)
    assert (found.status, found.document["failover"], found.document["instance_url"]) == (200, True, refuge)
    _, report = await fleet.call("POST", "/api/v1/sync", {"force": True})
    assert (report["unreachable"], report["failed"], len(report["oddities"])) == (2, 0, 3)


async def test_an_instance_whose_every_answer_is_garbage_is_down_and_the_others_are_not(fleet: Fleet) -> None:
    broken = next(iter(fleet.demo.instances))
    await fleet.misbehave(broken, garbage=True)
    answers = await asyncio.gather(*(fleet.send(each) for each in fleet.residents))
    assert [each.status for each in answers] == [503, 200, 200, 200]
    assert answers[0].document["code"] == "session_unreachable"
    assert answers[0].took_s < 11
    assert fleet.delivered()[answers[0].text] == 0
