"""Pictures of every page, light, dark and on a phone, from a demo in which things have just happened; and of the tour.

`make pictures`, or `make pictures ARGS="unknown"` for some steps of the tour alone.
"""

import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.e2e.browser import CHROMIUM, browser, window
from tests.e2e.test_demo import RunningDemo, demo
from tests.e2e.tour import STEPS, walk

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
WIDE: dict[str, Any] = {"width": 1440, "height": 900}
PHONE: dict[str, Any] = {"width": 390, "height": 844}
LOOKS: dict[str, tuple[dict[str, Any], str]] = {
    "light": (WIDE, "light"),
    "dark": (WIDE, "dark"),
    "phone": (PHONE, "light"),
}
NAMES = (
    "now", "instances", "sessions", "pairing", "deaf", "moves", "messages", "batches", "endpoints", "downtime",
    "alerts", "settings",
)  # fmt: skip
SETTLES_S = 14.0
NOTICED_S = 65.0
"""All sessions are judged by what is heard of them once a minute."""


def main(steps: Sequence[str] = ()) -> int:
    """Exit code 1 where there is no browser, 2 for a step that the tour does not have."""
    if strange := set(steps) - STEPS.keys():
        sys.stderr.write(f"The tour has the steps {', '.join(STEPS)}; not {', '.join(sorted(strange))}\n")
        return 2
    if CHROMIUM is None:
        sys.stderr.write("There is no Chromium; apt-get install chromium\n")
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    if steps:
        walk(FOLDER, steps)
        return 0
    with TemporaryDirectory() as folder, demo(Path(folder), instances=5, accounts=60) as up:
        _live_a_little(up)
        some_do_not_hear(up)
        time.sleep(NOTICED_S)
        _take(up)
    walk(FOLDER)
    return 0


def _live_a_little(up: RunningDemo) -> None:
    """Names, limits, some traffic; then one instance dies, one is drained, and some sessions need help."""
    for number in range(1, 6):
        up.ask("PATCH", f"/instances/{number}", {"name": f"wa{number}", "capacity": 40})
    accounts = up.state["accounts"]
    up.ask("PATCH", f"/accounts/{accounts[3]['id']}", {"takeover": "manual"})
    for name in ("Bookings", "Warehouse"):
        up.ask(
            "POST",
            "/endpoints",
            {"workspace_id": 1, "url": f"http://{up.state['whatsapp']['address']}/{name.lower()}", "name": name},
        )
    for account in accounts[:40]:
        up.send(account["id"], "Your order is on its way")
    up.ask("POST", f"/accounts/{accounts[7]['id']}/logout")
    up.ask("POST", f"/accounts/{accounts[12]['id']}/stop")
    up.ask("POST", "/instances/2/drain")
    victim = accounts[3]["instance_url"]
    os.kill(next(each["pid"] for each in up.state["instances"] if each["url"] == victim), signal.SIGKILL)
    time.sleep(SETTLES_S)


def some_do_not_hear(up: RunningDemo) -> None:
    """What nobody can wait for: an hour in which messages of two sessions were taken and never acknowledged. It is
    noticed when they are judged next, once a minute."""
    now = datetime.now(UTC)
    moments = [(now - timedelta(minutes=each)).timestamp() for each in (58, 51, 47, 39, 33, 24, 12)]
    path = str(up.state["database"]).removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, timeout=30)) as database:
        while not database.execute("SELECT count(*) FROM listening").fetchone()[0]:
            time.sleep(0.5)  # a gateway has not said yet since when it listens
        began = (now - timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        database.execute("UPDATE listening SET since_at = ?", (began,))
        for place, unacknowledged in ((20, moments), (21, moments[:3])):
            session = up.state["accounts"][place]["session_id"]
            database.execute("UPDATE sessions SET updated_at = ? WHERE session_id = ?", (began, session))
            heard = (now - timedelta(minutes=70)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            database.execute(
                "INSERT INTO hearing (session_id, acknowledged_at, unacknowledged, settled, acknowledged)"
                " VALUES (?, ?, ?, 200, 199) ON CONFLICT (session_id) DO UPDATE SET"
                " acknowledged_at = excluded.acknowledged_at, unacknowledged = excluded.unacknowledged,"
                " settled = 200, acknowledged = 199",
                (session, heard, json.dumps({"at": unacknowledged})),
            )
        database.commit()


def _take(up: RunningDemo) -> None:
    origin, token, accounts = up.state["api_url"], up.state["token"], up.state["accounts"]
    moved = next(each for each in accounts[4:] if each["instance_url"] == accounts[3]["instance_url"])
    endpoint = up.ask("GET", "/endpoints")["data"][0]
    plan = up.ask("POST", "/plans", {"kind": "empty", "instance_url": up.state["instances"][0]["url"], "budget": 2})
    paths = {
        **{name: f"/{name}" for name in NAMES},
        "session": f"/sessions/{moved['id']}",
        "instance": "/instances/2",
        "endpoint": f"/endpoints/{endpoint['id']}",
        "plan": f"/plans/{plan['id']}",
        "docs": "/docs",
    }
    with browser() as opened:
        for look, (viewport, scheme) in LOOKS.items():
            options: dict[str, Any] = {"viewport": viewport, "color_scheme": scheme}
            with window(opened, origin, token=token, **options) as shown:
                for name, path in paths.items():
                    shown.goto(path)
                    if path != "/docs":
                        shown.page.get_by_text("Live, ").wait_for()
                    shown.page.wait_for_timeout(1_200)
                    shown.page.screenshot(path=FOLDER / f"{name}-{look}.png")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
