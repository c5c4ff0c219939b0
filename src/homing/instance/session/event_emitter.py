"""Telling a listener what happens to one session, in the order in which it happens."""

import asyncio
from collections.abc import Callable

import structlog

from homing.instance.notify.events import HostEvent, MessageReceived, OnHostEvent
from homing.instance.session.tasks import Tasks

log = structlog.get_logger("homing")


class Telling:
    """One session's listener, if there is one."""

    def __init__(self, session_id: str, on_event: OnHostEvent | None, tasks: Tasks, offer_again_s: float) -> None:
        self._session_id = session_id
        self._on_event = on_event
        self._tasks = tasks
        self._offer_again_s = offer_again_s
        self._turn = asyncio.Lock()

    def tell(self, event: HostEvent) -> None:
        if self._on_event is not None:
            self._tasks.spawn(self._told(self._on_event, event))

    async def kept(self, describe: Callable[[], MessageReceived], *, still: Callable[[], bool]) -> bool:
        """Whether the listener has the message. It is asked again as long as ``still`` says so, so that the order
        stays.
        """
        async with self._turn:
            if self._on_event is None:
                return True
            event, refused = describe(), False
            while still():
                try:
                    await self._on_event(event)
                    return True
                except OSError as problem:
                    if not refused:
                        log.warning(
                            "Inbound messages wait in the vault for their listener",
                            session_id=self._session_id,
                            error=str(problem),
                        )
                    refused = True
                await asyncio.sleep(self._offer_again_s)
            return False

    async def all_told(self) -> None:
        """Returns once the listener has heard of all that happened until now."""
        await asyncio.sleep(0)  # what happened just now takes its place in the line
        async with self._turn:
            return

    async def _told(self, on_event: OnHostEvent, event: HostEvent) -> None:
        async with self._turn:
            try:
                await on_event(event)
            except OSError as problem:
                log.warning(
                    "Event could not be told",
                    session_id=self._session_id,
                    event_type=type(event).__name__,
                    error=str(problem),
                )
