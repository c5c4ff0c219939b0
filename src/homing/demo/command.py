"""`homing demo`: bring it up, show it, keep it up until told to end; or tell the story on it."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Coroutine

import aiohttp
from rich.console import Console

from homing.demo import panel
from homing.demo.opening import Demo, open_demo
from homing.demo.plan import Plan, Unworkable
from homing.demo.processes import Child
from homing.demo.story import Result, tell_story

LOOK_EVERY_S = 0.2

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(plan: Plan) -> int:
    """The exit code: 0 for a demo that was up until it was told to end, or a story that came out as promised.

    Raises Unworkable, with nothing left behind.
    """
    console = Console(stderr=plan.as_json, highlight=False, emoji=False)
    work = _told(plan, console) if plan.story else _stay_up(plan, console)
    return asyncio.run(_until_signalled(work))


async def _until_signalled(work: Coroutine[None, None, int]) -> int:
    """Run it to its end, or end it at the first signal; further ones do not hurry it, it is bounded anyway."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    for number in _ENDING:
        loop.add_signal_handler(number, _cancel_once(task))
    try:
        return await task
    except asyncio.CancelledError:
        return 1
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unworkable(f"A part of the demo does not answer ({type(error).__name__}: {error})") from error
