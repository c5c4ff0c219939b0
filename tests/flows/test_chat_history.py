"""Messages of unknown outcome are looked for in their chats, by whichever gateway lives, and called sent if there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from homing.decide.sending.history import KIND, LOOKED_FOR_AFTER_S
from homing.flows.background.worker import Duty, Worker
from homing.flows.sending import chat_history
from homing.flows.sending.chat_history import ChatHistories
from homing.flows.sending.send_records import Recorder
from homing.model.fleet import Capabilities, Epoch, MoveKind, Rebinding
from homing.model.sends import content_json
from homing.model.sends.content import KeptMedia, MediaContent, MessageType
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.history import SeenMessage
from homing.model.sends.messages import MessageRecord, MessageState
from homing.model.sends.sending import Outcome, Text, Unknown
from homing.model.work import JobState
from homing.ports import Page
from tests.flows.test_outbox_lanes import World
from tests.flows.worlds import OURS, PLAIN, A, B, Misfortune, bench

pytestmark = pytest.mark.virtual

SHOWS = replace(PLAIN, read_history=True)
LOST = Fault(Phase.REPLY_TIMED_OUT, "no answer")
TO = "62811111111"


class Chats(World):
    """A bench with an outbox, records, and gateways that look into chats."""

    recorder: Recorder

    def looks(self) -> "asyncio.Task[None]":
        made = self.bench
        self.recorder = Recorder(self.messages, made.clock)
        histories = ChatHistories(
            self.messages, self.outbox, made.routes, made.world, made.sending.numbers, made.sending._said, made.clock
        )
        duty = Duty(handler=histories.look, policy=chat_history.PATIENCE, at_once=4, lease_s=10.0, poll_s=3.0)
        worker = Worker(made.work, made.clock, made.entropy, KIND, duty, owner=made.entropy.uuid())
        return asyncio.ensure_future(worker.run())

    async def sent(self, said: str = "hello", **more: Any) -> tuple[Text, Outcome]:
        """A send whose caller waits, recorded as it ends."""
        made = self.bench
        text = structs.replace(made.text(self.account, said), uuid=made.entropy.uuid(), **more)
        outcome = await made.sending.send(text, await made.route(self.account))
        await self.recorder.record(text, outcome)
        return text, outcome

    async def row(self, uuid: str) -> MessageRecord:
        found = await self.messages.message(None, uuid)
        assert found is not None
        return found

    async def jobs(self) -> list[JobState]:
        return [job.state for job in await self.bench.work.jobs(Page(0, 50), kind=KIND)]

    async def over(self) -> None:
        """Until nothing is looked for any more."""

        async def done() -> bool:
            states = await self.jobs()
            return bool(states) and all(state is JobState.DONE for state in states)

        await self.until(done)

    @property
    def there(self) -> Any:
        return self.bench.world.instances[A]


@asynccontextmanager
async def chats(can: Capabilities = SHOWS, *more: Any) -> AsyncIterator[Chats]:
    async with bench(A, *more, can=can) as made:
        one = Chats(made, await made.account(A))
        looking = one.looks()
        try:
            yield one
        finally:
            looking.cancel()
            await one.end()


async def test_a_send_whose_answer_was_lost_is_found_in_its_chat() -> None:
    async with chats() as one:
        one.there.misfortunes.append(Misfortune(LOST, delivered=True))
        text, outcome = await one.sent()
        assert isinstance(outcome, Unknown)
        began_s = one.bench.clock.monotonic()
        await one.all_in([text.uuid], MessageState.SENT)
        assert one.bench.clock.monotonic() - began_s < 10.0
        row = await one.row(text.uuid)
        assert row.reason.startswith("it was sent after all: its chat shows the same")
        assert row.message_id == one.bench.world.ledger[0][0] != text.message_id
        assert one.bench.world.said("hello") == 1 and one.there.looks == 1


async def test_a_message_of_the_outbox_is_found_and_its_chat_goes_on_before_its_time() -> None:
    async with chats() as one:
        one.there.misfortunes.append(Misfortune(LOST, delivered=True))
        first, second = await one.accept("one"), await one.accept("two")
        one.gateway()
        began_s = one.bench.clock.monotonic()
        await one.all_in([first, second], MessageState.SENT)
        assert one.bench.clock.monotonic() - began_s < 20.0
        assert [said for _, said in one.bench.world.ledger] == ["one", "two"]
        assert "its chat shows the same" in (await one.row(first)).reason


async def test_one_that_never_left_stays_unknown_is_looked_for_three_times_and_never_sent_again() -> None:
    async with chats() as one:
        one.there.misfortunes.append(Misfortune(LOST))
        text, _ = await one.sent()
        ended_s = one.bench.clock.monotonic()
        await one.over()
        assert one.bench.clock.monotonic() - ended_s < 30.0
        row = await one.row(text.uuid)
        assert row.state is MessageState.UNKNOWN and row.code == "unknown"
        assert row.reason.endswith("; its chat does not show it, which proves nothing")
        assert one.there.looks == len(LOOKED_FOR_AFTER_S) and one.there.sends == 1
        assert one.bench.world.ledger == []


async def test_one_that_shows_up_later_is_found_at_a_later_look() -> None:
    async with chats() as one:
        one.there.misfortunes.append(Misfortune(LOST, delivered=True))
        one.there.forgets = True
        text, _ = await one.sent()
        at_s = int(one.bench.clock.now().timestamp())
        await asyncio.sleep(6)
        assert one.there.looks == 1
        one.there.chats[TO] = [SeenMessage("3EB0FF", True, at_s, "hello", reached=True)]
        await one.all_in([text.uuid], MessageState.SENT)
        assert one.there.looks == 2


async def test_the_second_try_of_a_caller_is_not_taken_for_the_first() -> None:
    """The caller was told `unknown`, and said the same again, which went."""
    async with chats() as one:
        one.there.misfortunes.append(Misfortune(LOST))
        first, _ = await one.sent()
        _, outcome = await one.sent()
        assert not isinstance(outcome, Unknown)
        await one.over()
        assert (await one.row(first.uuid)).state is MessageState.UNKNOWN
        assert one.bench.world.said("hello") == 1


async def test_what_another_message_of_the_outbox_was_sent_under_is_not_ours() -> None:
    async with chats() as one:
        other = await one.accept("hello")
        one.gateway()
        await one.all_in([other], MessageState.SENT)
        one.there.misfortunes.append(Misfortune(LOST))
        text, _ = await one.sent()
        await one.over()
        assert (await one.row(text.uuid)).state is MessageState.UNKNOWN


async def test_two_of_the_same_words_in_doubt_stay_so() -> None:
    async with chats() as one:
        one.there.misfortunes.extend([Misfortune(LOST, delivered=True), Misfortune(LOST)])
        texts = [(await one.sent())[0] for _ in range(2)]
        await one.over()
        rows = [await one.row(text.uuid) for text in texts]
        assert [row.state for row in rows] == [MessageState.UNKNOWN] * 2
        assert all("another message of the same words" in row.reason for row in rows)


async def test_a_gateway_that_shows_no_chats_is_not_asked_and_nothing_is_added() -> None:
    async with chats(PLAIN) as one:
        one.there.misfortunes.append(Misfortune(LOST, delivered=True))
        text, outcome = await one.sent()
        await one.over()
        assert one.there.looks == 0
        assert (await one.row(text.uuid)).reason == outcome.reason


async def test_a_chat_that_cannot_be_read_says_so() -> None:
    async with chats() as one:
        one.there.misfortunes.append(Misfortune(LOST, delivered=True))
        one.there.look_fault = Fault(Phase.SERVER_ERROR, "Enable NOWEB store", 400)
        text, _ = await one.sent()
        await one.over()
        row = await one.row(text.uuid)
        assert row.state is MessageState.UNKNOWN
        assert "its chat could not be looked at" in row.reason and "Enable NOWEB store" in row.reason


async def test_what_somebody_settled_meanwhile_stands() -> None:
    async with chats() as one:
        one.there.misfortunes.append(Misfortune(LOST, delivered=True))
        text, _ = await one.sent()
        found = await one.messages.message(None, text.uuid)
        assert found is not None
        failed = replace(found, state=MessageState.FAILED, code="marked_failed", reason="somebody says that it failed")
        await one.messages.record(failed)
        await one.over()
        assert (await one.row(text.uuid)).state is MessageState.FAILED


async def test_another_gateway_looks_where_the_first_one_died() -> None:
    async with chats() as one:
        one.there.misfortunes.append(Misfortune(LOST, delivered=True))
        dying = one.gateway(at=6)  # after the send, before its end is written down
        uuid = await one.accept("hello")
        await asyncio.wait_for(dying.dead.wait(), 60)
        one.gateway()
        await one.all_in([uuid], MessageState.SENT)
        assert one.bench.world.said("hello") == 1


async def test_the_holder_of_today_is_asked() -> None:
    async with chats(SHOWS, B) as one:
        one.there.misfortunes.append(Misfortune(LOST, delivered=True))
        text, _ = await one.sent()
        there = one.bench.world.instances[B]
        there.chats, one.there.chats = one.there.chats, {}
        placed = await one.bench.placement(one.account)
        change = Rebinding(placed, B, Epoch(2), MoveKind.MIGRATION, "moved")
        assert await one.bench.directory.rebind([change])
        await one.all_in([text.uuid], MessageState.SENT)
        assert (there.looks, one.there.looks) == (1, 0)


async def test_a_file_of_a_direct_send_is_known_by_its_content_and_not_by_its_words() -> None:
    async with chats(replace(SHOWS, sends=frozenset({MessageType.TEXT, MessageType.IMAGE}))) as one:
        one.there.misfortunes.append(Misfortune(LOST, delivered=True))
        picture = MediaContent(MessageType.IMAGE, KeptMedia("file", "ab" * 32, 10, "image/jpeg"), caption="hello")
        text, _ = await one.sent(content=picture)
        await one.over()  # the chat shows the words alone
        row = await one.row(text.uuid)
        assert row.state is MessageState.UNKNOWN and row.content == content_json.written(picture)


async def test_where_our_ids_are_taken_nothing_changes() -> None:
    async with chats(OURS) as one:
        one.there.misfortunes.append(Misfortune(LOST, delivered=True))
        text, outcome = await one.sent()
        assert not isinstance(outcome, Unknown) and one.bench.world.said(text.text) == 1
        assert await one.jobs() == []


async def test_a_very_late_look_still_goes_by_the_time_of_the_send() -> None:
    async with chats() as one:
        one.there.misfortunes.append(Misfortune(LOST, delivered=True))
        one.there.look_fault = Fault(Phase.REFUSED)
        text, _ = await one.sent()
        seen = one.there.chats[TO][0]
        later = int((one.bench.clock.now() + timedelta(seconds=15)).timestamp())
        one.there.chats[TO] = [replace(seen, at_s=later)]
        await asyncio.sleep(20)
        one.there.look_fault = None
        await one.over()
        row = await one.row(text.uuid)
        assert row.state is MessageState.UNKNOWN and "may be another" in row.reason
