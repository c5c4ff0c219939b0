"""Two gateways behind HAProxy, as `docs/deploy/haproxy.cfg` sets it up, restarted one after the other under load."""

import asyncio
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.fleet import Answered, Fleet, open_fleet
from services import free_port

HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
EXAMPLE = Path(__file__).parents[2] / "docs" / "deploy" / "haproxy.cfg"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.walk,
    pytest.mark.skipif(HAPROXY is None, reason="NOT RUN: haproxy is not installed (Debian: apt-get install haproxy)"),
]

RATE = 40
UP_WITHIN_S = 30.0


class Balanced(Fleet):
    """The same fleet, spoken to through the balancer."""

    balancer = ""

    @property
    def gateways(self) -> list[str]:
        return [self.balancer] if self.balancer else list(self.demo.gateways)


@dataclass(frozen=True, slots=True)
class Balancer:
    url: str
    socket: Path

    def states(self) -> dict[str, str]:
        """Each gateway's state by HAProxy's own word: UP, DOWN, or on its way. Nothing before HAProxy is up itself."""
        with socket.socket(socket.AF_UNIX) as asked:
            try:
                asked.connect(str(self.socket))
            except OSError:
                return {}
            asked.sendall(b"show stat\n")
            told = b"".join(iter(lambda: asked.recv(65_536), b"")).decode()
        names, *rows = [line.split(",") for line in told.removeprefix("# ").splitlines() if line]
        name, status = names.index("svname"), names.index("status")
        return {row[name]: row[status] for row in rows if row[name].startswith("gateway")}

    async def until(self, gateway: str, wanted: str) -> None:
        deadline_s = time.monotonic() + UP_WITHIN_S
        while not (state := self.states().get(gateway, "")).startswith(wanted):
            assert time.monotonic() < deadline_s, f"{gateway} is {state}, and not {wanted}"
            await asyncio.sleep(0.05)


@contextmanager
def haproxy(folder: Path, addresses: list[str]) -> Iterator[Balancer]:
    """The example, with these gateways in place of its own."""
    port, control = free_port(), folder / "haproxy.sock"
    written = EXAMPLE.read_text().replace("bind :8080", f"bind 127.0.0.1:{port}")
    written = written.replace("global\n", f"global\n    stats socket {control} mode 600 level admin\n", 1)
    written = written.replace("maxconn 8000", "maxconn 400")  # as few descriptors as any machine has
    for number, address in enumerate(addresses, start=1):
        written = written.replace(f"10.0.0.1{number}:8000", address)
    assert "10.0.0." not in written
    config = folder / "haproxy.cfg"
    config.write_text(written)
    checked = subprocess.run([str(HAPROXY), "-c", "-f", str(config)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr.upper(), checked.stderr
    running = subprocess.Popen(
        [str(HAPROXY), "-db", "-f", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield Balancer(f"http://127.0.0.1:{port}", control)
    finally:
        running.terminate()
        running.wait(10)


@asynccontextmanager
async def balanced(url: str, folder: Path, delay_s: float = 3.0) -> AsyncIterator[tuple[Balanced, Balancer]]:
    settings = {"HOMING_STOP_DELAY": str(delay_s)}
    async with open_fleet(database_url=url, gateways=2, accounts=8, contacts=4, settings=settings) as up:
        fleet = Balanced(up.demo, up.wire)
        with haproxy(folder, [f"127.0.0.1:{port}" for port in up.demo.plan.gateway_ports]) as it:
            for name in ("gateway1", "gateway2"):
                await it.until(name, "UP")
            fleet.balancer = it.url
            yield fleet, it


async def load(fleet: Balanced, over: asyncio.Event) -> list[Answered]:
    """Sends at a steady rate, each begun in its time whether or not those before it have ended."""
    said: list[asyncio.Task[Answered]] = []
    began_s = time.monotonic()
    while not over.is_set():
        resident = fleet.residents[len(said) % len(fleet.residents)]
        said.append(asyncio.create_task(fleet.send(resident)))
        await asyncio.sleep(max(0.0, began_s + len(said) / RATE - time.monotonic()))
    return list(await asyncio.gather(*said))


async def restart(fleet: Balanced, balancer: Balancer, number: int) -> None:
    """What a rolling update does with one gateway."""
    url = list(fleet.demo.gateways)[number]
    process = fleet.demo.gateways[url].process
    process.send_signal(signal.SIGTERM)
    await balancer.until(f"gateway{number + 1}", "DOWN")
    assert process.poll() is None, "it ended before the balancer had noticed"
    while process.poll() is None:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.05)
    assert process.returncode == 0
    fleet.demo.start_gateway_again(url)
    await balancer.until(f"gateway{number + 1}", "UP")


async def test_a_rolling_restart_under_load_fails_no_request(empty_postgres_url: str, tmp_path: Path) -> None:
    async with balanced(empty_postgres_url, tmp_path) as (fleet, balancer):
        over = asyncio.Event()
        loading = asyncio.create_task(load(fleet, over))
        await asyncio.sleep(1)
        for number in (0, 1):
            await restart(fleet, balancer, number)
        await asyncio.sleep(1)
        over.set()
        answers = await loading
        failed = [(each.status, each.document) for each in answers if each.status != 200]
        assert failed == [], f"{len(failed)} of {len(answers)} requests failed"
        assert len(answers) > 5 * RATE
        assert fleet.lost_and_doubled() == (0, 0)
