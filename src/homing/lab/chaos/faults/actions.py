"""What is done to a fleet, one thing at a time; most of it to the instance or the gateway at an address."""

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from homing.demo.plan import Unworkable
from homing.flows.moves.milestones import Milestone
from homing.lab.chaos.ground.conditions import CLEAR, Passing, WayConditions
from homing.lab.chaos.ground.proxy import HOST
from homing.lab.chaos.stage import Stage
from homing.model.sends.faults import Fault

Action = Callable[[Stage, str], Awaitable[None]]

DRAINED_WITHIN_S = 60.0
DIES_WITHIN_S = 15.0
_LOOK_EVERY_S = 0.05


async def nothing(_stage: Stage, _url: str) -> None:
    """It passes by itself."""


# --- instances --------------------------------------------------------------------------------------------------


async def kill_instance(stage: Stage, url: str) -> None:
    """kill -9. Nobody listens at its address from here on."""
    stage.demo.instances[url].process.kill()
    stage.demo.instances[url].process.wait()
    stage.ways[url].become(WayConditions(Passing.REFUSED))


async def end_instance(stage: Stage, url: str) -> None:
    """SIGTERM, and what it does then."""
    process = stage.demo.instances[url].process
    process.terminate()
    await asyncio.to_thread(process.wait)
    stage.ways[url].become(WayConditions(Passing.REFUSED))


async def start_instance(stage: Stage, url: str) -> None:
    stage.ways[url].become(CLEAR)
    await stage.demo.start_instance_again(url)


async def freeze_instance(stage: Stage, url: str) -> None:
    os.kill(stage.demo.instances[url].pid, signal.SIGSTOP)


async def wake_instance(stage: Stage, url: str) -> None:
    """On a file it may have been ended meanwhile: one that stood with the write lock."""
    process = stage.demo.instances[url].process
    if process.poll() is None:
        os.kill(process.pid, signal.SIGCONT)
    else:
        await start_instance(stage, url)


async def kill_engine(stage: Stage, url: str) -> None:
    """kill -9 of the engine's process, which the instance starts anew. Raises Unworkable."""
    found = await asyncio.to_thread(_engines_of, stage.demo.instances[url].pid)
    if not found:
        raise Unworkable(f"{url} has no process of an engine")
    for pid in found:
        os.kill(pid, signal.SIGKILL)


def _engines_of(parent: int) -> list[int]:
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_child = int((each / "stat").read_text().rpartition(")")[2].split()[1]) == parent
            if is_child and b"sidecar.mjs" in (each / "cmdline").read_bytes():
                found.append(int(each.name))
    return found


async def hang_instance(stage: Stage, url: str) -> None:
    """It takes every request and answers none. Raises Unworkable."""
    await _misbehave(stage, url, hang=True)


async def unhang_instance(stage: Stage, url: str) -> None:
    await _misbehave(stage, url, clear=True)


async def _misbehave(stage: Stage, url: str, **faults: bool) -> None:
    reply = await stage.tell(url, "/faults", faults)
    if isinstance(reply, Fault) or reply.status != 200:
        raise Unworkable(f"{url} takes no faults: {reply}")


def way(conditions: WayConditions) -> Action:
    """The way to the instance becomes so."""

    async def become(stage: Stage, url: str) -> None:
        stage.ways[url].become(conditions)

    return become


def instance_store(conditions: WayConditions) -> Action:
    """The instance's way to the database becomes so."""

    async def become(stage: Stage, url: str) -> None:
        stage.instance_stores[url].become(conditions)

    return become


async def drain(stage: Stage, url: str) -> None:
    """Its sessions begin to leave. Raises Unworkable."""
    await stage.api(f"/instances/{await _number(stage, url)}/drain", method="POST")


async def undrain(stage: Stage, url: str) -> None:
    await stage.api(f"/instances/{await _number(stage, url)}/undrain", method="POST")


async def drain_and_end(stage: Stage, url: str) -> None:
    """As for an upgrade. Raises Unworkable."""
    await drain(stage, url)
    number = await _number(stage, url)
    deadline_s = time.monotonic() + DRAINED_WITHIN_S
    while (left := (await stage.api(f"/instances/{number}"))["sessions"]) > 0:
        if time.monotonic() > deadline_s:
            raise Unworkable(f"{url} still has {left} sessions after {DRAINED_WITHIN_S:.0f} s of draining")
        await asyncio.sleep(_LOOK_EVERY_S)
    await end_instance(stage, url)


