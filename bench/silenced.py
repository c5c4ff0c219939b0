"""A large part of a large fleet falls silent at once: what is brought back, how soon; and when nothing is."""

import asyncio
import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.fleet import free_ports
from bench.model_fleet import REPOSITORY, listening, populate, settings_for
from bench.model_instances import Layout
from bench.report import Report, Spread
from homing.compose import open_stores
from homing.demo import processes
from homing.drivers.http.wire import Wire
from homing.model.fleet import InstanceUrl, Move, MoveKind
from homing.model.sends.faults import Fault
from homing.ports import Directory, Page
from homing.store.vault.sealing import fresh_key

GRANTED_WITHIN_S = 30.0
BRAKES_WITHIN_S = 2.0
LOGINS_PER_S = 20
STEADY_S = 8.0
WATCHED_S = 20.0


@dataclass(slots=True)
class Large:
    """A fleet of model instances with real gateways over a real database."""

    layout: Layout
    gateways: Sequence[str]
    directory: Directory
    wire: Wire

    async def silence(self, instances: Iterable[int]) -> float:
        """They are gone from the world; when that was, in unix seconds."""
        url = f"http://localhost:{self.layout.first_port + self.layout.instances}"
        raw = json.dumps({"instances": list(instances)}).encode()
        headers = {"Content-Type": "application/json"}
        reply = await self.wire.call("POST", url, "/silence", body=raw, headers=headers, timeout_s=10)
        assert not isinstance(reply, Fault), reply
        return float(json.loads(reply.body)["at"])

    async def braking(self) -> list[bool]:
        """Whether each gateway's brake is on."""
        replies = [await self.wire.call("GET", url, "/metrics", timeout_s=10) for url in self.gateways]
        return [not isinstance(reply, Fault) and b"\nhoming_brake_engaged 1" in reply.body for reply in replies]

    async def moves(self) -> list[Move]:
        """Every session that was brought elsewhere."""
        return await self.directory.moves(None, Page(limit=100_000), kind=MoveKind.REHOME)


async def run(url: str, *, gateways: int, instances: int, sessions: int, silent: int, capacity: int) -> Report:
    """Less than half of them: every session is granted elsewhere."""
    report = Report(f"{silent} of {instances} instances fall silent together, {sessions:,} sessions in the fleet")
    async with _large(url, gateways, instances, sessions, capacity) as large:
        silenced_s = await large.silence(range(silent))
        lost = sum(len(held) for held in list(large.layout.held_by())[:silent])
        moves = await _until_moved(large, lost, silenced_s)
        loads = await large.directory.loads()
    granted = Spread([move.at.timestamp() - silenced_s for move in moves])
    kept = len(moves) == lost and granted.at(1.0) <= GRANTED_WITHIN_S
    report.add(f"{lost:,} sessions granted elsewhere", f"each, within {GRANTED_WITHIN_S:.0f} s", granted, kept)
    report.add("and able to send there", "", Spread([_arrived_s(move) - silenced_s for move in moves]))
    fastest = _fastest(moves)
    claimed = f"≤ {LOGINS_PER_S} in any second"
    report.add("sessions given to one instance", claimed, f"{fastest} at most", fastest <= LOGINS_PER_S)
    most = max(load.sessions for load in loads)
    report.add("sessions on one instance", f"≤ {capacity}, its capacity", str(most), most <= capacity)
    again = sum(count > 1 for count in Counter(move.session_id for move in moves).values())
    report.add("sessions moved more than once", "0", str(again), not again)
    return report


