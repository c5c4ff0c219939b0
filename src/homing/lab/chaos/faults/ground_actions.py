"""What is done to what a fleet stands on: disks, logs, clocks, names, descriptors, and servers of PostgreSQL."""

import asyncio
import resource
import signal
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from homing.demo import processes
from homing.lab.chaos.faults.actions import Action, kill_gateway, kill_instance
from homing.lab.chaos.ground import names
from homing.lab.chaos.ground.conditions import CLEAR, Passing, WayConditions
from homing.lab.chaos.ground.disks import Disk
from homing.lab.chaos.ground.pipes import LogPipe
from homing.lab.chaos.stage import Stage

Which = Literal["database", "journals", "logs"]
FORWARD, BACK = 1, -1
JUMPS_S = (7.0, 300.0, 3 * 3600.0)
UNTIL_SET_S = 0.2
"""How long a process may believe its clock as it was."""

# --- disks ------------------------------------------------------------------------------------------------------


def fill(which: Which) -> Action:
    async def act(stage: Stage, _url: str) -> None:
        _disk(stage, which).fill()

    return act


def free(which: Which) -> Action:
    async def act(stage: Stage, _url: str) -> None:
        await _disk(stage, which).free()
        if which == "database" and stage.postgres is not None:
            await stage.postgres.start_if_ended()

    return act


async def gateway_comes_up_read_only(stage: Stage, url: str) -> None:
    """It is killed, and started while nobody may open a file of the database to write."""
    await kill_gateway(stage, url)
    _disk(stage, "database").become_read_only()
    stage.demo.start_gateway_again(url)


async def gateway_becomes_writable(stage: Stage, url: str) -> None:
    """One that did not wait is started again, as by its supervisor."""
    _disk(stage, "database").become_writable()
    if stage.process_of(url).poll() is not None:
        stage.demo.start_gateway_again(url)


async def instance_comes_up_read_only(stage: Stage, url: str) -> None:
    """It is killed, and started while nobody may open a file of its journal to write."""
    await kill_instance(stage, url)
    _disk(stage, "journals").become_read_only()
    stage.ways[url].become(CLEAR)
    stage.demo.begin_instance_again(url)


async def instance_becomes_writable(stage: Stage, url: str) -> None:
    _disk(stage, "journals").become_writable()
    if stage.process_of(url).poll() is not None:
        stage.demo.begin_instance_again(url)
    await processes.announced(stage.demo.instances[url])


def _disk(stage: Stage, which: Which) -> Disk:
    assert stage.equipped.disks is not None
    disk: Disk = getattr(stage.equipped.disks, which)
    return disk


# --- logs -------------------------------------------------------------------------------------------------------


async def close_logs(stage: Stage, _url: str) -> None:
    """Whoever reads them is gone."""
    for pipe in _pipes(stage):
        pipe.close()


async def stick_logs(stage: Stage, _url: str) -> None:
    """Whoever reads them reads no more, and the pipes are full."""
    for pipe in _pipes(stage):
        pipe.stick()


async def read_logs(stage: Stage, _url: str) -> None:
    for pipe in _pipes(stage):
        pipe.open()


def _pipes(stage: Stage) -> list[LogPipe]:
    return list(stage.equipped.pipes.values())


# --- clocks -----------------------------------------------------------------------------------------------------


def set_clock(direction: int) -> Action:
    """The wall clock of one gateway or instance jumps: by seconds, minutes or hours."""

    async def act(stage: Stage, url: str) -> None:
        assert stage.equipped.clocks is not None
        stage.equipped.clocks.set(stage.name_of(url), direction * stage.chance.choice(JUMPS_S))
        await asyncio.sleep(UNTIL_SET_S)

    return act


async def set_clock_right(stage: Stage, url: str) -> None:
    assert stage.equipped.clocks is not None
    stage.equipped.clocks.set(stage.name_of(url), 0.0)


# --- names ------------------------------------------------------------------------------------------------------


def move_instance(left: Passing) -> Action:
    """The instance's name leads to its other address; the one before becomes so."""

    async def act(stage: Stage, url: str) -> None:
        _move(stage, urlsplit(url).hostname or "", left)

    return act


async def silence_database(stage: Stage, _url: str) -> None:
    """Where its name leads, nobody answers any more."""
    assert stage.equipped.names is not None
    for way in stage.addresses[names.DATABASE][stage.equipped.names[names.DATABASE]]:
        way.become(WayConditions(Passing.UNREACHABLE))


async def move_database(stage: Stage, _url: str) -> None:
    """Its name leads to its other address, where it answers."""
    _move(stage, names.DATABASE, Passing.UNREACHABLE)


def _move(stage: Stage, name: str, left: Passing) -> None:
    assert stage.equipped.names is not None
    before = stage.equipped.names[name]
    now = names.THERE if before == names.HERE else names.HERE
    for way in stage.addresses[name][now]:
        way.become(CLEAR)
    stage.equipped.names.lead(name, now)
    for way in stage.addresses[name][before]:
        way.become(WayConditions(left))


# --- descriptors ------------------------------------------------------------------------------------------------


async def exhaust_descriptors(stage: Stage, url: str) -> None:
    """The process may open no file and no connection beyond those that it has."""
    pid = stage.process_of(url).pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (_first_free(pid), hard))


def _first_free(pid: int) -> int:
    taken = {int(descriptor.name) for descriptor in Path(f"/proc/{pid}/fd").iterdir()}
    return next(number for number in count() if number not in taken)


async def allow_descriptors(stage: Stage, url: str) -> None:
    pid = stage.process_of(url).pid
    with suppress(ProcessLookupError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))


# --- PostgreSQL -------------------------------------------------------------------------------------------------


async def demote(stage: Stage, _url: str) -> None:
    """The primary takes no writes any more, and keeps all its connections."""
    assert stage.equipped.pair is not None
    await stage.equipped.pair.demote_first()


async def promote(stage: Stage, _url: str) -> None:
    assert stage.equipped.pair is not None
    await stage.equipped.pair.promote_second()


async def rejoin(stage: Stage, _url: str) -> None:
    """Afterwards, that there may be another failover: the former primary follows the new one."""
    assert stage.equipped.pair is not None
    stage.equipped.pair = await stage.equipped.pair.rejoined()


async def kill_pooler(stage: Stage, _url: str) -> None:
    assert stage.equipped.pooler is not None
    await stage.equipped.pooler.end(signal.SIGKILL)


async def start_pooler(stage: Stage, _url: str) -> None:
    assert stage.equipped.pooler is not None
    await stage.equipped.pooler.start()


async def kill_backends(stage: Stage, _url: str) -> None:
    """Every connection that the pooler has to PostgreSQL is ended there, in the midst of whatever it does."""
    assert stage.postgres is not None
    await stage.postgres.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
    )
