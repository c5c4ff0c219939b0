"""What keeping and telling the state costs: it follows what changes, not how much there is. Counted in calls."""

import asyncio
import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import pytest
from sqlalchemy.util import greenlet_spawn

from homing.decide.knowledge.standing import Standing
from homing.model.fleet import (
    Account,
    AccountUuid,
    Epoch,
    InstanceUrl,
    Placement,
    PlacementState,
    SessionId,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.serve.state.book import Scope, SessionBook
from homing.serve.state.feed import Channel
from homing.serve.state.finding import Finder, SessionSearch
from homing.serve.state.live import Change
from homing.serve.state.rows import AlertRow, InstanceRow
from homing.serve.state.shelves import SHELF, Shelves
from homing.store.db.many_rows import in_turns

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
FEW, MANY = 200, 20_000
ON_EACH = 20
CONNECTED = (SessionStatus.CONNECTED, Standing.CONNECTED)


def url_of(number: int) -> InstanceUrl:
    return InstanceUrl(f"http://node-{number}:3000")


def kept(number: int, **more: Any) -> Account:
    placement = Placement(SessionId(f"webjs_1_{number:032x}"), url_of(number // ON_EACH), Epoch(1), PlacementState.HELD)
    account = Account(
        number + 1,
        AccountUuid(f"00000000-0000-7000-8000-{number:012}"),
        WorkspaceId(1 + number % 3),
        f"62812{number * 7919 % 1_000_003:08}",
        f"name-{number:05}.",
        placement,
        SessionStatus.CONNECTED,
        Takeover.AUTO,
        NOW,
    )
    return replace(account, **more) if more else account


def book_of(number: int) -> SessionBook:
    book = SessionBook()
    for each in range(number):
        book.put(kept(each), *CONNECTED)
    book.touched()
    return book


def calls(act: Callable[[], object]) -> int:
    """How many functions, of Python's own too, are called meanwhile."""
    counted = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(None)
    return counted


@dataclass
class Waits:
    """A clock that only counts how often somebody let others have their turn."""

    times: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.times.append(seconds)


def finder(book: SessionBook, clock: Waits | None = None) -> Finder:
    return Finder(book, lambda _: (), dict, cast("Any", clock or Waits()))


# --- the book -------------------------------------------------------------------------------------------------


def test_a_session_that_stands_otherwise_costs_as_much_among_many_as_among_few() -> None:
    failed = (SessionStatus.FAILED, Standing.FAILED)
    costs = []
    for number in (FEW, MANY):
        book, account = book_of(number), kept(number // 2)
        costs.append(calls(partial(book.put, account, *failed)))
    few, many = costs
    assert many <= few + 4, "a shelf more or less"


def test_the_instances_of_what_changed_are_known_and_no_others() -> None:
    book = book_of(FEW)
    book.put(kept(5, placement=replace(kept(5).placement, instance_url=url_of(7))), *CONNECTED)
    book.put(kept(8), *CONNECTED)
    assert book.touched() == {url_of(0), url_of(7)}, "where it was and where it is"
    assert not book.touched()
    assert kept(5).session_id in book.on(url_of(7))
    assert kept(5).session_id not in book.on(url_of(0))


def test_names_stay_in_order_whatever_comes_and_goes() -> None:
    chance, shelves, known = random.Random(7), Shelves[tuple[str, str]](), set[tuple[str, str]]()
    for _ in range(6 * SHELF):
        pair = (f"{chance.randrange(4 * SHELF):06}", "s")
        if pair in known:
            known.discard(pair)
            shelves.remove(pair)
        else:
            known.add(pair)
            shelves.add(pair)
    assert list(shelves) == sorted(known)
    assert len(shelves) == len(known)
    begin = len(known) // 2
    assert list(shelves.part(begin, 50)) == sorted(known)[begin : begin + 50]
    for pair in sorted(known):
        shelves.remove(pair)
    assert list(shelves) == []
    with pytest.raises(ValueError, match="000001"):
        shelves.remove(("000001", "s"))


# --- telling --------------------------------------------------------------------------------------------------


class Told:
    """What a channel asks: so many instances, of which it is counted how often one is looked at."""

    directory_away = None

    def __init__(self, number: int) -> None:
        self.book, self.number, self.asked = book_of(number), number // ON_EACH, 0

    def instance(self, url: InstanceUrl, _: Scope) -> InstanceRow | None:
        self.asked += 1
        row = (url, "n", "webjs", None, "route", "active", "healthy", "", None, None)
        there, can_send = self.book.placed_on(None, url), self.book.can_send_on(None, url)
        return InstanceRow(1, *row, there, can_send) if there else None

    def instances(self, scope: Scope) -> list[InstanceRow]:
        return [row for number in range(self.number) if (row := self.instance(url_of(number), scope)) is not None]

    def alerts(self, _: Scope) -> list[AlertRow]:
        self.asked += 1
        return []

    def brake(self, _: Scope) -> None: ...

    def automation(self, _: Scope) -> None: ...


@pytest.mark.parametrize("number", [FEW, MANY])
def test_a_change_is_told_by_looking_at_its_instance_and_at_no_other(number: int) -> None:
    live = Told(number)
    channel = Channel(None, cast("Any", live), 1)
    live.asked = 0
    live.book.put(kept(5), SessionStatus.FAILED, Standing.FAILED)
    channel.tell(Change(sessions={kept(5).session_id}, instances=live.book.touched()), "boot", 2, NOW)
    assert live.asked == 1
    [(_, frame)] = channel.since(1) or []
    delta = json.loads(frame.split(b"data: ")[1])
    assert [(row["url"], row["sessions"], row["can_send"]) for row in delta["instances"]] == [
        (url_of(0), ON_EACH, ON_EACH - 1)
    ]


# --- finding --------------------------------------------------------------------------------------------------


async def test_a_page_of_all_is_the_worst_first_then_by_phone_from_any_place_on() -> None:
    book = book_of(MANY // 10)
    for number in range(0, 300, 3):
        book.put(kept(number), SessionStatus.FAILED, Standing.FAILED)
    everybody = sorted(range(MANY // 10), key=lambda each: (each >= 300 or each % 3 > 0, kept(each).phone))
    found = await finder(book).found(SessionSearch(), 1, 90, 40)
    assert list(found.sessions) == [kept(each).session_id for each in everybody[90:130]]
    assert found.total == MANY // 10
    of_one = await finder(book).found(SessionSearch(WorkspaceId(1)), 1, 0, 10**6)
    assert list(of_one.sessions) == [kept(each).session_id for each in everybody if each % 3 == 0]


def test_a_page_of_all_looks_through_no_others() -> None:
    few, many = (_sent(finder(book_of(number)).found(SessionSearch(), 1, 0, 100)) for number in (FEW, MANY))
    assert many <= few + 4


def _sent(asked: Any) -> int:
    """The calls of something that waits for nothing."""

    def run() -> None:
        with pytest.raises(StopIteration):
            asked.send(None)

    return calls(run)


async def test_a_search_through_very_many_lets_others_have_their_turn() -> None:
    clock = Waits()
    found = await finder(book_of(MANY), clock).found(SessionSearch(text="name-19999."), 1, 0, 10)
    assert list(found.sessions) == [kept(19_999).session_id]
    assert len(clock.times) >= 3


async def test_what_was_typed_is_found_in_names_and_digits_in_phones() -> None:
    book, text = book_of(FEW), kept(77).phone[4:]
    by_phone = await finder(book).found(SessionSearch(text=f"+62 {kept(77).phone[2:]}"), 1, 0, 10)
    assert list(by_phone.sessions) == [kept(77).session_id]
    assert kept(77).session_id in (await finder(book).found(SessionSearch(text=text), 1, 0, 10)).sessions
    by_name = await finder(book).found(SessionSearch(text="NAME-00077."), 1, 0, 10)
    assert list(by_name.sessions) == [kept(77).session_id]
    on_one = await finder(book).found(SessionSearch(instance_url=url_of(2), text="name"), 1, 0, 100)
    assert on_one.total == ON_EACH


# --- reading --------------------------------------------------------------------------------------------------


async def test_very_many_rows_are_read_in_turns_with_everybody_else() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(others())
    rows = await greenlet_spawn(lambda: list(in_turns(range(1_000), of=100)))
    beside.cancel()
    assert rows == list(range(1_000))
    assert turns >= 9
    assert list(in_turns(range(300), of=100)) == list(range(300)), "in a thread nobody waits"