async def run_too_many(url: str, *, gateways: int, instances: int, sessions: int, silent: int) -> Report:
    """More than half of them: nothing is touched."""
    report = Report(f"{silent} of {instances} instances fall silent together: more likely the fault is ours")
    async with _large(url, gateways, instances, sessions, None) as large:
        silenced_s = await large.silence(range(silent))
        braked: dict[int, float] = {}
        while time.time() - silenced_s < WATCHED_S:
            for number, brakes in enumerate(await large.braking()):
                if brakes:
                    braked.setdefault(number, time.time() - silenced_s)
            await asyncio.sleep(0.05)
        moved = len(await large.moves())
    spread = Spread(list(braked.values()))
    kept = len(braked) == gateways and spread.at(1.0) <= BRAKES_WITHIN_S
    report.add("each gateway brakes", f"within {BRAKES_WITHIN_S:g} s", spread, kept)
    report.add(f"sessions moved within {WATCHED_S:.0f} s", "0", str(moved), not moved)
    return report


async def _until_moved(large: Large, lost: int, silenced_s: float) -> list[Move]:
    """The moves, once all that were lost have arrived, or after far too long."""
    while True:
        await asyncio.sleep(1.0)
        moves = await large.moves()
        arrived = sum(move.duration_ms is not None for move in moves)
        if arrived >= lost or time.time() - silenced_s > 2 * GRANTED_WITHIN_S:
            return moves


def _arrived_s(move: Move) -> float:
    return move.at.timestamp() + move.steps.get("start", 0) / 1000


def _fastest(moves: Sequence[Move]) -> int:
    """The most sessions that were given to one instance within a second."""
    given: dict[str, list[float]] = defaultdict(list)
    for move in moves:
        given[move.to_url or ""].append(move.at.timestamp())
    return max((_most_in_a_second(sorted(times)) for times in given.values()), default=0)


def _most_in_a_second(times: Sequence[float]) -> int:
    most = first = 0
    for last, at_s in enumerate(times):
        while at_s - times[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


@asynccontextmanager
async def _large(url: str, gateways: int, instances: int, sessions: int, capacity: int | None) -> AsyncIterator[Large]:
    """Up and steady: every gateway knows every instance as well."""
    first = free_ports(instances + 1 + gateways)
    layout = Layout(first, instances, sessions, 0)
    ports = range(first + instances + 1, first + instances + 1 + gateways)
    wire = Wire()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(wire.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="homing-bench-")))
        children: list[processes.Child] = []
        stack.push_async_callback(processes.end, children)
        await populate(url, layout)
        stores = await stack.enter_async_context(open_stores(settings_for(url)))
        for instance in layout.urls:
            await stores.directory.change_instance(InstanceUrl(instance), {"capacity": capacity})
        children.append(await _model(url, layout, folder))
        children += [_gateway(url, layout, port, folder) for port in ports]
        large = Large(layout, [f"http://localhost:{port}" for port in ports], stores.directory, wire)
        await _until_steady(large)
        yield large


async def _model(url: str, layout: Layout, folder: Path) -> processes.Child:
    """All instances, each holding its sessions."""
    numbers = (layout.first_port, layout.instances, layout.sessions)
    settings = {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY}/src", "HOMING_VAULT_KEY": str(fresh_key("bench"))}
    command = [url, *map(str, numbers)]
    child = processes.start(
        "Living instances", "bench.living_instances", command, folder=folder, logs=folder, settings=settings
    )
    await listening(child)
    return child


def _gateway(url: str, layout: Layout, port: int, folder: Path) -> processes.Child:
    settings = {
        "HOMING_PORT": str(port),
        "HOMING_DATABASE_URL": url,
        "HOMING_LOG_FORMAT": "json",
        "HOMING_LOG_LEVEL": "error",
        "WHATSAPP_INSTANCE_1": layout.urls[0],
        "WHATSAPP_API_KEY": "key",
    }
    name = f"Gateway {port}"
    return processes.start(name, "homing.cli", ["serve"], folder=folder, logs=folder, settings=settings)


async def _until_steady(large: Large) -> None:
    async with asyncio.timeout(60):
        for url in large.gateways:
            while True:
                reply = await large.wire.call("GET", url, "/ready", timeout_s=2)
                if not isinstance(reply, Fault) and reply.status == 200:
                    break
                await asyncio.sleep(0.1)
    await asyncio.sleep(STEADY_S)
    assert not any(await large.braking()), "the brake is on before anything happened"
