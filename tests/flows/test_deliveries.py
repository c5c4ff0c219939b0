"""Customers are told: each event, until they took it, in order where that is asked, and nobody waits for the dead."""

import asyncio
from collections import Counter, defaultdict
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from delivering import DAY_S, OK, S, fleet, is_signed

from homing.decide.deliveries.attempts import PatiencePolicy
from homing.model.alerts import AlertKind
from homing.model.deliveries.deliveries import DeliveryId, DeliveryState
from homing.model.deliveries.egress import CallAnswer, CallFailed, CallFailure
from homing.model.deliveries.endpoints import EndpointState, RetrySchedule
from homing.model.errors import Code, Problem

pytestmark = pytest.mark.virtual
DOWN = CallFailed(CallFailure.UNREACHED, "Connection refused")


async def test_an_event_is_told_at_once_and_signed() -> None:
    async with fleet() as world:
        _, server = await world.endpoint("hook.example")
        world.gateway()
        [event] = await world.happen("62811")
        await asyncio.sleep(1.0)
        [got] = server.taken
        assert (got.id, got.type) == (event, "message.received")
        assert got.data["message"] == {"id": "M1", "direction": "in", "from": "62811@c.us", "body": "text 1"}
        assert (got.data["session_id"], got.data["session_sequence"], got.data["chat_sequence"]) == (S, 1, 1)
        assert is_signed(got, server.secret)
        [delivery] = await world.all()
        assert (delivery.state, delivery.attempts, delivery.status) == (DeliveryState.DELIVERED, 1, 200)


async def test_numbers_rise_without_a_gap_in_a_session_and_in_each_chat() -> None:
    async with fleet() as world:
        _, server = await world.endpoint("hook.example")
        world.gateway()
        for chats in (("a", "b"), ("a",), ("b", "a", "a")):
            await world.happen(*chats)
        await world.until_quiet()
        numbers = sorted(
            (got.data["session_sequence"], got.data["chat"], got.data["chat_sequence"]) for got in server.taken
        )
        assert numbers == [(1, "a", 1), (2, "b", 1), (3, "a", 2), (4, "b", 2), (5, "a", 3), (6, "a", 4)]


async def test_a_filter_lets_pass_what_it_names() -> None:
    async with fleet() as world:
        _, messages = await world.endpoint("messages.example", events=("message.*",))
        _, moves = await world.endpoint("moves.example", events=("session.moved",))
        world.gateway()
        await world.happen("a")
        await world.happen("a", kind="session_moved")
        await world.until_quiet()
        assert [got.type for got in messages.taken] == ["message.received"]
        assert [got.type for got in moves.taken] == ["session.moved"]


async def test_another_workspaces_endpoint_hears_nothing() -> None:
    async with fleet() as world:
        _, server = await world.endpoint("hook.example")
        world.gateway()
        await world.happen("a", workspace=2)  # type: ignore[arg-type]
        await asyncio.sleep(10)
        assert server.got == []


async def test_a_delivery_is_tried_at_least_ten_times_over_75_hours_and_then_a_dead_letter() -> None:
    async with fleet(patience=PatiencePolicy(disable_after=timedelta(days=30))) as world:
        _, server = await world.endpoint("hook.example")
        server.answer = CallAnswer(503)
        world.gateway()
        await world.happen("a")
        await asyncio.sleep(5 * DAY_S)
        assert len(server.got) >= 10
        assert server.got[-1].at_s - server.got[0].at_s >= 75 * 3600
        assert {got.id for got in server.got} == {"event-000001"}
        [dead] = await world.all(DeliveryState.DEAD)
        assert dead.reason == "given up after 12 attempts: answered 503"
        log = await world.deliveries.attempts(dead.id)
        assert [each.number for each in log] == list(range(1, 13))


