"""Waiting for a database that is not there yet: any boot order works."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from homing.ports import StoreUnavailable

T = TypeVar("T")

TRY_EVERY_S = 0.5
TELL_EVERY_S = 60.0
"""A reason that changes meanwhile, as from "refused" to "starting up", is told this often at most."""

log = structlog.get_logger("homing")


async def until_there(
    open_once: Callable[[], Awaitable[T]],
    *,
    give_up_s: float | None,
    waits: Callable[[str], None] = lambda _: None,
    try_every_s: float = TRY_EVERY_S,
) -> T:
    """What `open_once` returns, once it does not raise StoreUnavailable any more.

    `waits` is told each reason. After `give_up_s` the last StoreUnavailable is raised; None never gives up. What
    waiting does not cure (StoreMisconfigured) is raised at once.
    """
    began_s = time.monotonic()
    told: tuple[str, float] | None = None
    while True:
        try:
            opened = await open_once()
        except StoreUnavailable as error:
            waited_s = time.monotonic() - began_s
            if give_up_s is not None and waited_s + try_every_s > give_up_s:
                raise
            reason = str(error)
            waits(reason)
            if told is None or (reason != told[0] and waited_s - told[1] >= TELL_EVERY_S):
                log.warning("The database is not there yet; waiting for it", reason=reason, gives_up_after_s=give_up_s)
                told = reason, waited_s
            await asyncio.sleep(try_every_s)
            continue
        if told is not None:
            log.info("The database is there", waited_s=round(time.monotonic() - began_s, 1))
        return opened
