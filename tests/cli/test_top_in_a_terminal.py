"""`homing top` as it is used: in a terminal, by its keys, through a resize and a cut stream."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from homing.cli.top.keys import GONE, Keyboard, LookedAt, pressed
from tests.cli.test_top import AT, counts, instance, session, snapshot

WITHIN_S = 30.0
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_]|\r")


@dataclass
class Stream:
    """A gateway whose state stream a test writes, and cuts."""

    told: list[bytes] = field(default_factory=list)
    last_ids: list[str | None] = field(default_factory=list)
    cut: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def tell(self, event: str, document: dict[str, Any]) -> None:
        with self.changed:
            frame = f"id: boot-{len(self.told)}\nevent: {event}\ndata: {json.dumps(document)}\n\n"
            self.told.append(frame.encode())
            self.changed.notify_all()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        last_id = handler.headers["Last-Event-ID"]
        self.last_ids.append(last_id)
        if self.cut.is_set():
            handler.send_error(502)
            return
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.end_headers()
        at = 0 if last_id is None else int(last_id.removeprefix("boot-")) + 1
        while not self.cut.is_set():
            with self.changed:
                self.changed.wait(0.1)
                frames, at = self.told[at:], len(self.told)
            handler.wfile.write(b"".join(frames) or b": here\n\n")
            handler.wfile.flush()


@pytest.fixture
def stream() -> Iterator[tuple[Stream, str]]:
    told = Stream()

    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):
                told.serve(self)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    rows = [instance("http://a"), instance("http://b", "down", reason="refused twice")]
    sessions = [session(1, name="Bakery"), session(2, name="Florist")]
    told.tell("snapshot", snapshot(instances=rows, sessions=sessions, session_counts=counts(2)))
    yield told, f"http://127.0.0.1:{server.server_port}"
    told.cut.set()
    server.shutdown()
    server.server_close()


def command(url: str, folder: Path) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOMING_", "WHATSAPP_"))}
    env = {**kept, "HOMING_API_URL": url, "HOMING_API_TOKEN": "hk_token", "TERM": "xterm-256color"}
    env.pop("COLUMNS", None)
    env.pop("LINES", None)
    return {"args": [sys.executable, "-m", "homing.cli", "top"], "env": env, "cwd": folder}


class Terminal:
    """A terminal with the program in it. What is seen is the frame that was drawn last."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self._descriptor, self.process, self.said = descriptor, process, ""

    def press(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, for_s: float) -> None:
        ends_s = time.monotonic() + for_s
        while (left_s := ends_s - time.monotonic()) > 0 and select.select([self._descriptor], [], [], left_s)[0]:
            try:
                came = os.read(self._descriptor, 65_536)
            except OSError:
                return
            self.said += came.decode("utf-8", "replace")

    def frame(self) -> list[str]:
        drawn = self.said.split("\x1b[H")
        return [_ESCAPES.sub("", line).rstrip() for line in (drawn[-2] if len(drawn) > 2 else drawn[-1]).split("\n")]

    def until(self, *texts: str) -> list[str]:
        began_s = time.monotonic()
        while time.monotonic() - began_s < WITHIN_S:
            self.read(0.2)
            frame = self.frame()
            if all(any(text in line for line in frame) for text in texts):
                return frame
        raise AssertionError(f"{texts} did not come:\n" + "\n".join(self.frame()))


def _take_the_terminal() -> None:
    """In the new process: so that Ctrl-C and a resize reach it as in a shell."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def terminal(url: str, folder: Path, rows: int = 30, columns: int = 140) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    ends = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    asked = command(url, folder) | ends
    process = subprocess.Popen(**asked, start_new_session=True, preexec_fn=_take_the_terminal)
    os.close(theirs)
    try:
        yield Terminal(ours, process)
    finally:
        process.kill()
        process.wait(10)
        os.close(ours)


def test_it_is_driven_by_its_keys_through_a_resize_and_a_cut_stream(stream: tuple[Stream, str], tmp_path: Path) -> None:
    told, url = stream
    with terminal(url, tmp_path) as seen:
        seen.until("● live", "All 2 sessions can send.")
        seen.press("2")
        frame = seen.until("http://a", "refused twice")
        assert len(frame) <= 30
        told.tell("delta", {"version": 2, "at": AT, "instances": [instance("http://b", "healthy", reason="")]})
        told.tell("delta", {"version": 3, "at": AT, "session_counts": counts(1, 1)})
        seen.until("1 of 2 sessions cannot send.")
        seen.press("3/flor\r")  # as fast as a paste
        frame = seen.until("Florist", "/flor")
        assert not any("Bakery" in line for line in frame)
        seen.press("\x1b")
        seen.until("Bakery", "Florist")
        seen.resize(14, 70)
        seen.read(1.5)
        frame = seen.until("● live")
        assert len(frame) <= 14 and max(len(line) for line in frame) <= 70, "\n".join(frame)
        seen.resize(30, 140)
        told.cut.set()
        seen.until("no stream", "s old")
        told.cut.clear()
        told.tell("delta", {"version": 4, "at": AT, "session_counts": counts(2)})
        seen.until("● live", "All 2 sessions can send.")
        assert told.last_ids[0] is None and told.last_ids[-1] == "boot-2"
        seen.press("q")
        assert seen.process.wait(10) == 0
        seen.read(0.5)
        assert "\x1b[?1049l" in seen.said, "the terminal is as it was before"
        assert "\x1b[?25h" in seen.said


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_it_ends_by_control_keys_too(stream: tuple[Stream, str], tmp_path: Path, key: str) -> None:
    with terminal(stream[1], tmp_path) as seen:
        seen.until("● live")
        seen.press(key)
        assert seen.process.wait(10) in (0, 130)


def test_without_a_terminal_it_draws_once_and_leaves(stream: tuple[Stream, str], tmp_path: Path) -> None:
    asked = command(stream[1], tmp_path) | {"stdin": subprocess.DEVNULL, "timeout": 60}
    ran = subprocess.run(**asked, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "All 2 sessions can send." in ran.stdout
    assert "\x1b" not in ran.stdout


def test_many_keys_at_once_are_many_keys_and_the_end_is_one() -> None:
    reads, writes = os.pipe()
    os.write(writes, "jk\x1b[B\x1bOAé/".encode())
    os.close(writes)
    keys = Keyboard(reads)
    assert [keys.key(0.1) for _ in range(7)] == ["j", "k", "\x1b[B", "\x1bOA", "é", "/", GONE]
    os.close(reads)
    assert pressed(LookedAt(typing=True), GONE).over
