"""The walk of docs/tour.md, on a demo: each step is done as an operator would, and a picture is taken of it."""

import os
import signal
import subprocess
import threading
import time
import urllib.error
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import expect

from tests.e2e.browser import Window, browser, window
from tests.e2e.test_demo import RunningDemo, demo

PATIENCE_MS = 60_000
WIDE: Any = {"width": 1440, "height": 900}


class Tour:
    """One operator in front of one fleet."""

    def __init__(self, up: RunningDemo, shown: Window, folder: Path) -> None:
        self._up, self._shown, self._folder = up, shown, folder
        self._renewed: list[subprocess.Popen[bytes]] = []

    def picture(self, name: str) -> None:
        self._shown.page.wait_for_timeout(1_200)
        self._shown.page.screenshot(path=self._folder / f"tour-{name}.png")

    def goto(self, path: str) -> None:
        self._shown.goto(path)
        self._shown.page.get_by_text("Live, ").wait_for()

    def close(self) -> None:
        for process in self._renewed:
            process.terminate()
            process.wait(timeout=10)

    # --- the steps --------------------------------------------------------------------------------------------

    def an_instance_dies(self) -> None:
        victim = self._up.state["instances"][0]
        command, settings = _command_of(victim["pid"])
        self.goto("/now")
        os.kill(victim["pid"], signal.SIGKILL)
        wrong = self._shown.page.locator("#columns")
        expect(wrong).to_contain_text("wa1 is down", timeout=PATIENCE_MS)
        self.picture("1-dies")
        expect(self._shown.page.locator("#verdict")).to_contain_text("sessions can send.", timeout=PATIENCE_MS)
        self.goto("/moves?kind=rehome")
        self.picture("2-moved")
        self._renew(command, settings)

    def one_is_drained_and_renewed(self) -> None:
        """As for an upgrade: empty it, end it, start the new release, let it be given sessions again."""
        leaving = self._up.state["instances"][1]
        command, settings = _command_of(leaving["pid"])
        page = self._shown.page
        self.goto("/instances")
        row = page.locator("#instance-2")
        row.get_by_role("link", name="Drain…").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("Will move")).to_be_visible()
        self.picture("3-drain")
        dialog.get_by_role("button", name="Drain wa2").click()
        expect(row.get_by_text("draining")).to_be_visible(timeout=PATIENCE_MS)
        expect(row.get_by_text("0 can send")).to_be_visible(timeout=PATIENCE_MS)
        self.picture("4-empty")
        os.kill(leaving["pid"], signal.SIGTERM)
        _until(lambda: not Path(f"/proc/{leaving['pid']}/cmdline").exists() or not _alive(leaving["pid"]))
        self._renew(command, settings)
        _until(lambda: self._healthy(2))
        self._up.ask("POST", "/instances/2/undrain")
        self._up.ask("POST", "/rebalance", {"dry_run": False})
        self.goto("/instances")
        expect(row.get_by_text("healthy")).to_be_visible(timeout=PATIENCE_MS)
        page.wait_for_timeout(5_000)
        self.picture("5-back")

    def a_session_is_paired(self) -> None:
        account = self._up.state["accounts"][5]
        self._up.ask("POST", f"/accounts/{account['id']}/logout")
        self.goto("/pairing")
        expect(self._shown.page.locator(f"#pair-{account['id']}")).to_be_visible(timeout=PATIENCE_MS)
        self.picture("6-unlinked")
        self.goto(f"/sessions/{account['id']}")
        self._up.ask("POST", f"/accounts/{account['id']}/start")
        with suppress(Exception):
            self._shown.page.locator(".qr").wait_for(timeout=10_000)
            self._shown.page.screenshot(path=self._folder / "tour-7-code.png")
        expect(self._shown.page.get_by_text("Connected on")).to_be_visible(timeout=PATIENCE_MS)

    def an_unknown_is_settled(self) -> None:
        """A gateway that takes no message ids of ours dies in the middle of a send: nobody knows whether it left."""
        foreign = self._up.state["instances"][-1]
        theirs = next(each for each in self._placed() if each["instance_url"] == foreign["url"])
        self._up.send(theirs["account_id"], "Good evening")  # what has to be asked before a first message is asked
        os.kill(foreign["pid"], signal.SIGSTOP)
        sending = threading.Thread(target=self._send_quietly, args=(theirs["account_id"],))
        sending.start()
        time.sleep(1.5)
        os.kill(foreign["pid"], signal.SIGKILL)
        sending.join(timeout=60)
        page = self._shown.page
        self.goto("/messages?state=unknown")
        row = page.locator("tr[id^=m-]").first
        row.wait_for(timeout=PATIENCE_MS)
        row.get_by_role("link", name="Open").click()
        page.get_by_text("Live, ").wait_for()
        self.picture("8-unknown")
        page.get_by_role("link", name="Mark as sent…").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        self.picture("9-settle")
        page.get_by_role("dialog").get_by_role("button", name="Mark 1 message as sent").click()
        expect(page.get_by_text("Mark as sent…")).to_have_count(0, timeout=PATIENCE_MS)
        self.picture("10-settled")

    # --- how ----------------------------------------------------------------------------------------------------

    def _placed(self) -> list[dict[str, Any]]:
        return list(self._up.ask("GET", "/sessions?limit=500")["data"])

    def _healthy(self, number: int) -> bool:
        found = self._up.ask("GET", "/instances")["data"]
        return any(each["id"] == number and each["health"] == "healthy" for each in found)

    def _send_quietly(self, account_id: int) -> None:
        with suppress(urllib.error.URLError, TimeoutError):
            self._up.send(account_id, "Your table is booked for eight")

    def _renew(self, command: list[str], settings: dict[str, str]) -> None:
        quiet = subprocess.DEVNULL
        self._renewed.append(subprocess.Popen(command, env=settings, stdout=quiet, stderr=quiet))


STEPS: Mapping[str, Callable[[Tour], None]] = {
    "dies": Tour.an_instance_dies,
    "drained": Tour.one_is_drained_and_renewed,
    "paired": Tour.a_session_is_paired,
    "unknown": Tour.an_unknown_is_settled,
}


def walk(folder: Path, steps: Collection[str] = tuple(STEPS)) -> None:
    """These steps, one after the other; pictures go to the folder."""
    with (
        TemporaryDirectory() as scratch,
        demo(Path(scratch), "--gateways", "webjs:4,wppconnect:1", instances=5, accounts=30) as up,
    ):
        for number in range(1, 6):
            up.ask("PATCH", f"/instances/{number}", {"name": f"wa{number}"})
        with browser() as opened, window(opened, up.state["api_url"], token=up.state["token"], viewport=WIDE) as shown:
            tour = Tour(up, shown, folder)
            try:
                for name in STEPS:
                    if name in steps:
                        STEPS[name](tour)
            finally:
                tour.close()


def _command_of(pid: int) -> tuple[list[str], dict[str, str]]:
    """How a process was started: its command and its environment."""
    parts = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    lines = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    settings = dict(line.decode().split("=", 1) for line in lines if b"=" in line)
    command = [part.decode() for part in parts]
    if "homing.demo.child" in command:  # which ends with the demo's own process: what it runs, runs without it
        at = command.index("homing.demo.child")
        del command[at : at + 2]
    return command, settings


def _alive(pid: int) -> bool:
    with suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def _until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_MS / 1000
    while not holds():
        assert time.monotonic() < deadline_s, "it did not come to be in time"
        time.sleep(0.2)
