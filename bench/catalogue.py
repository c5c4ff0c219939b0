"""Which measurements there are, and in which settings each is made."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg

from bench import (
    cache,
    campaign,
    customers,
    documents,
    drivers,
    elsewhere,
    fleet_wide,
    follow,
    gateway_killed,
    importing,
    loop_stalls,
    lost,
    mass_loss,
    mixed,
    page,
    relay,
    reservations,
    restart,
    retention,
    shares,
    silenced,
)
from bench.fleet import Fleet, fresh_database, open_fleet
from bench.lost import Loss
from bench.peers import compare
from bench.report import Report
from homing.lab.chaos.stage import StageOrder

POSTGRES_URL = os.environ.get("HOMING_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS_URL = os.environ.get("HOMING_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")

SQLITE = "SQLite, one gateway"
POSTGRES = "PostgreSQL, two gateways"
REDIS = "PostgreSQL with Redis, two gateways"

BOTH = (SQLITE, POSTGRES)
SEVERAL = (POSTGRES, REDIS)
STORES = ("SQLite", "PostgreSQL")

INSTANCES = 100
SESSIONS = 10_000

Measure = Callable[[str], Awaitable[Report]]


class NotHere(Exception):
    """A setting that this machine cannot have; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """By name: in which settings, and the measuring in one of them."""

    name: str
    settings: Sequence[str]
    measure: Measure


@dataclass(frozen=True, slots=True)
class OnFleet:
    """A measurement on a demo of this size."""

    run: Callable[[Fleet], Awaitable[Report]]
    size: dict[str, Any] = field(default_factory=dict)

    async def __call__(self, setting: str) -> Report:
        async with _fleet(setting, self.size) as fleet:
            return await self.run(fleet)


def measurements(*, quick: bool, large: bool) -> list[Measurement]:
    """All of them, in the order in which they are made."""

    def less(full: int, few: int) -> int:
        return few if quick else full

    def on(run: Callable[[Fleet], Awaitable[Report]], *, reports: bool = True, **size: int) -> OnFleet:
        return OnFleet(run, {"reports": reports, **size})

    found = [
        Measurement(
            "elsewhere",
            BOTH,
            on(lambda up: elsewhere.run(up, repeats=less(8, 2)), accounts=100, contacts=100, reports=False),
        ),
        Measurement("restart-all", BOTH, on(lambda up: restart.run(up, repeats=less(5, 2)), accounts=100)),
        Measurement(
            "cache", BOTH, on(lambda up: cache.run(up, sends=less(100_000, 10_000)), accounts=100, contacts=1_000)
        ),
        Measurement("mass-loss", BOTH, on(mass_loss.run, accounts=less(1_000, 300), reports=False)),
        Measurement("gateway-killed", BOTH, on(lambda up: gateway_killed.run(up, repeats=less(20, 3)), accounts=20)),
        Measurement("follow", SEVERAL, on(lambda up: follow.run(up, moves=less(300, 50)), accounts=12, reports=False)),
        Measurement("relay", BOTH, on(lambda up: relay.run(up, sends=less(16_000, 4_000)), accounts=20, reports=False)),
        *(
            Measurement(name, BOTH, partial(_lost, loss=loss, repeats=less(30, 3), accounts=accounts))
            for name, loss, accounts in (
                ("killed", lost.KILLED, 100),
                ("killed-with-100", lost.KILLED, 400),
                *((f"silent-{fault}", loss, 100) for fault, loss in lost.SILENT.items()),
            )
        ),
        Measurement("upgraded", BOTH, partial(_lost, loss=lost.UPGRADED, repeats=less(32, 4), accounts=100)),
        Measurement("gateways-away", BOTH, partial(_lost, loss=lost.GATEWAYS_AWAY, repeats=less(3, 1), accounts=100)),
        Measurement("database-away", BOTH, _database_away),
        Measurement("silenced", BOTH, partial(_silenced, silent=30)),
        Measurement("silenced-too-many", BOTH, partial(_silenced, silent=60)),
        Measurement("hanging-session", BOTH[:1], partial(_hanging, rounds=less(5, 1))),
        Measurement("waiting-sends", BOTH[:1], partial(_waiting, rounds=less(5, 1))),
        Measurement("overload", BOTH[:1], partial(_overload, for_s=less(20, 8))),
        Measurement("sync", STORES, lambda setting: _sync(setting, sessions=less(10_000, 2_000))),
        Measurement("loop-stalls", STORES, lambda setting: _loop_stalls(setting, sessions=less(100_000, 20_000))),
        Measurement("page", STORES[:1], partial(_page, sessions=less(100_000, 10_000), rounds=less(5, 3))),
        Measurement("peers", STORES, partial(_peers, rounds=less(3, 1), for_s=less(4, 1))),
        Measurement("drivers", STORES[:1], partial(_drivers, rounds=less(8, 2))),
        Measurement("import", STORES, partial(_import, size=less(1, 10))),
        Measurement("mixed-fleet", BOTH[:1], partial(_mixed, accounts=less(300, 60), rounds=less(5, 1))),
        Measurement("moved-by-hand", BOTH[:1], partial(_moved, moves=less(100, 12))),
        Measurement("retention", STORES, partial(_retention, size=less(1, 10))),
        Measurement(
            "campaign", BOTH, on(lambda up: campaign.run(up, messages=less(10_000, 1_000)), accounts=20, reports=False)
        ),
        Measurement(
            "customers",
            SEVERAL[:1],
            on(lambda up: customers.run(up, rounds=less(5, 1), round_s=less(20, 6)), accounts=2, reports=False),
        ),
        Measurement(
            "replay",
            SEVERAL[:1],
            on(lambda up: customers.run_replay(up, events=less(100_000, 5_000)), accounts=2, reports=False),
        ),
        Measurement(
            "documents",
            BOTH[:1],
            on(lambda up: documents.run(up, documents=less(50, 8), mib=less(64, 16)), accounts=10, reports=False),
        ),
        Measurement(
            "documents-in",
            BOTH[:1],
            on(lambda up: documents.run_inbound(up, documents=less(50, 8), mib=less(64, 16)), accounts=10),
        ),
        Measurement("reservations", STORES, lambda setting: _reservations(setting, messages=less(40_000, 8_000))),
    ]
    if large:
        found.append(Measurement("sync-large", STORES[1:], _sync_large))
    return found


