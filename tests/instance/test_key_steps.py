"""What changes of a device's keys goes with whatever goes next, in order, and nothing goes without it."""

import asyncio
from dataclasses import replace

import pytest

from homing.instance.session.device_state import SessionState
from homing.instance.session.ownership import Ownership
from homing.model.instances.vault import (
    Committed,
    Grant,
    Holder,
    InboxMessage,
    RatchetStep,
    Reserved,
    SessionKey,
    StaleEpoch,
    Unsent,
)
from homing.ports import StoreUnavailable

GRANT = Grant("s1", 1, Holder("http://one", "boot"), None, 1)
HELLO = InboxMessage("3AFF", "digest", b"hello")


def key(value: str, name: str = "a") -> SessionKey:
    return SessionKey("session", name, value.encode())


class Vault:
    """Notes each step as it is kept, and is away or refuses when it is told so."""

    def __init__(self) -> None:
        self.steps: list[RatchetStep] = []
        self.away = False
        self.current: int | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def commit(self, grant: Grant, step: RatchetStep) -> Committed | StaleEpoch:
        await self.open.wait()
        if self.away:
            raise StoreUnavailable("away")
        if self.current is not None:
            return StaleEpoch(self.current)
        self.steps.append(step)
        kept = grant if step.login is None else replace(grant, login=step.login, login_version=7)
        return Committed(kept, [Reserved(number + 1) for number in range(len(step.unsent))])

    async def reserve(self, grant: Grant, unsent: list[Unsent]) -> list[Reserved] | StaleEpoch:
        done = await self.commit(grant, RatchetStep(unsent=unsent))
        return done if isinstance(done, StaleEpoch) else done.reservations

    async def keys(self, session_id: str, kind: str, ids: list[str]) -> dict[str, bytes]:
        if self.away:
            raise StoreUnavailable("away")
        return {each: b"stored" for each in ids if each != "none"}


class State:
    def __init__(self) -> None:
        self.vault = Vault()
        self.superseded: list[int] = []
        self.own = Ownership(GRANT, self.vault, None, 0.001)
        self.it = SessionState(
            self.own,
            self.vault,
            trusted=self.nothing,
            superseded=self.is_superseded,
            room=self.nothing,
            ask_again_s=0.001,
        )

    async def nothing(self) -> None:
        return

    def is_superseded(self, current: int) -> None:
        self.superseded.append(current)
        self.it.end()


@pytest.fixture
async def state() -> State:
    return State()


async def test_a_message_takes_along_what_sealing_it_changed(state):
    state.it.changed([key("after m1")])
    assert await state.it.reserve(GRANT, [Unsent("m1", b"frame")]) == [Reserved(1)]
    (step,) = state.vault.steps
    assert (list(step.keys), [each.message_id for each in step.unsent]) == ([key("after m1")], ["m1"])


async def test_what_came_in_goes_with_the_keys_that_reading_it_changed(state):
    state.it.changed([key("after reading")])
    assert await state.it.arrived(HELLO) is True
    (step,) = state.vault.steps
    assert (list(step.keys), list(step.arrived)) == ([key("after reading")], [HELLO])


async def test_a_message_that_is_reserved_meanwhile_takes_along_what_came_in(state):
    """Its keys are of later than the reading: without the message that was read they must not be kept."""
    state.it.changed([key("after reading")])
    news = state.it.arrived(HELLO)
    state.it.changed([key("after sealing")])
    await state.it.reserve(GRANT, [Unsent("m1", b"frame")])
    assert await news is True
    first = state.vault.steps[0]
    assert (list(first.keys), list(first.arrived)) == ([key("after sealing")], [HELLO])


async def test_what_the_vault_did_not_take_goes_with_the_next_step_and_later_keys_win(state):
    state.vault.away = True
    state.it.changed([key("1"), key("b1", "b")])
    with pytest.raises(StoreUnavailable):
        await state.it.reserve(GRANT, [Unsent("m1", b"frame")])
    state.it.changed([key("2")])
    state.vault.away = False
    await state.it.reserve(GRANT, [Unsent("m1", b"frame")])
    (step,) = state.vault.steps
    assert {each.id: each.value for each in step.keys} == {"a": b"2", "b": b"b1"}


async def test_what_changed_while_a_step_failed_is_not_undone_by_it(state):
    state.vault.open.clear()
    state.it.changed([key("1")])
    asking = asyncio.ensure_future(state.it.reserve(GRANT, [Unsent("m1", b"frame")]))
    await asyncio.sleep(0.01)
    state.it.changed([key("2")])
    state.vault.away = True
    state.vault.open.set()
    with pytest.raises(StoreUnavailable):
        await asking
    state.vault.away = False
    await state.it.reserve(GRANT, [Unsent("m1", b"frame")])
    (step,) = state.vault.steps
    assert list(step.keys) == [key("2")]


async def test_a_vault_that_is_away_is_waited_for(state):
    state.vault.away = True
    state.it.changed([key("1")])
    done = asyncio.ensure_future(state.it.committed({"noise": "new"}))
    asked = asyncio.ensure_future(state.it.get("session", ["other"]))
    await asyncio.sleep(0.02)
    assert not done.done() and not asked.done()
    state.vault.away = False
    assert await done is True
    assert await asked == {"other": b"stored"}
    assert (state.own.grant.login, state.own.grant.login_version) == ({"noise": "new"}, 7)


async def test_what_changed_is_read_at_once_and_what_is_gone_is_gone(state):
    state.vault.open.clear()
    state.it.changed([key("new"), SessionKey("session", "b", None)])
    writing = asyncio.ensure_future(state.it.committed())
    await asyncio.sleep(0.01)
    state.it.changed([key("newer", "c")])
    told = await state.it.get("session", ["a", "b", "c", "d", "none"])
    assert told == {"a": b"new", "c": b"newer", "d": b"stored"}
    state.vault.open.set()
    await writing


async def test_who_is_superseded_hears_that_nothing_may_leave(state):
    state.vault.current = 2
    state.it.changed([key("1")])
    news, done = state.it.arrived(HELLO), asyncio.ensure_future(state.it.committed())
    assert await done is False
    assert await news is None
    assert (state.superseded, state.vault.steps) == ([2], [])
    assert await state.it.committed() is False
    assert await state.it.arrived(HELLO) is None
