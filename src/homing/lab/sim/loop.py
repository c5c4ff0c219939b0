"""An event loop whose time is virtual and whose order comes from a seed.

When nothing is ready, time jumps to the next timer, so hours pass in milliseconds. Of the callbacks that are ready,
the seed picks the next one, so that each seed tries another interleaving and repeats it exactly, in any process.
Nothing outside may have a say in that: sockets, threads and signals are refused.

It stands on private names of `asyncio.BaseEventLoop`, the same in CPython 3.11 to 3.13; `PRIVATE_NAMES` lists them.
"""

import asyncio
import heapq
import random
import struct
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from hashlib import blake2b
from math import inf
from typing import Any, TypeVar

from homing.lab.sim.deadlock import waiting_tasks

T = TypeVar("T")

PRIVATE_NAMES = ("_closed", "_run_once", "_ready", "_stopping", "_thread_id")

OWNER: ContextVar[object] = ContextVar("owner", default=None)
"""Whose a callback is: it has that from the context in which it was asked for, as tasks and all they begin have."""

_choice = struct.Struct("<dII").pack
_CHOICES_KEPT_BYTES = 1 << 16

_REAL_WORLD = (
    "add_reader",
    "add_signal_handler",
    "add_writer",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "getaddrinfo",
    "getnameinfo",
    "run_in_executor",
    "sendfile",
    "sock_accept",
    "sock_connect",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendfile",
    "sock_sendto",
    "start_tls",
    "subprocess_exec",
    "subprocess_shell",
)


class RealWorldRefused(Exception):
    """Something asked virtual time for a socket, a thread or a signal. Give it a simulated one instead."""


class Deadlock(Exception):
    """Nothing is ready, no timer is set, and the work is not done: it never will be. The message names who waits."""


class VirtualLimit(Exception):
    """The run took more virtual seconds or more steps than it was allowed, or time stood still."""


class LoopStep:
    """One callback: what is asked of `asyncio.Handle` and `TimerHandle`, and nothing for debugging."""

    __slots__ = ("args", "callback", "context", "is_cancelled")

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...], context: Context | None) -> None:
        self.callback, self.args = callback, args
        self.context = copy_context() if context is None else context
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled


class VirtualLoop(asyncio.BaseEventLoop):
    """One run of virtual time, beginning at 0 s.

    Without `shuffle`, what is ready runs in the order in which it became so, as on a real loop. `limit_s` is in
    virtual seconds, `limit_steps` counts callbacks, and `still_steps` those of one moment: beyond, time stands still.
    """

    _closed: bool
    _ready: deque[LoopStep]
    _stopping: bool
    _thread_id: int | None

    def __init__(
        self,
        seed: int = 0,
        *,
        shuffle: bool = True,
        limit_s: float | None = None,
        limit_steps: int | None = None,
        still_steps: int = 1_000_000,
    ) -> None:
        super().__init__()
        self._now_s = 0.0
        self._timers: list[tuple[float, int, LoopStep]] = []
        self._steps = 0
        self._chance = random.Random(f"order {seed}").random if shuffle else None  # noqa: S311 - to be repeatable
        self._limit_s = limit_s
        self._limit_steps: float = limit_steps if limit_steps is not None else inf
        self._still_steps: float = still_steps
        self._limit_here = min(self._limit_steps, self._still_steps)
        self._made = 0
        self._trace = blake2b(digest_size=16)
        self._choices = bytearray()
        self._trespass: RealWorldRefused | None = None
        self._deadlock: Deadlock | None = None
        # Every future and task that is made asks this, and what C does itself it answers soonest.
        self.get_debug = False.__bool__  # type: ignore[method-assign]
        self.halted: dict[object, list[LoopStep]] = {}
        """Owners of whose callbacks none may run at present, each with those whose turn came meanwhile, in order."""

    @property
    def steps(self) -> int:
        """How many callbacks have run."""
        return self._steps

    def trace_hash(self) -> str:
        """A fingerprint of every choice and every `note` so far: the same run has the same one, in any process."""
        self._note_choices()
        return self._trace.hexdigest()

    def note(self, words: str) -> None:
        """Let something that happened be part of the fingerprint."""
        self._note_choices()
        self._trace.update(words.encode("utf-8", "surrogatepass"))

    def _note_choices(self) -> None:
        self._trace.update(self._choices)
        self._choices.clear()

    def resume(self, step: LoopStep) -> None:
        """Make ready again what might not run before."""
        self._ready.append(step)

    # --- what asyncio asks of a loop ------------------------------------------------------------------------

    def time(self) -> float:
        return self._now_s

    def create_future(self) -> "asyncio.Future[Any]":
        return _Future(loop=self)

    def create_task(  # type: ignore[override]  # later versions pass more
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None, **more: Any
    ) -> "asyncio.Task[T]":
        self._check_closed()  # type: ignore[attr-defined]
        return _Task(coro, loop=self, name=name or f"task {self.next_number()}", context=context, **more)

    def call_soon(  # type: ignore[override]  # the same, less generic
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> LoopStep:
        if self._closed:
            self._check_closed()  # type: ignore[attr-defined]
        step = LoopStep(callback, args, context)
        self._ready.append(step)
        return step

    def call_later(  # type: ignore[override]  # the same, less generic
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> LoopStep:
        return self._set_timer(self._now_s + delay, LoopStep(callback, args, context))

    def call_at(  # type: ignore[override]  # the same, less generic
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> LoopStep:
        return self._set_timer(when, LoopStep(callback, args, context))

    def _set_timer(self, when_s: float, step: LoopStep) -> LoopStep:
        if self._closed:
            self._check_closed()  # type: ignore[attr-defined]
        # Of two for the same moment, the one set first comes first.
        self._made += 1
        heapq.heappush(self._timers, (when_s, self._made, step))
        return step

    def call_soon_threadsafe(  # type: ignore[override]  # the same, less generic
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> LoopStep:
        if self._thread_id is not None and threading.get_ident() != self._thread_id:
            self._trespass = RealWorldRefused(
                f"a thread ({threading.current_thread().name}) called into virtual time, where it has no place"
            )
            raise self._trespass
        return self.call_soon(callback, *args, context=context)

    def _run_once(self) -> None:
        """Run steps, moving time on whenever none is ready, until the loop is to stop.

        All of it stands here in one piece, as it is done tens of thousands of times for each virtual minute.
        """
        ready, timers, chance, halted = self._ready, self._timers, self._chance, self.halted
        while ready or not self._stopping:
            if self._trespass is not None:
                self._report_trespass()
            if not ready:
                self._jump()
            while timers and timers[0][0] <= self._now_s:
                ready.append(heapq.heappop(timers)[2])
            self._steps += 1
            if self._steps > self._limit_here:
                self._report_limit()
            choices = len(ready)
            if choices > 1:
                place = int(chance() * choices) if chance is not None else 0
                ready[0], ready[place] = ready[place], ready[0]
                self._choices += _choice(self._now_s, choices, place)
            step = ready.popleft()
            missed = halted.get(step.context.get(OWNER)) if halted else None
            if missed is not None:
                missed.append(step)
            elif not step.is_cancelled:
                try:
                    step.context.run(step.callback, *step.args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001 - as every loop does
                    self._report_failure(step, error)
            if self._stopping:
                return

    def _report_failure(self, step: LoopStep, error: BaseException) -> None:
        self.call_exception_handler({"message": f"Exception in callback {step.callback!r}", "exception": error})

    def _report_trespass(self) -> None:
        trespass, self._trespass = self._trespass, None
        assert trespass is not None
        raise trespass

    # --- time -----------------------------------------------------------------------------------------------

    def _jump(self) -> None:
        timers = self._timers
        while timers and timers[0][2].is_cancelled:
            heapq.heappop(timers)
        if not timers:
            raise self._first_deadlock()
        due_s = timers[0][0]
        if self._limit_s is not None and due_s > self._limit_s:
            reached_s, self._limit_s = self._limit_s, None  # what tidies up afterwards may take its time
            raise VirtualLimit(f"not done within {reached_s:g} virtual seconds; {waiting_tasks(self)}")
        if due_s > self._now_s:
            self._now_s = due_s
            self._limit_here = min(self._limit_steps, self._steps + self._still_steps)
        if len(self._choices) > _CHOICES_KEPT_BYTES:
            self._note_choices()

    def _first_deadlock(self) -> Deadlock:
        """The same again if tidying up after it comes to a stop as well: the first one is the one that tells."""
        if self._deadlock is None:
            so_far = f"{self._now_s:g} s into the run"
            self._deadlock = Deadlock(f"nothing will ever happen again, {so_far}; {waiting_tasks(self)}")
        return self._deadlock

    def _report_limit(self) -> None:
        at = f"{self._now_s:g} s into the run"
        all_in_all = self._steps > self._limit_steps
        what = f"not done within {self._limit_steps:g} steps" if all_in_all else f"{self._still_steps:g} steps at once"
        # What tidies up afterwards may take its time.
        self._limit_here = self._limit_steps = 2 * self._steps
        self._still_steps = inf
        raise VirtualLimit(f"{what}, {at}; {waiting_tasks(self)}")

    # --- order ----------------------------------------------------------------------------------------------

    def next_number(self) -> int:
        """For whatever needs an order of its own, the same in every run."""
        self._made += 1
        return self._made


class _Numbered(asyncio.Future[T]):
    """Hashes to a number of its own and not to its address, so that sets of such keep one order.

    Few futures are ever put into a set, so that it gets its number then.
    """

    __slots__ = ()
    _number: int | None = None

    def __hash__(self) -> int:
        if self._number is None:
            loop = self.get_loop()
            assert isinstance(loop, VirtualLoop)
            self._number = loop.next_number()
        return self._number


class _Future(_Numbered[Any]):
    __slots__ = ()


class _Task(_Numbered[T], asyncio.Task[T]):
    __slots__ = ()


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise RealWorldRefused(f"{name} reaches into the real world, which virtual time knows nothing of")

    return refuse


for _name in _REAL_WORLD:
    setattr(VirtualLoop, _name, _refusal(_name))


def run(
    story: Coroutine[Any, Any, T],
    *,
    seed: int = 0,
    shuffle: bool = True,
    limit_s: float | None = None,
    limit_steps: int | None = None,
) -> T:
    """Run the story in virtual time and answer what it answers.

    Raises Deadlock, VirtualLimit and RealWorldRefused. What is still running when the story ends is cancelled.
    """

    def new_loop() -> VirtualLoop:
        return VirtualLoop(seed, shuffle=shuffle, limit_s=limit_s, limit_steps=limit_steps)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(story)


def current_loop() -> VirtualLoop:
    """The virtual loop that runs this."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "this is not running in virtual time"
    return loop