async def test_the_short_schedule_is_1_2_4_8_seconds() -> None:
    async with fleet() as world:
        _, server = await world.endpoint("hook.example", schedule=RetrySchedule.SHORT)
        server.answer = CallAnswer(500)
        world.gateway()
        await world.happen("a")
        await asyncio.sleep(60)
        gaps = [later.at_s - earlier.at_s for earlier, later in zip(server.got, server.got[1:], strict=False)]
        assert len(gaps) == 4
        for gap, wait in zip(gaps, (1, 2, 4, 8), strict=True):
            assert wait <= gap <= wait * 1.2 + 0.5
        assert len(await world.all(DeliveryState.DEAD)) == 1


async def test_an_outage_of_72_hours_loses_nothing_and_keeps_the_order_of_each_chat() -> None:
    async with fleet() as world:
        _, server = await world.endpoint("hook.example", ordered=True)
        server.answer = DOWN
        world.gateway()
        told = []
        for hour in range(72):
            told += await world.happen(f"chat-{hour % 5}", f"chat-{hour % 3}")
            await asyncio.sleep(3600)
        server.answer = OK
        await world.happen("chat-0")
        await world.until_quiet(within_s=2 * DAY_S)
        assert set(told) <= set(server.ids)
        by_chat = defaultdict(list)
        for got in server.taken:
            by_chat[got.data["chat"]].append(got.data["chat_sequence"])
        assert len(by_chat) == 5
        for numbers in by_chat.values():
            assert numbers == list(range(1, len(numbers) + 1)), "in order, each once"


async def test_after_an_outage_what_waits_for_a_later_attempt_need_not_wait() -> None:
    async with fleet() as world:
        _, server = await world.endpoint("hook.example")
        server.answer = DOWN
        world.gateway()
        told = await world.happen(*"abcdefgh")
        await asyncio.sleep(20 * 3600)
        server.answer = OK
        told += await world.happen("i")
        await asyncio.sleep(400)
        assert set(server.ids) == set(told)


async def test_in_an_ordered_chat_the_next_waits_for_the_one_before_and_other_chats_do_not() -> None:
    async with fleet() as world:
        _, server = await world.endpoint("hook.example", ordered=True)
        world.gateway()
        refused = {"event-000001"}

        async def refuse_one(body: bytes, headers: Any) -> Any:
            await server(body, headers)
            return CallAnswer(500) if headers["webhook-id"] in refused else OK

        world.egress.receivers["hook.example"] = refuse_one
        await world.happen("a", "a", "b")
        await asyncio.sleep(3)
        assert Counter(got.id for got in server.got)["event-000002"] == 0
        assert "event-000003" in {got.id for got in server.got}
        refused.clear()
        await world.until_quiet()
        order = [got.id for got in server.got if got.data["chat"] == "a"]
        assert order[-1] == "event-000002"


async def test_retry_after_is_respected() -> None:
    async with fleet() as world:
        _, server = await world.endpoint("hook.example", schedule=RetrySchedule.SHORT)
        server.answer = CallAnswer(429, {"retry-after": "600"})
        world.gateway()
        await world.happen("a")
        await asyncio.sleep(30)
        server.answer = OK
        await asyncio.sleep(500)
        assert len(server.got) == 1
        await asyncio.sleep(200)
        assert len(server.taken) == 1


async def test_410_disables_at_once_and_what_waited_can_be_replayed() -> None:
    async with fleet() as world:
        endpoint, server = await world.endpoint("hook.example", concurrency=1)
        server.answer = CallAnswer(410)
        world.gateway()
        await world.happen("a", "b", "c")
        await asyncio.sleep(10)
        assert len(server.got) == 1
        after = await world.endpoints.find(endpoint.id)
        assert after is not None
        assert after.state is EndpointState.DISABLED
        assert len(await world.all(DeliveryState.DEAD)) == 3
        assert [each.kind for each in world.alerts.standing()] == [AlertKind.ENDPOINT_DISABLED]
        server.answer = OK
        enabled = await world.operations.change(after, after.settings, EndpointState.ENABLED)
        assert world.alerts.standing() == []
        since = world.clock.now() - timedelta(hours=1)
        assert await world.operations.replay_events(enabled, since=since, until=None, only=DeliveryState.DEAD) == 3
        await world.until_quiet()
        assert sorted(server.ids) == ["event-000001", "event-000002", "event-000003"]


