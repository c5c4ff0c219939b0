"""The notifier against a gateway over real TCP: refusing, busy, broken, silent, and back again."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from gateway_sink import Sink

from homing.instance.notify.events import EventSubject, MessageReceived, Status, StatusChanged
from homing.instance.notify.gateway import GatewayLink
from homing.instance.notify.journal import Journal
from homing.instance.notify.notifications import signature
from homing.instance.notify.notifier import Notifier
from homing.instance.notify.retries import NotifyRetryPolicy

QUICK = NotifyRetryPolicy(first_pause_s=0.004, pause_max_s=0.008, parked_pause_s=0.03, timeout_s=0.2)


class Clock:
    """Seconds that pass by themselves, a little with each look."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


class Bench:
    """A sink, and notifiers on one journal."""

    def __init__(self, stack: AsyncExitStack, path: Path, sink: Sink) -> None:
        self._stack = stack
        self.path = path
        self.sink = sink
        self.clock = Clock()

    async def notifier(self, url: str | None = None, started: bool = True, **policy: float) -> Notifier:
        gateway = await GatewayLink.open(url or self.sink.url, 8)
        self._stack.push_async_callback(gateway.close)
        notifier = Notifier(
            gateway.notify,
            await Journal.open(self.path),
            secret="secret",
            instance_url="http://one",
            clock=self.clock,
            random=Random(7),
            policy=replace(QUICK, **policy),
        )
        if started:
            notifier.start()
        self._stack.push_async_callback(notifier.stop)
        return notifier


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        yield Bench(stack, tmp_path / "one.jsonl", await stack.enter_async_context(Sink()))
    await asyncio.sleep(0.005)  # the last connections close


def message(n: int, session: str = "s1") -> MessageReceived:
    return MessageReceived(EventSubject(session, 7, 3), f"3A{n:02}", "62899", f"text {n}", "")


READY = StatusChanged(EventSubject("s1", 7, 3), Status.CONNECTED, "62810", None)


def texts(sink: Sink, session: str = "s1") -> list[str]:
    return [each.told["data"]["message"]["body"] for each in sink.accepted if each.session == session]


async def test_a_notification_arrives_signed_and_named(bench, eventually):
    notifier = await bench.notifier()
    await notifier.tell(READY)
    await eventually(lambda: notifier.backlog()["pending"] == 0)
    (arrival,) = bench.sink.arrivals
    assert arrival.told["event"] == "session_ready"
    assert arrival.headers["X-Instance-Url"] == "http://one"
    assert arrival.headers["X-Homing-Event-Id"] == arrival.told["id"]
    timestamp = arrival.headers["X-Timestamp"]
    assert arrival.headers["X-HMAC-Signature"] == signature(b"secret", timestamp, arrival.raw)
    assert arrival.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("trouble", [500, 503, 429, "drop", "hang"])
async def test_after_passing_trouble_the_same_body_comes_again_signed_anew(bench, eventually, trouble):
    bench.sink.script = [trouble, trouble]
    notifier = await bench.notifier(timeout_s=0.03)
    await notifier.tell(READY)
    await eventually(lambda: len(bench.sink.accepted) == 1)
    arrivals = bench.sink.arrivals
    assert len(arrivals) == 3
    assert len({each.raw for each in arrivals}) == 1
    assert len({each.headers["X-Homing-Event-Id"] for each in arrivals}) == 1
    assert len({each.headers["X-Timestamp"] for each in arrivals}) == 3
    assert all(
        each.headers["X-HMAC-Signature"] == signature(b"secret", each.headers["X-Timestamp"], each.raw)
        for each in arrivals
    )


async def test_a_busy_gateway_is_left_alone_as_long_as_it_asks(bench, eventually):
    bench.sink.script = [(429, {"Retry-After": "1"})]
    notifier = await bench.notifier(first_pause_s=0.001, retry_after_max_s=0.08)
    begun = asyncio.get_running_loop().time()
    await notifier.tell(READY)
    await eventually(lambda: len(bench.sink.accepted) == 1)
    assert asyncio.get_running_loop().time() - begun >= 0.08, "as long as we let anybody ask"


def given_up(logged) -> str:
    [reason] = [line["reason"] for line in logged if line["event"] == "Notification is given up"]
    return reason


async def test_an_instance_whose_clock_is_off_signs_by_the_gateways(bench, eventually, logged):
    theirs = 1_795_000_600

    def by_the_clock(arrival):
        signed_at = int(arrival.headers["X-Timestamp"])
        return 200 if abs(signed_at - theirs) < 300 else (401, {"X-Timestamp": str(theirs)})

    bench.sink.answer = by_the_clock
    notifier = await bench.notifier(first_pause_s=60.0, pause_max_s=60.0)
    for n in range(3):
        await notifier.tell(message(n))
    await eventually(lambda: texts(bench.sink) == ["text 0", "text 1", "text 2"])
    assert len(bench.sink.arrivals) == 4
    [told] = [line for line in logged if "signed by the gateway's clock" in line["event"]]
    assert told["apart_s"] != 0


