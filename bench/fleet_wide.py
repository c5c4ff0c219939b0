"""One check of the whole fleet, beside the first version's way: ask for each session, then scan for the lost ones."""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from bench.model_fleet import open_model_fleet, populate, settings_for
from bench.model_instances import Layout, session_id
from bench.report import Report, shown
from homing.compose import open_sync
from homing.decide.knowledge.sync import SyncResult
from homing.demo.processes import environment
from homing.drivers.http.wire import Wire
from homing.flows.discovery.sync import SyncReport
from homing.model.sends.faults import Fault

FEWER_CALLS = 50
LARGE_WITHIN_S = 60.0
LARGE_WITHIN_BYTES = 1_000_000_000


@dataclass(slots=True)
class Cost:
    """What one check took."""

    calls: int = 0
    statements: int = 0
    took_s: float = 0.0


async def run(url: str, *, instances: int, sessions: int, wrong_per_mille: int = 300) -> Report:
    """One sync that mends the records, another that verifies them, and the first version's over the same records."""
    share = f"{wrong_per_mille / 10:g} % of records wrong"
    report = Report(f"One check of the whole fleet: {sessions:,} sessions, {instances} instances, {share}")
    with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
        async with open_model_fleet(Path(folder), instances, sessions, wrong_per_mille) as layout:
            await populate(url, layout)
            ours, mended, again = await _our_way(url)
            seeds = await _seeds_way(layout)
    _judge_sync(report, layout, mended, again)
    fewer = seeds.calls / ours.calls
    report.add("calls to instances", f"{instances}", f"{ours.calls}", ours.calls == instances)
    report.add(
        "calls by the first version's way",
        f"≥ {FEWER_CALLS}×",
        f"{seeds.calls:,} ({fewer:,.0f}×)",
        fewer >= FEWER_CALLS,
    )
    report.add("SQL statements", "", f"{ours.statements}; the first version's way {seeds.statements:,}")
    ratio = seeds.took_s / ours.took_s
    report.add("time", "", f"{shown(ours.took_s)}; the first one's calls alone {shown(seeds.took_s)} ({ratio:.0f}×)")
    return report


async def run_large(url: str, *, instances: int, sessions: int, wrong_per_mille: int = 10) -> Report:
    """`homing sync-instance-urls` in a process of its own, over very many sessions."""
    share = f"{wrong_per_mille / 10:g} % of records wrong"
    report = Report(f"A check of {sessions:,} sessions on {instances:,} instances, {share}")
    with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
        async with open_model_fleet(Path(folder), instances, sessions, wrong_per_mille) as layout:
            await populate(url, layout)
            said, took_s, peak_bytes = await asyncio.to_thread(_by_command, url, layout, Path(folder))
    verified = layout.sessions - layout.wrong
    report.add("records mended", f"{layout.wrong:,}", f"{said['updated']:,}", said["updated"] == layout.wrong)
    report.add("sessions verified", f"{verified:,}", f"{said['verified']:,}", said["verified"] == verified)
    calls = said["instance_calls"]
    report.add("calls to instances", f"{instances:,}", f"{calls:,}", calls == instances)
    report.add("time of the process", f"≤ {LARGE_WITHIN_S:.0f} s", shown(took_s), took_s <= LARGE_WITHIN_S)
    kept = peak_bytes <= LARGE_WITHIN_BYTES
    report.add("peak memory of the process", "≤ 1,000 MB", f"{peak_bytes / 1e6:,.0f} MB", kept)
    return report


def _judge_sync(report: Report, layout: Layout, mended: SyncReport, again: SyncReport) -> None:
    updated, right = mended.counts[SyncResult.UPDATED], again.counts[SyncResult.VERIFIED]
    report.add("records mended", f"{layout.wrong:,}", f"{updated:,}", updated == layout.wrong)
    report.add("right afterwards", f"{layout.sessions:,}", f"{right:,}", right == layout.sessions)


async def _our_way(url: str) -> tuple[Cost, SyncReport, SyncReport]:
    cost = Cost()
    async with open_sync(settings_for(url)) as sync:
        began_s = time.monotonic()
        with _statements_counted(cost):
            mended = await sync.run()
        cost.took_s, cost.calls = time.monotonic() - began_s, mended.instance_calls
        return cost, mended, await sync.run(force=True)


@contextmanager
def _statements_counted(cost: Cost) -> Iterator[None]:
    def count(*_: Any) -> None:
        cost.statements += 1

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", count)


async def _seeds_way(layout: Layout) -> Cost:
    """Ask the recorded instance for each session's status, and where it is not, all others in turn.

    Of its database work, one SELECT and an UPDATE for each session found elsewhere, only the number counts here.
    """
    cost = Cost(statements=1)
    wire, urls = Wire(), layout.urls
    began_s = time.monotonic()
    for number in range(layout.sessions):
        recorded = layout.recorded(number)
        path = f"/api/sessions/{session_id(number)}/status?api_key=key"
        for url in [urls[recorded], *urls[:recorded], *urls[recorded + 1 :]]:
            cost.calls += 1
            if await _found(wire, url, path):
                cost.statements += url != urls[recorded]
                break
    cost.took_s = time.monotonic() - began_s
    await wire.close()
    return cost


async def _found(wire: Wire, url: str, path: str) -> bool:
    reply = await wire.call("GET", url, path, timeout_s=5)
    assert not isinstance(reply, Fault), reply
    return reply.status == 200


def _by_command(url: str, layout: Layout, folder: Path) -> tuple[dict[str, Any], float, int]:
    """The command's report, how long its process lived, and the most memory that it had."""
    said, told = folder / "report.json", folder / "sync.log"
    command = [sys.executable, "-P", "-m", "homing.cli", "sync-instance-urls", "--json"]
    settings = environment({"HOMING_DATABASE_URL": url, "WHATSAPP_INSTANCE_1": layout.urls[0]})
    settings |= {"HOMING_LOG_LEVEL": "error"}
    began_s = time.monotonic()
    with said.open("wb") as out, told.open("wb") as err:
        files = [(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, err.fileno(), 2)]
        pid = os.posix_spawn(sys.executable, command, settings, file_actions=files)
        _, status, usage = os.wait4(pid, 0)
    took_s = time.monotonic() - began_s
    assert status == 0, (status, told.read_text()[-2000:])
    return json.loads(said.read_text()), took_s, usage.ru_maxrss * 1024
