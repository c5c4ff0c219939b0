"""Processes of a simulation: all that runs in one is frozen, woken and killed together.

What belongs to a process carries it in its context, as tasks and callbacks inherit it from whoever began them. So a
process can stop in the middle of anything, at any point where it waits, and none of its code learns of it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from enum import Enum
from typing import Any, TypeVarTuple, Unpack

from homing.lab.sim.loop import OWNER, VirtualLoop

Args = TypeVarTuple("Args")


class ProcessState(Enum):
    """What a process is doing."""

    RUNNING = "running"
    FROZEN = "frozen"
    DEAD = "dead"


class Process:
    """One process. What is begun with `call` and `spawn` belongs to it."""

    def __init__(self, name: str, loop: VirtualLoop) -> None:
        self.name = name
        self.standing = ProcessState.RUNNING
        self._loop = loop
        self._context = Context()
        self._context.run(OWNER.set, self)
        self._last_words: list[Callable[[], None]] = []
        self.main: asyncio.Task[Any] | None = None

    @property
    def lives(self) -> bool:
        return self.standing is not ProcessState.DEAD

    def call(self, work: Callable[[Unpack[Args]], object], *args: *Args) -> None:
        """Let it do this, as soon as it can."""
        self._loop.call_soon(work, *args, context=self._context)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self._loop.create_task(work, context=self._context)

    def when_it_dies(self, hear: Callable[[], None]) -> None:
        """What the kernel does for it then: close its connections."""
        self._last_words.append(hear)

    def freeze(self) -> None:
        if self.standing is ProcessState.RUNNING:
            self.standing = ProcessState.FROZEN
            self._loop.halted[self] = []

    def wake(self) -> None:
        if self.standing is ProcessState.FROZEN:
            self.standing = ProcessState.RUNNING
            for step in self._loop.halted.pop(self):
                self._loop.resume(step)

    def kill(self) -> None:
        """It ends this very moment: nothing of it runs any more, not even what would tidy up."""
        if self.standing is not ProcessState.DEAD:
            self.standing = ProcessState.DEAD
            # What would still have run in it is kept: given up, it would tidy up after itself.
            self._loop.halted.setdefault(self, [])
            for hear in self._last_words:
                hear()


def nobody() -> Context:
    """A context that belongs to no process: the network's, the weather's."""
    return Context()


def running_in() -> str:
    """The name of the process that runs this; empty for the world around them."""
    process = OWNER.get()
    return process.name if isinstance(process, Process) else ""


def settle(future: "asyncio.Future[None]") -> None:
    """For timers: who waited may have been cancelled in the meantime."""
    if not future.done():
        future.set_result(None)
