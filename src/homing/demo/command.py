"""`homing demo`: bring it up, show it, keep it up until told to end; or tell the story on it."""

import asyncio
import json
import signal
import sys
from collections.abc import Coroutine
from typing import Any

import aiohttp
from rich.console import Console

from homing.demo import panel
from homing.demo.opening import Demo, open_demo
from homing.demo.phones import scan_codes
from homing.demo.plan import DemoPlan, Unworkable
from homing.demo.story import tell_story
from homing.demo.timeline import Timeline
from homing.serve import logs

LOOK_EVERY_S = 0.2

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(plan: DemoPlan) -> int:
    """The exit code: 0 for a demo that was up until it was told to end, or for a story that came out as promised.

    Raises Unworkable, with nothing left behind.
    """
    logs.configure("warning", "text")
    console = Console(stderr=plan.as_json, highlight=False, emoji=False)
    work = _story(plan, console) if plan.story else _stay_up(plan, console)
    return asyncio.run(_until_signalled(work))


async def _until_signalled(work: Coroutine[Any, Any, int]) -> int:
    """Run it to its end, or end it at the first signal. More signals do not hurry it: it is bounded anyway."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    told = False

    def end() -> None:
        nonlocal told
        if not told:
            told = True
            task.cancel()

    for number in _ENDING:
        loop.add_signal_handler(number, end)
    try:
        return await task
    except asyncio.CancelledError:
        return 1
    except BrokenPipeError:
        raise
    except (aiohttp.ClientError, OSError) as error:
        raise Unworkable(f"A part of the demo does not answer ({type(error).__name__}: {error})") from error


async def _stay_up(plan: DemoPlan, console: Console) -> int:
    with console.status("Starting") as status:
        async with open_demo(plan, lambda step: status.update(f"{step} …")) as demo:
            status.stop()
            panel.show(demo, console)
            phones = asyncio.create_task(scan_codes(demo.gateway, demo.whatsapp_address))
            try:
                await _watch(demo, console)
            except asyncio.CancelledError:
                console.print("Ending the demo.")
            finally:
                phones.cancel()
    return 0


async def _watch(demo: Demo, console: Console) -> None:
    """Say it when a process ends that nobody was asked to end, and leave it at that."""
    running = list(demo.children)
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        for child in running:
            if child.ended is not None:
                console.print(f"{child.name} (pid {child.pid}) ended: {child.ended}. The demo does not restart it.")
        running = [child for child in running if child.ended is None]


async def _story(plan: DemoPlan, console: Console) -> int:
    timeline = Timeline(console)
    async with open_demo(plan, timeline.tell) as demo:
        timeline.tell(f"Ready: {plan.instances} instances, {plan.accounts} accounts, the gateway at {demo.gateway.url}")
        result = await tell_story(demo, timeline)
    if plan.as_json:
        sys.stdout.write(json.dumps(result.document(), indent=2, ensure_ascii=False) + "\n")
    return 0 if result.passed else 1
