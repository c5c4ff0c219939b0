"""The migrations make exactly the schema that the code works with, once, whoever starts at the same time."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fleets import A, change
from sqlalchemy import Connection, inspect, text

from clocks import SteppedClock
from homing.model.fleet import SessionStatus
from homing.ports import Page, StoreUnavailable
from homing.store.database import StoreMisconfigured
from homing.store.directory import SqlDirectory
from homing.store.migrating import current_revision, migrate, newest_revision
from homing.store.notices import LocalNotices
from homing.store.opening import open_database
from homing.store.schema import metadata


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return str(request.getfixturevalue("empty_postgres_url"))


def tables_as_seen(connection: Connection) -> dict[str, Any]:
    """What the database says of each table, down to its checks."""
    inspector = inspect(connection)
    return {
        table: {
            "columns": [(each["name"], str(each["type"]), each["nullable"]) for each in inspector.get_columns(table)],
            "key": inspector.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(str(each["name"]) for each in inspector.get_unique_constraints(table)),
            "foreign": sorted(str(each["name"]) for each in inspector.get_foreign_keys(table)),
            "checks": sorted(
                (str(each["name"]), re.sub(r"\s+", " ", each["sqltext"]))
                for each in inspector.get_check_constraints(table)
            ),
            "indexes": sorted(str(each["name"]) for each in inspector.get_indexes(table)),
        }
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


def differences(connection: Connection) -> list[Any]:
    return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))


async def test_the_migrations_make_exactly_the_schema(empty_url: str) -> None:
    await migrate(empty_url)
    database = open_database(empty_url)
    assert await database.read(differences) == []
    migrated = await database.read(tables_as_seen)
    await database.write(lambda c: metadata.drop_all(c))
    await database.write(lambda c: metadata.create_all(c))
    assert migrated == await database.read(tables_as_seen)
    assert set(migrated) == set(metadata.tables)
    await database.close()


async def test_the_comparison_would_see_a_difference(empty_url: str) -> None:
    await migrate(empty_url)
    database = open_database(empty_url)
    await database.write(lambda c: c.execute(text("ALTER TABLE contacts ADD COLUMN nickname text")))
    assert await database.read(differences)
    await database.close()


async def test_a_database_tells_its_revision(empty_url: str) -> None:
    assert await current_revision(empty_url) is None
    assert await migrate(empty_url) == newest_revision()
    assert await current_revision(empty_url) == newest_revision()


async def test_migrating_again_changes_nothing(store_url: str) -> None:
    database = open_database(store_url)
    await database.write(lambda c: c.execute(text(KEPT)))
    await migrate(store_url)
    assert await database.read(lambda c: c.scalar(text("SELECT name FROM workspaces"))) == "kept"
    await database.close()


async def test_what_was_there_before_the_vault_is_there_afterwards(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        upgrade = command.upgrade
        earlier.setattr(command, "upgrade", lambda config, _: upgrade(config, "0003"))
        await migrate(empty_url)
    database = open_database(empty_url, now=SteppedClock().now)
    await database.write(lambda c: [c.execute(text(statement)) for statement in BEFORE_THE_VAULT])
    await migrate(empty_url)
    directory = SqlDirectory(database, LocalNotices(), SteppedClock())
    account = await directory.account(None, id=7)
    assert account is not None
    assert (account.placement.epoch, account.status, account.requires) == (3, "connected", {})
    [move] = await directory.moves(None, Page())
    assert (move.id, move.kind, move.fence, move.steps) == (1, "rediscovery", None, {})
    assert (await directory.instances())[0].memory_limit_mb is None
    await directory.set_status(account.session_id, SessionStatus.QUARANTINED)
    assert await directory.rebind([change(account.placement, A, 4)])
    newest, _ = await directory.moves(None, Page())
    assert newest.id == 2, "ids go on where they were"
    await database.close()


KEPT = "INSERT INTO workspaces (id, name, created_at) VALUES (1, 'kept', '2026-01-01T00:00:00Z')"
NOW = "'2026-01-01T00:00:00.000000Z'"
MOVE = f"('rediscovery', 's', 7, 1, 3, 'because', {NOW})"
BEFORE_THE_VAULT = [
    f"INSERT INTO workspaces (id, name, created_at) VALUES (1, 'w', {NOW})",
    f"INSERT INTO accounts VALUES (7, 'u', 1, '62811', 'a', 'auto', {NOW})",
    "INSERT INTO instances (url, driver, name, state, labels) VALUES ('http://a:1', 'webjs', '', 'active', '{}')",
    f"INSERT INTO sessions VALUES ('s', 7, 'http://b:2', 3, 'held', 'connected', NULL, {NOW})",
    f"INSERT INTO moves (kind, session_id, account_id, workspace_id, epoch, reason, at) VALUES {MOVE}",
]


async def test_gateways_that_start_together_do_not_collide(empty_url: str) -> None:
    done = await asyncio.gather(*(asyncio.to_thread(asyncio.run, migrate(empty_url)) for _ in range(4)))
    assert done == [newest_revision()] * 4


async def test_a_database_of_a_newer_homing_is_left_alone(store_url: str) -> None:
    database = open_database(store_url)
    await database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(StoreMisconfigured, match="revision 9999, which this version of Homing does not know"):
        await migrate(store_url)
    await database.close()


async def test_a_server_that_is_away_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        await migrate("postgresql://nobody@127.0.0.1:1/none")


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"certainly not a database, whatever it is" * 50)
    with pytest.raises(StoreMisconfigured, match=re.escape(str(garbage))):
        await migrate(f"sqlite:///{garbage}")
    assert garbage.read_bytes().startswith(b"certainly")


async def test_a_database_in_memory_has_its_tables_from_the_start() -> None:
    database = open_database("sqlite://")
    assert await database.read(differences) == []
    await database.close()