async def start_and_undrain(stage: Stage, url: str) -> None:
    await start_instance(stage, url)
    await undrain(stage, url)


async def _number(stage: Stage, url: str) -> int:
    rows = (await stage.api("/instances"))["data"]
    return int(next(row["id"] for row in rows if row["url"] == url))


# --- gateways ---------------------------------------------------------------------------------------------------


async def kill_gateway(stage: Stage, url: str) -> None:
    stage.demo.gateways[url].process.kill()
    stage.demo.gateways[url].process.wait()


async def start_gateway(stage: Stage, url: str) -> None:
    """It can do its work when this returns. Raises Unworkable."""
    stage.demo.start_gateway_again(url)
    await stage.ready(url)


async def freeze_gateway(stage: Stage, url: str) -> None:
    os.kill(stage.demo.gateways[url].pid, signal.SIGSTOP)


async def wake_gateway(stage: Stage, url: str) -> None:
    os.kill(stage.demo.gateways[url].pid, signal.SIGCONT)


async def kill_gateways(stage: Stage, _url: str) -> None:
    """All of them."""
    for url in stage.gateways:
        await kill_gateway(stage, url)


async def start_gateways(stage: Stage, _url: str) -> None:
    await asyncio.gather(*(start_gateway(stage, url) for url in stage.gateways))


def gateway_store(conditions: WayConditions) -> Action:
    """The gateway's way to the database becomes so."""

    async def become(stage: Stage, url: str) -> None:
        stage.gateway_stores[stage.gateways.index(url)].become(conditions)

    return become


async def kill_instance_and_gateway(stage: Stage, url: str) -> None:
    """The gateway dies while it brings the instance's sessions back."""
    await kill_instance(stage, url)
    gateway = stage.chance.choice(stage.gateways)
    await asyncio.sleep(stage.chance.uniform(0.2, 1.6))
    await kill_gateway(stage, gateway)
    await start_gateway(stage, gateway)


def dies_at(milestone: Milestone, begin: Action) -> Action:
    """Sessions are to move, and the first gateway that brings them so far dies. It is started again. Raises
    Unworkable."""

    async def play(stage: Stage, url: str) -> None:
        stage.order.write_text(milestone.value)
        try:
            await begin(stage, url)
            await _one_dead(stage, milestone)
        finally:
            stage.order.unlink(missing_ok=True)

    return play


async def _one_dead(stage: Stage, milestone: Milestone) -> None:
    deadline_s = time.monotonic() + DIES_WITHIN_S
    while time.monotonic() < deadline_s:
        for url, child in stage.demo.gateways.items():
            if child.ended is not None:
                stage.demo.start_gateway_again(url)
                return
        await asyncio.sleep(_LOOK_EVERY_S)
    raise Unworkable(f"No gateway came to {milestone.value!r} within {DIES_WITHIN_S:.0f} s")


# --- what stands under them -------------------------------------------------------------------------------------


def stores(conditions: WayConditions) -> Action:
    """Every way to the database becomes so."""

    async def become(stage: Stage, _url: str) -> None:
        for each in (*stage.gateway_stores, *stage.instance_stores.values()):
            each.become(conditions)

    return become


def end_postgres(number: signal.Signals) -> Action:
    async def end(stage: Stage, _url: str) -> None:
        assert stage.postgres is not None
        await stage.postgres.end(number)

    return end


async def start_postgres(stage: Stage, _url: str) -> None:
    assert stage.postgres is not None
    await stage.postgres.start()


async def lock_file(stage: Stage, _url: str) -> None:
    """Take the write lock of the database file, as a careless backup would."""
    path = stage.demo.database_url.removeprefix("sqlite:///")
    stage.lock = sqlite3.connect(path, isolation_level=None, timeout=0)
    while True:
        try:
            stage.lock.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError:
            await asyncio.sleep(0.001)


async def unlock_file(stage: Stage, _url: str) -> None:
    if stage.lock is not None:
        stage.lock.close()
        stage.lock = None


async def flush_redis(stage: Stage, _url: str) -> None:
    assert stage.redis is not None
    reader, writer = await asyncio.open_connection(HOST, stage.redis.port)
    writer.write(b"FLUSHALL\r\n")
    await reader.readline()
    writer.close()


async def kill_redis(stage: Stage, _url: str) -> None:
    assert stage.redis is not None
    await stage.redis.end(signal.SIGKILL)


async def start_redis(stage: Stage, _url: str) -> None:
    assert stage.redis is not None
    await stage.redis.start()