async def test_a_notification_that_waited_for_its_place_is_signed_when_it_leaves(bench, eventually):
    notifier = await bench.notifier(in_flight_max=1)
    await asyncio.gather(*(notifier.tell(message(1, f"s{n}")) for n in range(20)))
    await eventually(lambda: len(bench.sink.accepted) == 20)
    signed_at = [int(each.headers["X-Timestamp"]) for each in bench.sink.arrivals]
    # The clock goes on with each look: whoever looked on leaving looked after the one before was answered and judged.
    assert all(later - sooner >= 2 for sooner, later in itertools.pairwise(signed_at))


async def test_of_gateways_with_different_clocks_one_is_reached(bench, eventually):
    ours, off = 1_795_000_000, 1_795_000_600
    bench.sink.script = [(401, {"X-Timestamp": str(clock)}) for clock in (off, ours, off, ours)]
    notifier = await bench.notifier(first_pause_s=60.0, pause_max_s=60.0)
    await notifier.tell(message(1))
    await eventually(lambda: texts(bench.sink) == ["text 1"])


async def test_a_gateway_that_never_agrees_is_not_asked_for_ever(bench, eventually):
    clocks = iter(range(1_795_000_000, 1_796_000_000, 1_000))
    bench.sink.answer = lambda _: (401, {"X-Timestamp": str(next(clocks))})
    notifier = await bench.notifier(first_pause_s=60.0, pause_max_s=60.0)
    await notifier.tell(message(1))
    await eventually(lambda: len(bench.sink.arrivals) == 5)
    await asyncio.sleep(0.05)
    assert len(bench.sink.arrivals) == 5


@pytest.mark.parametrize("named", ["", "soon", "-5", "9" * 40, "1e9"])
async def test_a_time_that_cannot_be_read_is_no_time(bench, eventually, named):
    bench.sink.script = [(401, {"X-Timestamp": named})]
    notifier = await bench.notifier()
    await notifier.tell(message(1))
    await eventually(lambda: texts(bench.sink) == ["text 1"])
    first, second = (int(each.headers["X-Timestamp"]) for each in bench.sink.arrivals)
    assert 0 < second - first < 60


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_the_gateway_does_not_want_is_given_up_aloud_and_the_next_one_goes(
    bench, eventually, logged, status
):
    bench.sink.script = [status]
    notifier = await bench.notifier()
    await notifier.tell(message(1))
    await notifier.tell(message(2))
    await eventually(lambda: notifier.backlog()["pending"] == 0)
    assert texts(bench.sink) == ["text 2"]
    assert len(bench.sink.arrivals) == 2
    assert f"the gateway answered {status}" in given_up(logged)


async def test_each_session_keeps_its_order_while_another_fails(bench, eventually):
    bench.sink.answer = lambda arrival: 500 if arrival.session == "bad" else 200
    notifier = await bench.notifier()
    for n in range(20):
        await notifier.tell(message(n, "bad"))
        await notifier.tell(message(n, "good"))
    await eventually(lambda: len(texts(bench.sink, "good")) == 20)
    assert {each.told["data"]["message"]["id"] for each in bench.sink.arrivals if each.session == "bad"} == {"3A00"}
    bench.sink.answer = lambda _: 200
    await eventually(lambda: len(texts(bench.sink, "bad")) == 20)
    for session in ("good", "bad"):
        assert texts(bench.sink, session) == [f"text {n}" for n in range(20)]


async def test_a_gateway_that_fails_longer_than_the_retries_last_still_gets_everything(bench, eventually, logged):
    bench.sink.answer = lambda _: 500
    notifier = await bench.notifier(parked_pause_s=0.01)
    await notifier.tell(message(1))
    await eventually(lambda: notifier.backlog() == {"pending": 1, "parked": 1})
    await eventually(lambda: len(bench.sink.arrivals) > 6)
    waits = [line["reason"] for line in logged if line["event"].startswith("Notification waits")]
    assert waits == ["the gateway answered 500"]
    bench.sink.answer = lambda _: 200
    await eventually(lambda: notifier.backlog() == {"pending": 0, "parked": 0})
    assert texts(bench.sink) == ["text 1"]


async def test_a_gateway_that_returns_gets_what_waits_without_the_slow_pause(bench, eventually, logged):
    notifier = await bench.notifier(parked_pause_s=60.0, retries_max=1)
    port = bench.sink.port
    await bench.sink.__aexit__()
    for session in ("s1", "s2", "s3"):
        await notifier.tell(message(1, session))
    await eventually(lambda: notifier.backlog()["parked"] == 3)
    async with Sink(port=port) as returned:
        await notifier.tell(message(1, "s4"))
        await eventually(lambda: len(returned.accepted) == 4)
    assert [line["event"].partition(";")[0] for line in logged if line["event"].startswith("Gateway")] == [
        "Gateway does not answer",
        "Gateway answers again and is told what waits",
    ]


