"""The migrations make exactly the schema that the code works with, once, whoever starts at the same time."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fleets import A, change
from sqlalchemy import Connection, inspect, text

from clocks import SteppedClock
from homing.decide.upgrading import READS_ONLY_ALEMBIC
from homing.model.fleet import SessionStatus
from homing.ports import Page, StoreUnavailable
from homing.store.db.database import Database, StoreMisconfigured
from homing.store.db.migrating import BOOKKEEPING, _scripts, current_revision, migrate, newest_revision, serves_from_of
from homing.store.db.opening import open_database
from homing.store.db.schema.every_table import metadata
from homing.store.directory.directory import SqlDirectory
from homing.store.notices.notices import LocalNotices

PATIENCE_S = 60.0
"""Looking at every column of every table takes longer than any statement of a gateway may."""


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
            "columns": [
                {name: each[name] for name in ("name", "nullable", "default")} | {"type": str(each["type"])}  # type: ignore[literal-required]
                for each in inspector.get_columns(table)
            ],
            "key": inspector.get_pk_constraint(table)["constrained_columns"],
            "unique": {
                str(each["name"]): {*map(str, each["column_names"])}
                for each in [
                    *inspector.get_unique_constraints(table),
                    *(index for index in inspector.get_indexes(table) if index["unique"]),
                ]
            },
            "foreign": sorted(str(each["name"]) for each in inspector.get_foreign_keys(table)),
            "checks": {
                str(each["name"]): re.sub(r"\s+", " ", each["sqltext"])
                for each in inspector.get_check_constraints(table)
            },
            "indexes": sorted(str(each["name"]) for each in inspector.get_indexes(table)),
        }
        for table in inspector.get_table_names()
        if table not in BOOKKEEPING
    }


def apart(migrated: Mapping[str, Any], declared: Mapping[str, Any]) -> list[str]:
    """What the migrations make otherwise than store/db/schema says, a line for each part of a table."""
    lines = []
    for table in sorted({*migrated, *declared}):
        made, said = migrated.get(table, {}), declared.get(table, {})
        for part in sorted({*made, *said}):
            if made.get(part) == said.get(part):
                continue
            if part == "columns":
                lines.append(f"{table}: {_columns_apart(made.get(part, []), said.get(part, []))}")
            else:
                lines.append(
                    f"{table}, {part}: {made.get(part)} by the migrations, {said.get(part)} by store/db/schema"
                )
    return lines


def _columns_apart(made: list[Any], said: list[Any]) -> str:
    place, left, right = next(
        (place, left, right) for place, (left, right) in enumerate(zip_longest(made, said), 1) if left != right
    )
    advice = "a new column stands at the end of its table, in store/db/schema too"
    return f"column {place} is {left} by the migrations, and {right} by store/db/schema; {advice}"


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """Closed however the test ends: what stays open would fail the next one."""
    database = open_database(url, statement_timeout_s=PATIENCE_S)
    try:
        yield database
    finally:
        await database.close()


def differences(connection: Connection) -> list[Any]:
    def is_ours(name: str | None, kind: str, _: object) -> bool:
        return kind != "table" or name not in BOOKKEEPING

    opts = {"compare_type": True, "include_name": is_ours}
    return list(compare_metadata(MigrationContext.configure(connection, opts=opts), metadata))


async def test_the_migrations_make_exactly_the_schema(empty_url: str) -> None:
    await migrate(empty_url)
    async with opened(empty_url) as database:
        assert await database.read(differences) == [], "what the migrations made, against store/db/schema"
        migrated = await database.read(tables_as_seen)
        await database.write(lambda c: metadata.drop_all(c))
        await database.write(lambda c: metadata.create_all(c))
        assert apart(migrated, await database.read(tables_as_seen)) == []


async def test_the_comparison_would_see_a_difference(empty_url: str) -> None:
    await migrate(empty_url)
    async with opened(empty_url) as database:
        await database.write(lambda c: c.execute(text("ALTER TABLE contacts ADD COLUMN nickname text")))
        assert await database.read(differences)


def test_a_column_in_another_place_is_told_by_its_name() -> None:
    [told] = apart({"accounts": {"columns": ["id", "name", "cost"]}}, {"accounts": {"columns": ["id", "cost", "name"]}})
    assert told.startswith("accounts: column 2 is name by the migrations, and cost by store/db/schema; a new column")
    assert apart({"accounts": {"key": ["id"]}}, {"accounts": {"key": ["id"]}}) == []


async def test_a_database_tells_its_revision(empty_url: str) -> None:
    assert await current_revision(empty_url) is None
    assert await migrate(empty_url) == newest_revision()
    assert await current_revision(empty_url) == newest_revision()


async def test_migrating_again_changes_nothing(store_url: str) -> None:
    database = open_database(store_url, statement_timeout_s=PATIENCE_S)
    await database.write(lambda c: c.execute(text(KEPT)))
    await migrate(store_url)
    assert await database.read(lambda c: c.scalar(text("SELECT name FROM workspaces"))) == "kept"
    await database.close()


async def test_what_was_there_before_the_vault_is_there_afterwards(
    empty_url: str,
) -> None:
    assert await migrate(empty_url, to="0003") == "0003"
    database = open_database(empty_url, statement_timeout_s=PATIENCE_S, now=SteppedClock().now)
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


# --- upgrades of a fleet that runs ----------------------------------------------------------------------------

FIRST_RELEASED = "0004"
REVISIONS = [script.revision for script in reversed(list(_scripts().walk_revisions()))]
STEPS = [pair for pair in pairwise(REVISIONS) if pair[0] >= FIRST_RELEASED]


async def seen_at(url: str, revision: str) -> dict[str, Any]:
    await migrate(url, to=revision)
    database = open_database(url, statement_timeout_s=PATIENCE_S)
    try:
        return await database.read(tables_as_seen)
    finally:
        await database.close()


def narrowed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What the release before could do and cannot do any more. A destructive step comes one release later."""
    lost = [f"table {name} is gone" for name in before.keys() - after.keys()]
    for name in before.keys() & after.keys():
        lost += [f"{name}: {what}" for what in _narrowed_table(before[name], after[name])]
    return lost


