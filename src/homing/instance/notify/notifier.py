"""Tells the gateway what happens to the sessions of this instance: at least once, in order for each session.

A notification is in the journal before its event counts as told, and stays there until the gateway has it. The
oldest one of a session is tried until it is delivered or given up, and only then the next; sessions do not wait for
each other.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from random import Random
from typing import assert_never

import structlog

from homing.instance.notify.events import HostEvent
from homing.instance.notify.journal import Journal
from homing.instance.notify.notifications import Notification, headers, notification
from homing.instance.notify.retries import (
    Again,
    Delivered,
    GivenUp,
    NoAnswer,
    NotifyAnswer,
    NotifyRetryPolicy,
    clock_off_s,
    judge,
)

log = structlog.get_logger("homing")
_SAME_TIME_S = 2.0
_CLOCKS_MAX = 4
"""Behind one address there may be several gateways, one of them with a clock that is off."""
Post = Callable[[bytes, Mapping[str, str]], Awaitable[NotifyAnswer]]
"""Bring a body with these headers to the gateway. Raises ``OSError`` when nobody answers."""


class Notifier:
    """``tell`` is what a host's ``on_event`` needs; nothing leaves before ``start``. ``clock`` gives unix seconds."""

    def __init__(
        self,
        post: Post,
        journal: Journal,
        *,
        secret: str,
        instance_url: str,
        clock: Callable[[], float],
        random: Random,
        policy: NotifyRetryPolicy | None = None,
    ) -> None:
        self._post = post
        self._journal = journal
        self._secret = secret.encode()
        self._instance_url = instance_url
        self._clock = clock
        self._random = random
        self._policy = policy or NotifyRetryPolicy()
        self._lines: dict[str, deque[Notification]] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._parked: dict[str, None] = {}
        self._started = False
        self._places = asyncio.Semaphore(self._policy.in_flight_max)
        self._clock_off_s = 0.0
        self._away = False
        self._refuses = False
        self._takes_again = asyncio.Event()

    def start(self) -> None:
        """Begin with what an earlier boot left in the journal."""
        self._started = True
        for note in self._journal.pending():
            self._queue(note)

    async def tell(self, event: HostEvent) -> None:
        """Returns once the notification is durable. Raises ``OSError`` when it cannot be kept: nobody is told then."""
        note = notification(event, round(self._clock(), 3), self._fresh_id)
        if note is None:
            return
        if self._journal.add(note) and self._started:
            self._queue(note)
        await self._journal.durable()

    def backlog(self) -> dict[str, int]:
        """How many notifications wait, and how many sessions are down to the slow pace."""
        return {"pending": len(self._journal), "parked": len(self._parked)}

    async def stop(self) -> None:
        """No further attempts; what is not delivered stays for the next boot."""
        self._started = False
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._journal.close()

    # One session's line

    def _queue(self, note: Notification) -> None:
        line = self._lines.get(note.session_id)
        if line is not None:
            line.append(note)
            return
        self._lines[note.session_id] = line = deque([note])
        task = asyncio.get_running_loop().create_task(self._work_off(note.session_id, line))
        self._tasks[task] = None
        task.add_done_callback(partial(self._ended, note.session_id))

    async def _work_off(self, session_id: str, line: deque[Notification]) -> None:
        try:
            while line:
                await self._bring(line[0])
                self._journal.finish(line.popleft())
                self._parked.pop(session_id, None)
        finally:
            del self._lines[session_id]

    def _ended(self, session_id: str, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and task.exception() is not None:
            log.error(
                "Notifications of a session wait for the next boot", session_id=session_id, exc_info=task.exception()
            )

    async def _bring(self, note: Notification) -> None:
        """Returns once the gateway has it, or never will."""
        failures = 0
        while True:
            takes_again = self._takes_again
            answer = await self._attempt(note)
            next_step = self._judged(note, answer, failures)
            match next_step:
                case Delivered():
                    self._gateway_takes_them()
                    return
                case GivenUp(reason):
                    log.error("Notification is given up", session_id=note.session_id, id=note.id, reason=reason)
                    return
                case Again():
                    failures += 1
                    self._refuses = True
                    self._note_wait(note, next_step)
                    await _wait(next_step, takes_again)
                case _:
                    assert_never(next_step)

    def _judged(
        self, note: Notification, answer: NotifyAnswer | NoAnswer, failures: int
    ) -> Delivered | GivenUp | Again:
        now = self._clock()
        return judge(
            answer,
            self._policy,
            failures=failures,
            age_s=now - note.at,
            jitter=self._random.random(),
            now=now,
            scouts=next(iter(self._parked), note.session_id) == note.session_id,
        )

    async def _attempt(self, note: Notification) -> NotifyAnswer | NoAnswer:
        answer = await self._posted(note)
        for _ in range(_CLOCKS_MAX):
            if not self._learns_the_time(answer):
                break
            answer = await self._posted(note)
        return answer

    async def _posted(self, note: Notification) -> NotifyAnswer | NoAnswer:
        async with self._places:
            at = self._clock() + self._clock_off_s
            try:
                async with asyncio.timeout(self._policy.timeout_s):
                    answer = await self._post(note.body, headers(note, self._secret, self._instance_url, at))
            except OSError as problem:  # a timeout is one
                self._gateway_is_away(problem)
                return NoAnswer(f"no answer ({_what(problem)})")
        self._gateway_is_there()
        return answer

    def _note_wait(self, note: Notification, again: Again) -> None:
        if not again.parked or note.session_id in self._parked:
            return
        self._parked[note.session_id] = None
        if not self._away:
            log.warning(
                "Notification waits, and is offered again", session_id=note.session_id, id=note.id, reason=again.reason
            )

    def _learns_the_time(self, answer: NotifyAnswer | NoAnswer) -> bool:
        """Whether the gateway refused us for our clock, and told its own: from then on we sign by that one."""
        off_s = clock_off_s(answer, self._clock())
        if off_s is None or abs(off_s - self._clock_off_s) <= _SAME_TIME_S:
            return False
        log.warning("Notifications are signed by the gateway's clock, which ours is apart from", apart_s=round(off_s))
        self._clock_off_s = off_s
        return True

    # Is anybody there?

    def _gateway_is_away(self, problem: OSError) -> None:
        if not self._away:
            self._away = True
            log.warning("Gateway does not answer; notifications wait in the journal", error=_what(problem))

    def _gateway_is_there(self) -> None:
        if self._away:
            self._away = False
            log.warning("Gateway answers again and is told what waits", notifications=len(self._journal))

    def _gateway_takes_them(self) -> None:
        if self._refuses:
            self._refuses = False
            self._takes_again.set()
            self._takes_again = asyncio.Event()

    def _fresh_id(self) -> str:
        return f"{self._random.getrandbits(128):032x}"


async def _wait(again: Again, takes_again: asyncio.Event) -> None:
    await asyncio.sleep(again.soonest_s)
    with suppress(TimeoutError):
        async with asyncio.timeout(again.after_s - again.soonest_s):
            await takes_again.wait()


def _what(problem: OSError) -> str:
    return str(problem) or type(problem).__name__