@pytest.mark.parametrize("trouble", [503, 429, "drop"])
async def test_of_those_that_wait_for_long_one_finds_that_the_gateway_takes_them_again(bench, eventually, trouble):
    bench.sink.answer = lambda _: trouble
    notifier = await bench.notifier(parked_pause_s=60.0, retries_max=1)
    for session in ("s1", "s2", "s3"):
        await notifier.tell(message(1, session))
    await eventually(lambda: notifier.backlog()["parked"] == 3)
    bench.sink.answer = lambda _: 200
    await eventually(lambda: len(bench.sink.accepted) == 3)


async def test_one_that_always_fails_is_not_hurried_along_by_those_that_do_not(bench, eventually):
    bench.sink.answer = lambda arrival: 500 if arrival.session == "bad" else 200
    notifier = await bench.notifier(parked_pause_s=60.0, first_pause_s=30.0, pause_max_s=30.0, retries_max=0)
    await notifier.tell(message(1, "bad"))
    await eventually(lambda: notifier.backlog()["parked"] == 1)
    for n in range(20):
        await notifier.tell(message(n, "good"))
    await eventually(lambda: len(texts(bench.sink, "good")) == 20)
    assert [each.session for each in bench.sink.arrivals].count("bad") == 1


async def test_a_returning_gateway_does_not_shorten_a_pause_that_it_asked_for(bench, eventually):
    bench.sink.answer = lambda arrival: (429, {"Retry-After": "60"}) if arrival.session == "busy" else "drop"
    notifier = await bench.notifier(retries_max=0)
    await notifier.tell(message(1, "busy"))
    await notifier.tell(message(1, "cut"))
    await eventually(lambda: notifier.backlog()["parked"] == 2)
    bench.sink.answer = lambda _: 200
    await eventually(lambda: texts(bench.sink, "cut") == ["text 1"])
    await asyncio.sleep(0.02)
    assert texts(bench.sink, "busy") == []


async def test_what_is_too_old_is_given_up_aloud(bench, eventually, logged):
    bench.sink.answer = lambda _: 500
    notifier = await bench.notifier(age_max_s=10.0)
    await notifier.tell(message(1))
    await eventually(lambda: notifier.backlog()["pending"] == 0)
    assert given_up(logged) == "the gateway answered 500, and the notification is 0 h old"


async def test_only_so_many_attempts_are_under_way_at_once(bench, eventually):
    notifier = await bench.notifier(in_flight_max=3)
    await asyncio.gather(*(notifier.tell(message(1, f"s{n}")) for n in range(30)))
    await eventually(lambda: len(bench.sink.accepted) == 30)
    assert bench.sink.at_once_max == 3


async def test_the_next_boot_delivers_what_the_last_one_could_not_before_anything_new(bench, eventually):
    away = await bench.notifier(url="http://127.0.0.1:9")
    await away.tell(message(1))
    await away.tell(message(2))
    await away.stop()
    again = await bench.notifier(started=False)
    again.start()
    await again.tell(message(3))
    await eventually(lambda: again.backlog()["pending"] == 0)
    assert texts(bench.sink) == ["text 1", "text 2", "text 3"]
    await again.stop()
    last = await bench.notifier()
    assert last.backlog()["pending"] == 0, "what was delivered is gone from the journal"


async def test_a_message_offered_twice_while_it_waits_is_told_once(bench, eventually):
    notifier = await bench.notifier(url="http://127.0.0.1:9")
    await notifier.tell(message(1))
    await notifier.tell(message(1))
    assert notifier.backlog()["pending"] == 1


async def test_a_caller_that_goes_away_does_not_keep_its_notification_back(bench, eventually):
    notifier = await bench.notifier()
    caller = asyncio.create_task(notifier.tell(message(1)))
    await asyncio.sleep(0)
    caller.cancel()
    await eventually(lambda: texts(bench.sink) == ["text 1"])


async def test_an_event_counts_as_told_only_once_it_is_on_disk(bench, monkeypatch):
    notifier = await bench.notifier(started=False)

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        await notifier.tell(message(1))
    monkeypatch.undo()
    await notifier.tell(message(1))
    assert bench.path.read_text().count("text 1") >= 1


async def test_an_event_that_cannot_be_kept_is_not_told(bench, monkeypatch):
    notifier = await bench.notifier()
    monkeypatch.setattr(notifier._journal, "_pending_max_bytes", 10)
    with pytest.raises(OSError, match="is full"):
        await notifier.tell(message(1))
    assert bench.sink.arrivals == []
