"""A process that stands with the write lock of the database file."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from clocks import SteppedClock
from homing.flows.failover.sqlite_lock_watchdog import LOOK_EVERY_S, LOOKS, Unblocking
from homing.model.locks import LockHolder

INSTANCE = LockHolder(
    7, ("/opt/venv/bin/python", "/opt/venv/bin/homing", "instance", "--port", "3001"), is_stopped=True
)
SHELL = LockHolder(8, ("sqlite3", "homing.db"), is_stopped=True)
RUNNING = LockHolder(7, INSTANCE.command, is_stopped=False)


@dataclass
class Lock:
    at: LockHolder | None
    ended: list[int] = field(default_factory=list)

    def holder(self) -> LockHolder | None:
        return self.at

    def end(self, holder: LockHolder) -> bool:
        self.ended.append(holder.pid)
        self.at = None
        return True


async def nobody_asks(mark: str) -> None:
    """Who was ended."""


async def looked_at(lock: Lock, for_s: float, *, ends: bool = True) -> Lock:
    unblocking = Unblocking(lock, SteppedClock(), nobody_asks, ends=ends)
    for _ in range(int(for_s / LOOK_EVERY_S) + 1):
        await unblocking.look()
    return lock


async def test_an_instance_that_stands_with_the_lock_is_ended() -> None:
    assert (await looked_at(Lock(INSTANCE), LOOKS * LOOK_EVERY_S)).ended == [7]


async def test_a_stall_of_two_seconds_is_borne() -> None:
    assert (await looked_at(Lock(INSTANCE), 2.0)).ended == []


async def test_whoever_was_ended_is_told_of_by_its_mark() -> None:
    told: list[str] = []

    async def ended(mark: str) -> None:
        told.append(mark)

    for mark in ("a-mark", ""):
        unblocking = Unblocking(Lock(replace(INSTANCE, mark=mark)), SteppedClock(), ended, ends=True)
        for _ in range(LOOKS):
            await unblocking.look()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert told == ["a-mark"]


@pytest.mark.parametrize("holder", [RUNNING, SHELL, None], ids=["it runs", "somebody else's", "nobody"])
async def test_nobody_else_is_touched(holder: LockHolder | None) -> None:
    assert (await looked_at(Lock(holder), 60.0)).ended == []


async def test_where_it_is_not_wanted_it_is_only_spoken_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert (await looked_at(Lock(INSTANCE), 12.0, ends=False)).ended == []
    told = capsys.readouterr().out
    assert told.count("The database file is locked") == 1
    assert "kill -CONT 7" in told


async def test_whoever_went_on_in_between_begins_anew() -> None:
    lock = Lock(INSTANCE)
    unblocking = Unblocking(lock, SteppedClock(), nobody_asks, ends=True)
    for at in [INSTANCE] * (LOOKS - 1) + [RUNNING] + [INSTANCE] * (LOOKS - 1):
        lock.at = at
        await unblocking.look()
    assert lock.ended == []


async def test_one_that_stood_after_another_has_its_own_time() -> None:
    lock = Lock(INSTANCE)
    unblocking = Unblocking(lock, SteppedClock(), nobody_asks, ends=True)
    for pid in [7] * (LOOKS - 1) + [9] * (LOOKS - 1):
        lock.at = replace(INSTANCE, pid=pid)
        await unblocking.look()
    assert lock.ended == []


async def test_time_in_which_we_did_not_look_proves_nothing() -> None:
    clock, lock = SteppedClock(), Lock(INSTANCE)
    unblocking = Unblocking(lock, clock, nobody_asks, ends=True)
    await unblocking.look()
    clock.advance(3_600.0)
    await unblocking.look()
    assert lock.ended == []


@pytest.mark.parametrize(
    ("command", "is_one"),
    [
        (("python", "-m", "homing.cli", "instance", "--port", "3001"), True),
        (("homing", "serve"), False),
        (("python", "instance", "homing"), False),
        (("",), False),
    ],
)
async def test_our_instances_are_known_by_their_command(command: tuple[str, ...], is_one: bool) -> None:
    assert LockHolder(1, command, is_stopped=True).is_instance is is_one
