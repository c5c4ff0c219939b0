"""What it costs to reserve a message in the vault before it leaves, alone and with others."""

import asyncio
import os
import time
from collections.abc import Sequence

from bench.report import Report, Spread
from homing.model.instances.vault import Grant, Holder, Unsent
from homing.store.db.migrating import migrate
from homing.store.db.opening import open_database
from homing.store.vault.sealing import KeyRing, fresh_key
from homing.store.vault.vault import SqlVault

SESSIONS = 100
TOGETHER = (1, 32, 256)
PER_S = 5_000
FRAME_BYTES = 300


async def run(url: str, *, messages: int) -> Report:
    """Each caller reserves one message after the other, over a hundred sessions, and has them acknowledged."""
    report = Report(f"The vault: a message reserved before it leaves, {SESSIONS} sessions")
    await migrate(url)
    database = open_database(url)
    vault = await SqlVault.of(database, KeyRing(fresh_key()))
    grants = await _grants(vault)
    for callers in TOGETHER:
        times, took_s = await _reserve(vault, grants, callers, messages)
        per_s = len(times) / took_s
        claim, kept = (f"≥ {PER_S:,}/s", per_s >= PER_S) if callers == 32 else ("", True)
        report.add(f"{callers} at once: reservations/s", claim, f"{per_s:,.0f}", kept)
        report.add(f"{callers} at once: time of one", "", Spread(times))
    await vault.close()
    await database.close()
    return report


async def _grants(vault: SqlVault) -> list[Grant]:
    holder = Holder("http://localhost:3001", "boot")
    opened = await vault.open_many({f"s{number}": None for number in range(SESSIONS)}, holder=holder)
    return [grant for grant in opened.values() if isinstance(grant, Grant)]


async def _reserve(vault: SqlVault, grants: Sequence[Grant], callers: int, messages: int) -> tuple[list[float], float]:
    frame = os.urandom(FRAME_BYTES)
    times: list[float] = []

    async def caller(number: int) -> None:
        for turn in range(max(1, messages // 32 if callers == 1 else messages // callers)):
            grant = grants[(number + 7 * turn) % len(grants)]
            asked_s = time.perf_counter()
            reserved = await vault.reserve(grant, [Unsent(f"{callers}-{number}-{turn}", frame)])
            times.append(time.perf_counter() - asked_s)
            assert isinstance(reserved, list)
            await vault.acknowledge(grant, [reserved[0].counter])

    began_s = time.perf_counter()
    await asyncio.gather(*(caller(number) for number in range(callers)))
    return times, time.perf_counter() - began_s