async def test_days_of_failure_disable_with_an_alert() -> None:
    async with fleet() as world:
        endpoint, server = await world.endpoint("hook.example")
        server.answer = DOWN
        world.gateway()
        for _ in range(6):
            await world.happen("a")
            await asyncio.sleep(DAY_S)
        after = await world.endpoints.find(endpoint.id)
        assert after is not None
        assert after.state is EndpointState.DISABLED
        assert "every attempt has failed for 5" in after.state_reason
        assert [each.kind for each in world.alerts.standing()] == [AlertKind.ENDPOINT_DISABLED]
        assert await world.all(DeliveryState.PENDING) == []


async def test_dead_and_slow_endpoints_delay_nobody() -> None:
    async with fleet() as world:
        _, well = await world.endpoint("well.example")
        for number in range(40):
            _, other = await world.endpoint(f"pit-{number}.example")
            other.answer, other.takes_s = (OK, 60.0) if number % 2 else (DOWN, 0.0)
        world.gateway()
        for _ in range(3):  # until it is known who is slow
            await world.happen("a")
            await asyncio.sleep(30)
        well.got.clear()
        for _ in range(50):
            happened_s = world.clock.monotonic()
            await world.happen("a")
            await asyncio.sleep(2)
            assert well.got[-1].at_s - happened_s < 0.5
            await asyncio.sleep(1)


async def test_no_more_at_once_and_no_faster_than_an_endpoint_allows() -> None:
    async with fleet() as world:
        _, few = await world.endpoint("few.example", concurrency=3)
        _, slow = await world.endpoint("slow.example", rate_per_s=10)
        few.takes_s = 0.5
        world.gateway()
        await world.happen(*(f"chat-{number}" for number in range(100)))
        await world.until_quiet()
        assert few.most_at_once == 3
        assert len(slow.taken) == 100
        assert slow.got[-1].at_s - slow.got[0].at_s >= 9.5


async def test_two_gateways_tell_each_event_once() -> None:
    async with fleet() as world:
        _, server = await world.endpoint("hook.example")
        for _ in range(2):
            world.gateway()
        told = []
        for _ in range(20):
            told += await world.happen(*"abcde")
            await asyncio.sleep(0.3)
        await world.until_quiet()
        assert Counter(server.ids) == Counter(told)


@pytest.mark.parametrize("point", ["delivery answered", "delivery recorded"])
async def test_a_gateway_that_dies_at_a_commit_point_loses_nothing(point: str) -> None:
    async with fleet() as world:
        _, server = await world.endpoint("hook.example", ordered=True)
        told = []
        for _ in range(4):
            died = asyncio.Event()

            def die(reached: str, died: asyncio.Event = died) -> None:
                if reached == point:
                    died.set()
                    raise asyncio.CancelledError

            dying = world.gateway(reached=die)
            told += await world.happen("a", "b", "a")
            await died.wait()
            dying.cancel()
            with suppress(asyncio.CancelledError, BaseExceptionGroup):
                await dying
        world.gateway()
        await world.until_quiet()
        assert set(server.ids) == set(told)
        again = [each for each, times in Counter(server.ids).items() if times > 1]
        assert point == "delivery answered" or not again
        firsts = list(dict.fromkeys(got.id for got in server.taken if got.data["chat"] == "a"))
        assert firsts == sorted(firsts)


async def test_a_delivery_is_replayed_under_its_own_id() -> None:
    async with fleet() as world:
        _, server = await world.endpoint("hook.example")
        world.gateway()
        await world.happen("a")
        await world.until_quiet()
        [delivery] = await world.all()
        assert await world.operations.replay([delivery.id]) == {delivery.id}
        assert await world.operations.replay([delivery.id]) == set(), "it waits already"
        await world.until_quiet()
        assert server.ids == ["event-000001", "event-000001"]
        [again] = await world.all()
        assert (again.attempts, again.state) == (2, DeliveryState.DELIVERED)