async def _peers(setting: str, *, rounds: int, for_s: float) -> Report:
    async with _database(setting) as url:
        try:
            return await compare.run(url, rounds=rounds, for_s=for_s)
        except compare.NoCompiler as error:
            raise NotHere(str(error)) from error


async def _drivers(setting: str, *, rounds: int) -> Report:
    async with _database(setting) as url:
        return await drivers.run(url, rounds=rounds)


async def _import(setting: str, *, size: int) -> Report:
    async with _database(setting) as url:
        try:
            return await importing.run(url, accounts_there=10_000 // size, contacts_there=100_000 // size)
        except importing.ServiceMissing as error:
            raise NotHere(str(error)) from error


async def _mixed(_: str, *, accounts: int, rounds: int) -> Report:
    opened = open_fleet(accounts=accounts, contacts=10, families=mixed.TWICE, strangers=True, settings=mixed.SETTINGS)
    async with opened as fleet:
        return await mixed.run_ill(fleet, rounds=rounds)


async def _moved(_: str, *, moves: int) -> Report:
    async with open_fleet(accounts=20, contacts=10, families=("waha", "waha")) as fleet:
        return await mixed.run_moved(fleet, moves=moves)


async def _silenced(setting: str, *, silent: int) -> Report:
    size = {"gateways": 1 if setting == SQLITE else 2, "instances": INSTANCES, "sessions": SESSIONS, "silent": silent}
    async with _database(setting) as url:
        if silent > INSTANCES // 2:
            return await silenced.run_too_many(url, **size)
        return await silenced.run(url, **size, capacity=150)


async def _hanging(setting: str, *, rounds: int) -> Report:
    async with _database(setting) as url:
        return await shares.run_hanging(url, rounds=rounds)


async def _waiting(setting: str, *, rounds: int) -> Report:
    async with _database(setting) as url:
        return await shares.run_waiting(url, rounds=rounds)


async def _overload(setting: str, *, for_s: float) -> Report:
    async with _database(setting) as url:
        return await shares.run_overload(url, for_s=for_s)


async def _reservations(setting: str, *, messages: int) -> Report:
    async with _database(setting) as url:
        return await reservations.run(url, messages=messages)


async def _retention(setting: str, *, size: int) -> Report:
    async with _database(setting) as url:
        return await retention.run(url, few=100_000 // (size // 4 or 1), many=1_000_000 // size)


async def _lost(setting: str, *, loss: Loss, repeats: int, accounts: int) -> Report:
    if setting == SQLITE:
        return await lost.run(StageOrder(accounts=accounts), loss, repeats=repeats)
    async with _database(setting) as url:
        return await lost.run(StageOrder(database=url, gateways=2, accounts=accounts), loss, repeats=repeats)


async def _database_away(setting: str) -> Report:
    """A file cannot be away; somebody else can have it for himself."""
    loss = lost.FILE_LOCKED if setting == SQLITE else lost.DATABASE_AWAY
    return await _lost(setting, loss=loss, repeats=1, accounts=100)


async def _sync(setting: str, *, sessions: int) -> Report:
    async with _database(setting) as url:
        return await fleet_wide.run(url, instances=20, sessions=sessions)


async def _loop_stalls(setting: str, *, sessions: int) -> Report:
    async with _database(setting) as url:
        return await loop_stalls.run(url, instances=20, sessions=sessions)


async def _page(setting: str, *, sessions: int, rounds: int) -> Report:
    """A hundred sessions on each instance."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise NotHere("there is no Chromium (apt-get install chromium)")
    async with _database(setting) as url:
        return await page.run(
            url,
            chromium,
            instances=sessions // 100,
            sessions=sessions,
            streams=100,
            rounds=rounds,
            round_s=8.0,
            scroll_s=12.0 * rounds,
        )


async def _sync_large(setting: str) -> Report:
    async with _database(setting) as url:
        return await fleet_wide.run_large(url, instances=1_000, sessions=1_000_000)


@asynccontextmanager
async def _fleet(setting: str, size: dict[str, Any]) -> AsyncIterator[Fleet]:
    if setting == SQLITE:
        async with open_fleet(**size) as fleet:
            yield fleet
        return
    with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
        if setting == REDIS:
            (Path(folder) / ".env").write_text(f"HOMING_REDIS_URL={REDIS_URL}\n")
        async with (
            _database(setting) as url,
            open_fleet(**size, database_url=url, gateways=2, folder=Path(folder)) as up,
        ):
            yield up


@asynccontextmanager
async def _database(setting: str) -> AsyncIterator[str]:
    """The URL of an empty database. Raises NotHere."""
    if setting in (SQLITE, STORES[0]):
        with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
            yield f"sqlite:///{folder}/homing.db"
        return
    try:
        await (await asyncpg.connect(POSTGRES_URL, timeout=3)).close()
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise NotHere(f"no PostgreSQL answers ({error}); name one with HOMING_TEST_POSTGRES_URL") from error
    async with fresh_database(POSTGRES_URL) as url:
        yield url
