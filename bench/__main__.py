"""`python -m bench [NAME …]`: measure, and hold what was measured against what is claimed."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from bench import cache, elsewhere, fleet_wide, gateway_killed, mass_loss, relay, restart
from bench.fleet import Fleet, fresh_database, open_fleet
from bench.report import Report

Measure = Callable[[Fleet], Awaitable[Report]]

POSTGRES = "HOMING_TEST_POSTGRES_URL"


def _measurements(quick: bool) -> dict[str, tuple[dict[str, Any], Measure]]:
    """By name: the fleet that it needs, and the measuring."""

    def less(full: int, quick_one: int) -> int:
        return quick_one if quick else full

    return {
        "elsewhere": ({"accounts": 100, "contacts": 100}, lambda up: elsewhere.run(up, repeats=less(20, 5))),
        "restart": ({"accounts": 100}, lambda up: restart.run(up, repeats=less(5, 2))),
        "cache": ({"accounts": 100, "contacts": 1_000}, lambda up: cache.run(up, sends=less(100_000, 10_000))),
        "mass-loss": ({"accounts": less(1_000, 300)}, mass_loss.run),
        "gateway-killed": ({"accounts": 20}, lambda up: gateway_killed.run(up, repeats=less(20, 3))),
        "relay": ({"accounts": 20}, lambda up: relay.run(up, sends=less(10_000, 3_000))),
    }


def main() -> int:
    """Exit code 1 if a claim was not kept."""
    arguments = _parsed()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    reports = asyncio.run(_all(arguments.name, quick=arguments.quick))
    if arguments.json:
        rows = [{"title": each.title, "rows": [vars_of(row) for row in each.rows]} for each in reports]
        Path(arguments.json).write_text(json.dumps(rows, indent=2))
    return 0 if all(report.kept for report in reports) else 1


def vars_of(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("what", "claimed", "measured", "kept")}


def _parsed() -> argparse.Namespace:
    names = [*_measurements(quick=True), "sync"]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"which: {', '.join(names)}; all by default")
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--json", help="write the rows to this file too")
    found = parser.parse_args()
    unknown = set(found.name) - set(names)
    if unknown:
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return found


async def _all(names: list[str], *, quick: bool) -> list[Report]:
    reports = []
    for name, (needs, measure) in _measurements(quick).items():
        if names and name not in names:
            continue
        async for store, up in _fleets(needs):
            report = await measure(up)
            report.title += f", {store}"
            print(report.markdown(), flush=True)
            reports.append(report)
    if not names or "sync" in names:
        report = await fleet_wide.run(instances=20, sessions=less_sessions(quick))
        print(report.markdown(), flush=True)
        reports.append(report)
    return reports


def less_sessions(quick: bool) -> int:
    return 2_000 if quick else 10_000


async def _fleets(needs: dict[str, Any]) -> AsyncIterator[tuple[str, Fleet]]:
    """The fleet on SQLite with one gateway; then, where a server answers, on PostgreSQL with two."""
    async with open_fleet(**needs) as up:
        yield "SQLite, one gateway", up
    async with _postgres() as url:
        if url is None:
            print(f"NOT RUN on PostgreSQL: none answers; name one with {POSTGRES}", file=sys.stderr)
            return
        async with open_fleet(**needs, database_url=url, gateways=2) as up:
            yield "PostgreSQL, two gateways", up


@asynccontextmanager
async def _postgres() -> AsyncIterator[str | None]:
    server = os.environ.get(POSTGRES, "postgresql://postgres@127.0.0.1:5432/postgres")
    try:
        async with fresh_database(server) as url:
            yield url
    except OSError:
        yield None


if __name__ == "__main__":
    sys.exit(main())
