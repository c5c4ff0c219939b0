"""A gateway reduced to its scheduler: runs one schedule of every second, and writes down each run, until it is killed.

Arguments: the database's URL, this gateway's name, the file to write to.
"""

import asyncio
import os
import sys
import time

from homing.flows.background.schedules import Schedule, Scheduler
from homing.model.work import Tick
from homing.store.db.opening import open_database
from homing.store.work.schedules import SqlSchedules
from homing.world import SystemClock

RUN_S = 0.3
LEASE_S = 2.0


async def main(url: str, owner: str, path: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(what: str, tick: Tick) -> None:
        os.write(file, f"{what} {tick.at.timestamp():.0f} {tick.fence} {owner} {time.monotonic():.6f}\n".encode())

    async def run(tick: Tick) -> str:
        write("begin", tick)
        await asyncio.sleep(RUN_S)
        write("end", tick)
        return "written"

    schedule = Schedule("every second", "* * * * * *", run, lease_s=LEASE_S)
    await Scheduler(SqlSchedules(open_database(url)), SystemClock(), [schedule], owner=owner).run()


asyncio.run(main(*sys.argv[1:]))