def _narrowed_table(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    was, is_ = ({column["name"]: column for column in table["columns"]} for table in (before, after))
    for name, column in was.items():
        if name not in is_:
            yield f"column {name} is gone"
        elif is_[name]["type"] != column["type"]:
            yield f"column {name} was {column['type']}, and is {is_[name]['type']}"
        elif column["nullable"] and not is_[name]["nullable"]:
            yield f"column {name} has to be filled"
    for name in is_.keys() - was.keys():
        if not is_[name]["nullable"] and is_[name]["default"] is None:
            yield f"column {name} has to be filled, and older releases do not know it"
    for name, columns in after["unique"].items():
        if name not in before["unique"] and columns <= was.keys():
            yield f"{name} is unique over what older releases write"
    for name, condition in after["checks"].items():
        known, words = before["checks"].get(name), set(re.findall(r"\w+", condition))
        if known is None and words & was.keys() and not words & (is_.keys() - was.keys()):
            yield f"{name} is checked over what older releases write"
        if known is not None and not set(re.findall(r"'\w+'", known)) <= set(re.findall(r"'\w+'", condition)):
            yield f"{name} takes less than before"
    if set(after["foreign"]) - set(before["foreign"]):
        yield "a foreign key is there that older releases do not heed"


@pytest.mark.parametrize(("older", "newer"), STEPS)
async def test_the_release_before_finds_all_that_it_needs(empty_url: str, older: str, newer: str) -> None:
    before, after = await seen_at(empty_url, older), await seen_at(empty_url, newer)
    assert await current_revision(empty_url) == newer
    assert narrowed(before, after) == []
    if (serves_from := serves_from_of(newer)) is not None:
        assert serves_from <= older


NARROWING = [
    "DROP TABLE schedules",
    "ALTER TABLE contacts DROP COLUMN name",
    "ALTER TABLE contacts RENAME COLUMN name TO called",
    "ALTER TABLE moves ADD COLUMN cause text NOT NULL",
    "CREATE UNIQUE INDEX one_name ON contacts (workspace_id, name)",
    "ALTER TABLE messages ALTER COLUMN code SET NOT NULL",
    "ALTER TABLE messages ADD CONSTRAINT short CHECK (length(text) < 100)",
    "ALTER TABLE messages ALTER COLUMN attempts TYPE bigint",
    (
        "ALTER TABLE sessions DROP CONSTRAINT sessions_state_check;"
        " ALTER TABLE sessions ADD CONSTRAINT sessions_state_check CHECK (state IN ('held'))"
    ),
]


class Seen(Exception):
    """Rolls a step back, with what it took away."""


async def test_a_step_that_takes_something_away_is_seen(postgres_url: str) -> None:
    database = open_database(postgres_url, statement_timeout_s=PATIENCE_S)
    before = await database.read(tables_as_seen)

    def taken(connection: Connection, statement: str) -> None:
        for part in statement.split(";"):
            connection.execute(text(part))
        raise Seen(narrowed(before, tables_as_seen(connection)))

    for statement in NARROWING:
        with pytest.raises(Seen) as seen:
            await database.write(lambda c, statement=statement: taken(c, statement))  # type: ignore[misc]
        assert seen.value.args[0], statement
    await database.close()


@pytest.mark.parametrize("released", REVISIONS[3:-1])
async def test_an_older_release_is_told_its_own_revision_as_long_as_the_schema_serves_it(
    empty_url: str, released: str
) -> None:
    """Those before 0006 read Alembic's table alone, and start only if that names a revision that they know."""
    await migrate(empty_url, to=released)
    assert await migrate(empty_url) == newest_revision()
    assert await current_revision(empty_url) == newest_revision()
    database = open_database(empty_url, statement_timeout_s=PATIENCE_S)
    told = await database.read(lambda c: c.scalar(text("SELECT version_num FROM alembic_version")))
    assert told == (released if released in READS_ONLY_ALEMBIC else READS_ONLY_ALEMBIC[-1])
    assert await migrate(empty_url) == newest_revision(), "and nothing is done a second time"
    await database.close()


async def made_by_a_newer_one(url: str, serves_from: str) -> None:
    database = open_database(url, statement_timeout_s=PATIENCE_S)
    values = {"serves_from": serves_from}
    await database.write(lambda c: c.execute(text("UPDATE schema_version SET revision = '9999'")))
    await database.write(lambda c: c.execute(text("UPDATE schema_version SET serves_from = :serves_from"), values))
    await database.close()


async def test_a_newer_schema_that_serves_this_release_is_used_as_it_is(store_url: str) -> None:
    await made_by_a_newer_one(store_url, serves_from=newest_revision())
    assert await migrate(store_url) == "9999"
    assert await current_revision(store_url) == "9999"


async def test_a_newer_schema_that_does_not_serve_this_release_is_refused(store_url: str) -> None:
    await made_by_a_newer_one(store_url, serves_from="9998")
    with pytest.raises(StoreMisconfigured, match=r"revision 9999, .* serves those from revision 9998 on"):
        await migrate(store_url)


async def test_a_database_of_a_newer_homing_that_says_nothing_is_left_alone(store_url: str) -> None:
    database = open_database(store_url, statement_timeout_s=PATIENCE_S)
    await database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(StoreMisconfigured, match=r"revision 9999, which this version of Homing, .* does not know"):
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
