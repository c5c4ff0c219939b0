"""`homing top`: the fleet as it is, in a terminal."""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Annotated, Any

from cyclopts import Parameter

from homing.cli.sources.source import gateway
from homing.cli.terminal.options import AsJson
from homing.cli.terminal.output import print_json
from homing.cli.terminal.stops import DONE, NeedsAttention
from homing.cli.top.following import Following
from homing.cli.top.keys import LookedAt, keyboard, pressed
from homing.cli.top.seen import SeenState

DRAW_EVERY_S = 0.25
FIRST_WITHIN_S = 10.0


def top(
    *,
    once: Annotated[bool, Parameter(negative="", help="Draw it once and leave.")] = False,
    as_json: AsJson = False,
) -> int:
    """Watch the fleet: what is wrong, what is done about it, what is yours to do.

    It follows the state stream of the gateway that `HOMING_API_URL` names, and goes on by itself after a break. Keys: 1
    now, 2 instances, 3 sessions (those that need somebody most first, a thousand at most), 4 moves, 5 alerts, / looks
    for a text, ? shows all keys, q leaves. Where there is no terminal, and with `--once`, it draws the state once; with
    `--json` it prints it once, as one document.

    Example: `homing top`
    """
    seen, lock = SeenState(), Lock()

    def tell(event: str, told: Any) -> None:
        with lock:
            seen.tell(event, told)

    following = Following(gateway("`homing top`"), tell)
    following.start()
    try:
        if once or as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            _once(seen, following, as_json=as_json)
        else:
            _live(seen, following, lock)
    finally:
        following.stop()
    return DONE


def _once(seen: SeenState, following: Following, *, as_json: bool) -> None:
    from rich.console import Console

    _wait(lambda: seen.known, following)
    if as_json:
        print_json(seen.whole())
    else:
        console = Console()
        console.print(_drawn(seen, LookedAt(), following, console.height))


def _wait(ready: Callable[[], bool], following: Following) -> None:
    began_s = time.monotonic()
    while not ready():
        if following.refused is not None:
            raise following.refused
        if time.monotonic() - began_s > FIRST_WITHIN_S:
            raise NeedsAttention(f"No state came within {FIRST_WITHIN_S:.0f} s: {following.trouble or 'silence'}")
        time.sleep(0.02)


def _live(seen: SeenState, following: Following, lock: Lock) -> None:
    from rich.console import Console
    from rich.live import Live

    console, looking = Console(), LookedAt()
    with keyboard() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        while not looking.over:
            if following.refused is not None:
                raise following.refused
            with lock:
                drawn = _drawn(seen, looking, following, console.height)
            live.update(drawn, refresh=True)
            key = keys.key(DRAW_EVERY_S)
            if key is not None:
                looking = pressed(looking, key)


def _drawn(seen: SeenState, looking: LookedAt, following: Following, rows: int) -> Any:
    from homing.cli.top.screen import screen

    silent_s = time.monotonic() - following.heard_s
    return screen(seen, looking, silent_s=silent_s, trouble=following.trouble, rows=rows, now=datetime.now(UTC))
