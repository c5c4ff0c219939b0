"""A log that cannot be written costs lines, which are counted, and never a request."""

import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from homing.serve.logs import BackgroundWriter, LineWriter


def pipe() -> tuple[int, int]:
    return os.pipe()


@pytest.mark.parametrize("kind", [LineWriter, BackgroundWriter])
def test_lines_are_written_in_their_order(kind: type[LineWriter], tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as stream:
        writer = kind(stream)
        for number in range(500):
            writer.line(f"line {number} ünd \ud800")
        writer.close()
    assert path.read_text().splitlines() == [f"line {number} ünd \\ud800" for number in range(500)]
    assert writer.lost == 0


@pytest.mark.parametrize("kind", [LineWriter, BackgroundWriter])
def test_a_closed_pipe_costs_lines_and_raises_nothing(kind: type[LineWriter]) -> None:
    read_end, write_end = pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as stream:
        writer = kind(stream)
        writer.line("one")
        writer.line("two")
        writer.close()
    assert writer.lost == 2


def test_a_full_disk_costs_lines_until_there_is_room_again(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as stream:
        writer = LineWriter(stream)
        writer.line("lost")
        assert writer.lost == 1
        with (tmp_path / "log").open("w") as writer._stream:
            writer.line("written")
    assert (tmp_path / "log").read_text() == "written\n"


def test_a_pipe_that_nobody_reads_keeps_nobody_waiting() -> None:
    read_end, write_end = pipe()
    with os.fdopen(write_end, "w") as stream:
        writer = BackgroundWriter(stream, waiting_max=10)
        for _ in range(200):
            writer.line("x" * 2_000)
        assert writer.lost >= 100
        reader = threading.Thread(target=_read_all, args=[read_end], daemon=True)
        reader.start()
        writer.close(within_s=5.0)
    reader.join(5.0)
    assert not writer._thread.is_alive()


def _read_all(descriptor: int) -> None:
    while os.read(descriptor, 65_536):
        pass
    os.close(descriptor)


def test_a_gateway_whose_log_is_gone_answers_as_before(tmp_path: Path) -> None:
    """Its log is a pipe that is closed; a request that writes a line is answered all the same, and the line counted."""
    read_end, write_end = pipe()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    settings = {
        "HOMING_DATABASE_URL": f"sqlite:///{tmp_path / 'homing.db'}",
        "HOMING_LOG_LEVEL": "debug",
        "WHATSAPP_INSTANCE_1": "http://localhost:1",
        "WHATSAPP_API_KEY": "a-key-for-instances",
    }
    command = [sys.executable, "-m", "homing.cli", "serve", "--port", str(port)]
    server = subprocess.Popen(command, stderr=write_end, env={**os.environ, **settings}, cwd=tmp_path)
    os.close(write_end)
    url = f"http://127.0.0.1:{port}"
    try:
        until_it_answers(url)
        os.close(read_end)
        for _ in range(20):
            # An instance that cannot be told from others leaves a warning in the log.
            assert said(f"{url}/api/whatsapp/accounts/active", {"X-API-Key": "a-key-for-instances"})
        [lost] = re.findall(r"^homing_log_lines_lost_total (\S+)", said(f"{url}/metrics"), re.MULTILINE)
        assert float(lost) > 0
    finally:
        server.terminate()
        server.wait(20)


def said(url: str, headers: dict[str, str] | None = None) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=5) as answer:
        return str(answer.read().decode())


def until_it_answers(url: str) -> None:
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        try:
            said(f"{url}/ready")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the gateway did not come up")


def test_what_is_logged_by_the_standard_library_keeps_nobody_waiting_either() -> None:
    """An instance logs so, and libraries do: into a pipe that nobody reads, far more than it holds."""
    code = """
import logging, sys
from homing.serve import logs
logs.configure("debug", "text", background=True, libraries="debug")
for number in range(3_000):
    logging.getLogger("homing.instance").debug("line %d %s", number, "x" * 100)
    logging.getLogger("homing.instance").debug("%d", "no number")
print("went on", flush=True)
"""
    read_end, write_end = pipe()
    with subprocess.Popen([sys.executable, "-c", code], stderr=write_end, stdout=subprocess.PIPE, text=True) as process:
        os.close(write_end)
        assert process.stdout is not None
        try:
            ready, _, _ = select.select([process.stdout], [], [], 20)
            assert ready, "it waits for somebody to read its log"
            assert process.stdout.readline() == "went on\n"
            assert os.read(read_end, 65_536).startswith(b"DEBUG homing.instance: line 0 xxx")
        finally:
            process.kill()
            os.close(read_end)