async def test_a_new_endpoint_can_be_told_what_was_before_it() -> None:
    async with fleet() as world:
        since = world.clock.now()
        await world.happen("a", "b")
        endpoint, server = await world.endpoint("hook.example")
        world.gateway()
        await asyncio.sleep(5)
        assert server.got == []
        assert await world.operations.replay_events(endpoint, since=since, until=None, only=None) == 2
        await world.until_quiet()
        assert sorted(server.ids) == ["event-000001", "event-000002"]


async def test_many_are_replayed() -> None:
    async with fleet() as world:
        _, server = await world.endpoint("hook.example", concurrency=32)
        world.gateway()
        for _ in range(4):
            await world.happen(*(f"chat-{number}" for number in range(500)))
        await world.until_quiet()
        [first, *_] = await world.all()
        endpoint = await world.endpoints.find(first.endpoint_id)
        assert endpoint is not None
        since = world.clock.now() - timedelta(days=1)
        assert await world.operations.replay_events(endpoint, since=since, until=None, only=None) == 2_000
        await world.until_quiet()
        assert Counter(server.ids).most_common()[-1][1] == 2


async def test_both_secrets_sign_after_a_rotation_and_then_the_new_one() -> None:
    async with fleet() as world:
        endpoint, server = await world.endpoint("hook.example")
        world.gateway()
        before = server.secret
        made = await world.operations.rotate(endpoint, None, keep_s=3600)
        await world.happen("a")
        await asyncio.sleep(2)
        assert is_signed(server.taken[-1], before)
        assert is_signed(server.taken[-1], made.secret)
        await asyncio.sleep(3600)
        await world.happen("a")
        await asyncio.sleep(2)
        assert not is_signed(server.taken[-1], before)
        assert is_signed(server.taken[-1], made.secret)


async def test_an_event_that_cannot_be_told_fails_alone() -> None:
    async with fleet() as world:
        endpoint, server = await world.endpoint("hook.example", ordered=True)
        await world.happen("a", "a")

        def spoil(connection: Any) -> None:
            connection.exec_driver_sql(
                "UPDATE events SET payload = '{\"message\": {\"n\": 1e999}}' WHERE id = 'event-000001'"
            )

        await world.database.write(spoil)
        world.gateway()
        await world.until_quiet()
        assert server.ids == ["event-000002"]
        [dead] = await world.all(DeliveryState.DEAD)
        assert dead.reason.startswith("the event cannot be told")
        after = await world.endpoints.find(endpoint.id)
        assert after is not None
        assert after.health.failures == 0


async def test_what_was_not_told_is_known_after_the_event_is_forgotten() -> None:
    async with fleet() as world:
        await world.endpoint("hook.example")
        await world.happen("a")
        await world.database.write(lambda c: c.exec_driver_sql("DELETE FROM events"))
        world.gateway()
        await world.until_quiet()
        [dead] = await world.all(DeliveryState.DEAD)
        assert dead.reason == "the event was forgotten before it was told"


@pytest.mark.parametrize(
    "url", ["https://10.0.0.1/", "https://nowhere.example/", "https://u@hook.example/", "ftp://x/"]
)
async def test_a_url_that_cannot_be_called_is_refused(url: str) -> None:
    from homing.model.deliveries.endpoints import EndpointSettings

    async with fleet() as world:
        with pytest.raises(Problem) as met:
            await world.operations.create(1, EndpointSettings(url))  # type: ignore[arg-type]
        assert met.value.code is Code.URL_REFUSED


async def test_a_full_backlog_takes_nothing_more_and_what_came_is_a_dead_letter() -> None:
    async with fleet() as world:
        _, server = await world.endpoint("hook.example")
        server.answer = DOWN
        await world.happen("a", "b", "c")
        assert len(await world.deliveries.bound(most=2)) == 1
        await world.happen("d")
        [dead] = await world.all(DeliveryState.DEAD)
        assert dead.event_id == "event-000004"
        assert await world.operations.replay([DeliveryId(dead.id)]) == {dead.id}
