"""What some faults take beyond what every fleet has; whether this machine has it; and setting it up."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import assert_never

from homing.demo.plan import Apart, DemoPlan
from homing.demo.processes import log_of
from homing.lab.chaos.ground import mounts, names, servers
from homing.lab.chaos.ground.clocks import Clocks
from homing.lab.chaos.ground.disks import Disk, Disks, keep, open_disk
from homing.lab.chaos.ground.names import Names
from homing.lab.chaos.ground.pipes import LogPipe
from homing.lab.chaos.ground.servers import GroundServer, Pair

DISK_BYTES = 48 << 20
POSTGRES_DISK_BYTES = 320 << 20
SMALL_LOG = {"min_wal_size": "32MB", "max_wal_size": "64MB"}
"""So that a PostgreSQL fits on its disk."""


class Equipment(Enum):
    """A fleet has one of these. Faults that take another are played on another fleet."""

    NONE = "nothing"
    DISKS = "disks of its own"
    LOG_PIPES = "pipes for its logs"
    CLOCKS = "clocks of its own"
    NAMES = "names of its own"
    STANDBY = "a standby of its PostgreSQL"
    POOLER = "a PgBouncer before its PostgreSQL"

    def lacking(self) -> str | None:
        """What this machine lacks for it; None if nothing."""
        match self:
            case Equipment.NONE | Equipment.STANDBY | Equipment.CLOCKS:
                return None
            case Equipment.DISKS | Equipment.NAMES:
                return mounts.lacking()
            case Equipment.LOG_PIPES:
                return None if servers.ON_LINUX else "Linux, where a pipe can be held open at both ends"
            case Equipment.POOLER:
                return None if servers.bouncer() else "PgBouncer, which is not installed: apt-get install pgbouncer"
            case _:
                assert_never(self)


@dataclass(slots=True)
class Equipped:
    """What a fleet was equipped with; None for the rest."""

    disks: Disks | None = None
    pipes: dict[str, LogPipe] = field(default_factory=dict)
    clocks: Clocks | None = None
    names: Names | None = None
    pair: Pair | None = None
    pooler: GroundServer | None = None
    place: Path = Path()
    log_pipes: bool = False
    logs: Path | None = None
    """Where they are kept, if not where they are else."""

    def apart(self, name: str) -> Apart:
        """What the process of this name has for itself."""
        return Apart(
            pipe=self.pipes[name].path if name in self.pipes else None,
            program=self.clocks.program(name) if self.clocks is not None else (),
            tells_all=self.log_pipes,
        )

    def open_pipes(self, plan: DemoPlan, stack: AsyncExitStack) -> None:
        """One for each gateway and instance, if there are to be any."""
        if not self.log_pipes:
            return
        gateways = [plan.gateway_name(number) for number in range(1, plan.gateways + 1)]
        instances = [plan.instance_name(number) for number in range(1, plan.instances + 1)]
        for name in (*gateways, *instances):
            log = log_of(plan.logs or self.place, name)
            pipe = self.pipes[name] = LogPipe(self.place / f"{log.name}.pipe", log)
            pipe.open()
            stack.callback(pipe.close)


async def equip(what: Equipment, stack: AsyncExitStack, instances: int, *, kept_in: Path | None) -> Equipped:
    """All but servers. `kept_in` is where what is on disks is copied to at the end. Raises mounts.Unmountable."""
    equipped = Equipped(place=stack.enter_context(servers.place("homing-chaos-")))
    match what:
        case Equipment.DISKS:
            equipped.disks = await _disks(equipped.place, stack, kept_in)
            equipped.logs = equipped.disks.logs.path / "logs"
        case Equipment.CLOCKS:
            equipped.clocks = Clocks(equipped.place)
        case Equipment.NAMES:
            named = [*(names.instance(number) for number in range(1, instances + 1)), names.DATABASE]
            leads = dict.fromkeys(named, names.HERE)
            equipped.names = stack.enter_context(names.open_names(equipped.place, leads))
        case Equipment.LOG_PIPES:
            equipped.log_pipes, equipped.logs = True, (kept_in or equipped.place) / "logs"
        case Equipment.NONE | Equipment.STANDBY | Equipment.POOLER:
            """Nothing else."""
        case _:
            assert_never(what)
    return equipped


async def _disks(place: Path, stack: AsyncExitStack, kept_in: Path | None) -> Disks:
    user = servers.server_user(place)
    opened: dict[str, Disk] = {}

    async def disk(name: str, size_bytes: int, owner: str | None) -> None:
        (place / name).mkdir()
        opened[name] = await stack.enter_async_context(open_disk(place / name, size_bytes, owner))
        if kept_in is not None:
            stack.push_async_callback(asyncio.to_thread, keep, opened[name], kept_in / "disks")

    await disk("database", POSTGRES_DISK_BYTES, user)
    await disk("journals", DISK_BYTES, None)
    await disk("logs", DISK_BYTES, None)
    return Disks(opened["database"], opened["journals"], opened["logs"])
