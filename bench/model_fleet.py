"""A directory full of sessions, bulk-loaded, and the model instances that have them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import Connection, insert

from bench.fleet import free_ports
from bench.model_instances import Layout, session_id
from homing.compose import open_stores
from homing.config import Settings
from homing.demo import processes
from homing.model.fleet import InstanceUrl, PlacementState, SessionStatus, Takeover
from homing.store.db.opening import open_database
from homing.store.db.schema.tables import accounts, metadata, sessions, workspaces

REPOSITORY = Path(__file__).parent.parent
LISTENS_WITHIN_S = 120.0
AT_ONCE = 5_000

Rows = list[dict[str, Any]]


@asynccontextmanager
async def open_model_fleet(folder: Path, instances: int, count: int, wrong_per_mille: int) -> AsyncIterator[Layout]:
    """So many model instances that listen, in a process of their own, with so many sessions among them."""
    layout = Layout(free_ports(instances), instances, count, wrong_per_mille)
    child = processes.start(
        "Model instances",
        "bench.model_instances",
        [str(part) for part in (layout.first_port, instances, count, wrong_per_mille)],
        folder=folder,
        logs=folder,
        settings={"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY}/src"},
    )
    try:
        await listening(child)
        yield layout
    finally:
        await processes.end([child])


async def listening(child: processes.Child) -> None:
    """Until it says that all its instances listen."""
    async with asyncio.timeout(LISTENS_WITHIN_S):
        while '{"pid"' not in child.log.read_text():
            processes.check_alive(child)
            await asyncio.sleep(0.05)


def settings_for(url: str) -> Settings:
    """Settings that take nothing from the environment: the instances are in the directory."""
    return Settings.model_construct(homing_database_url=url, homing_redis_url="", instances=())


async def populate(url: str, layout: Layout) -> None:
    """Every session in the directory, connected and never verified, where the layout says that it is recorded."""
    async with open_stores(settings_for(url)) as stores:
        for instance in layout.urls:
            await stores.directory.create_instance(InstanceUrl(instance))
    if url.startswith("postgres"):
        await _copy(url, layout)
    else:
        database = open_database(url)
        await database.write(lambda connection: connection.execute(insert(workspaces), _workspaces(layout)))
        for start in range(0, layout.sessions, AT_ONCE):  # one write of all takes longer than the store lets it
            numbers = range(start, min(start + AT_ONCE, layout.sessions))
            await database.write(partial(_insert, layout, numbers))
        await database.close()


def _insert(layout: Layout, numbers: range, connection: Connection) -> None:
    connection.execute(insert(accounts), [_account(number, layout) for number in numbers])
    connection.execute(insert(sessions), [_session(number, layout) for number in numbers])


async def _copy(url: str, layout: Layout) -> None:
    connection = await asyncpg.connect(url)
    try:
        everyone = range(layout.sessions)
        for table, rows in (
            (workspaces, iter(_workspaces(layout))),
            (accounts, (_account(number, layout) for number in everyone)),
            (sessions, (_session(number, layout) for number in everyone)),
        ):
            await _copy_into(connection, metadata.tables[table.name].name, rows)
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


async def _copy_into(connection: "asyncpg.Connection[Any]", table: str, rows: Iterator[dict[str, Any]]) -> None:
    first = next(rows)
    columns = list(first)

    def records() -> Iterator[tuple[Any, ...]]:
        yield tuple(first.values())
        yield from (tuple(row.values()) for row in rows)

    await connection.copy_records_to_table(table, records=records(), columns=columns, timeout=600)


_NOW = datetime.now(UTC)


def account_uuid(number: int) -> str:
    return f"00000000-0000-7000-8000-{number:012}"


def _workspaces(layout: Layout) -> Rows:
    return [{"id": 1 + number, "name": "", "created_at": _NOW} for number in range(layout.workspaces)]


def _account(number: int, layout: Layout) -> dict[str, Any]:
    return {
        "id": number + 1,
        "uuid": account_uuid(number),
        "workspace_id": layout.workspace(number),
        "phone": f"62812{number:08}",
        "person": f"62812{number:08}",
        "name": "",
        "takeover": Takeover.AUTO.value,
        "created_at": _NOW,
    }


def _session(number: int, layout: Layout) -> dict[str, Any]:
    return {
        "session_id": session_id(number),
        "account_id": number + 1,
        "instance_url": f"http://localhost:{layout.first_port + layout.recorded(number)}",
        "epoch": 1,
        "state": PlacementState.HELD.value,
        "status": SessionStatus.CONNECTED.value,
        "last_verified_at": None,
        "updated_at": _NOW,
    }
