"""Pictures of the operations page, from a demo in which things have just happened: `make pictures`."""

import os
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.e2e.browser import CHROMIUM, browser, window
from tests.e2e.test_demo import RunningDemo, demo

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
WIDE: dict[str, Any] = {"width": 1440, "height": 900}
PHONE: dict[str, Any] = {"width": 390, "height": 844}
SETTLES_S = 14.0


def main() -> int:
    """Exit code 1 where there is no browser."""
    if CHROMIUM is None:
        sys.stderr.write("There is no Chromium; apt-get install chromium\n")
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, demo(Path(folder), instances=5, accounts=60) as up:
        _live_a_little(up)
        _take(up)
    return 0


def _live_a_little(up: RunningDemo) -> None:
    """Names, limits, some traffic; then one instance dies, one is drained, and some sessions need help."""
    for number in range(1, 6):
        up.ask("PATCH", f"/instances/{number}", {"name": f"wa{number}", "capacity": 40})
    accounts = up.state["accounts"]
    up.ask("PATCH", f"/accounts/{accounts[3]['id']}", {"takeover": "manual"})
    for account in accounts[:40]:
        up.send(account["id"], "Your order is on its way")
    up.ask("POST", f"/accounts/{accounts[7]['id']}/logout")
    up.ask("POST", f"/accounts/{accounts[12]['id']}/stop")
    up.ask("POST", "/instances/2/drain")
    victim = accounts[3]["instance_url"]
    os.kill(next(each["pid"] for each in up.state["instances"] if each["url"] == victim), signal.SIGKILL)
    time.sleep(SETTLES_S)


def _take(up: RunningDemo) -> None:
    origin, token, accounts = up.state["api_url"], up.state["token"], up.state["accounts"]
    moved = next(each for each in accounts[4:] if each["instance_url"] == accounts[3]["instance_url"])
    shots: list[tuple[str, str, dict[str, Any], str]] = [
        ("now-light", "/now", WIDE, "light"),
        ("now-dark", "/now", WIDE, "dark"),
        ("now-phone", "/now", PHONE, "light"),
        ("instances-light", "/instances", WIDE, "light"),
        ("sessions-light", "/sessions", WIDE, "light"),
        ("session-light", f"/sessions/{moved['id']}", WIDE, "light"),
    ]
    with browser() as opened:
        for name, path, viewport, scheme in shots:
            options: dict[str, Any] = {"viewport": viewport, "color_scheme": scheme}
            with window(opened, origin, token=token, **options) as shown:
                shown.goto(path)
                shown.page.get_by_text("Live, ").wait_for()
                shown.page.wait_for_timeout(1_200)
                shown.page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main())
