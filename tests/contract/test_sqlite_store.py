"""What SQLite alone promises: shared commits, each on disk; one gateway for a file; errors in one sentence."""

import asyncio
import fcntl
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, text, update

from clocks import SteppedClock
from homing.ports import StoreUnavailable
from homing.store.db.database import StoreMisconfigured
from homing.store.db.opening import open_database
from homing.store.db.schema import tables as schema
from homing.store.sqlite.engine import SqliteFile, SqliteMemory


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def file(path: Path) -> AsyncIterator[SqliteFile]:
    database = SqliteFile(path)
    await database.write(lambda c: c.execute(text("CREATE TABLE kept (n INTEGER PRIMARY KEY, filler TEXT)")))
    yield database
    await database.close()


def put(connection: Connection, number: int, filler: str = "") -> int:
    connection.execute(text("INSERT INTO kept VALUES (:n, :filler)"), {"n": number, "filler": filler})
    return number


def kept(connection: Connection) -> list[int]:
    return list(connection.scalars(text("SELECT n FROM kept ORDER BY n")))


async def test_writes_that_wait_together_share_a_commit(file: SqliteFile) -> None:
    before = file.commits
    long_one = file.write(lambda _: time.sleep(0.3))
    _, *numbers = await asyncio.gather(long_one, *(file.write(lambda c, n=n: put(c, n)) for n in range(200)))
    assert numbers == list(range(200))
    assert file.commits - before <= 20
    assert len(await file.read(kept)) == 200


async def test_a_write_that_fails_spoils_no_other(file: SqliteFile) -> None:
    def fail_after_writing(connection: Connection) -> None:
        put(connection, 1000)
        raise LookupError("mine alone")

    jobs = [file.write(lambda c, n=n: put(c, n)) for n in range(10)]
    jobs[3:3] = [file.write(fail_after_writing), file.write(lambda c: put(c, 0))]
    got = await asyncio.gather(*jobs, return_exceptions=True)
    assert isinstance(got[3], LookupError)
    assert isinstance(got[4], StoreUnavailable)
    assert "UNIQUE" in str(got[4])
    assert [each for each in got if isinstance(each, int)] == await file.read(kept) == list(range(10))


async def test_a_read_after_ones_own_write_sees_it(file: SqliteFile) -> None:
    for number in range(50):
        await file.write(lambda c, n=number: put(c, n))
        assert (await file.read(kept))[-1] == number


async def test_what_was_answered_is_in_the_file(file: SqliteFile, path: Path) -> None:
    await file.write(lambda c: put(c, 7))
    copy = path.with_name("copy.db")
    for suffix in ("", "-wal"):
        copy.with_name(copy.name + suffix).write_bytes(path.with_name(path.name + suffix).read_bytes())
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]
    connection.close()


async def test_every_commit_is_synced_to_disk(file: SqliteFile) -> None:
    async def setting(name: str) -> object:
        return await file.write(lambda c: c.exec_driver_sql(f"PRAGMA {name}").scalar())

    assert [await setting(name) for name in ("synchronous", "journal_mode", "foreign_keys")] == [2, "wal", 1]


async def test_reads_stay_on_the_loops_thread_and_writes_leave_it(file: SqliteFile) -> None:
    here = threading.get_ident()
    assert await file.read(lambda _: threading.get_ident()) == here
    assert await file.write(lambda _: threading.get_ident()) != here


async def test_a_read_cannot_write(file: SqliteFile) -> None:
    with pytest.raises(StoreUnavailable, match="readonly"):
        await file.read(lambda c: put(c, 1))


async def test_a_full_disk_fails_the_write_and_heals(file: SqliteFile) -> None:
    await file.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 20"))
    got = await asyncio.gather(
        *(file.write(lambda c, n=n: put(c, n, "x" * 5_000)) for n in range(30)), return_exceptions=True
    )
    failed = [each for each in got if isinstance(each, BaseException)]
    assert failed
    assert all(isinstance(each, StoreUnavailable) and "disk is full" in str(each) for each in failed)
    assert await file.read(kept) == [each for each in got if isinstance(each, int)]
    await file.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 100000"))
    await file.write(lambda c: put(c, 99, "x" * 5_000))
    assert (await file.read(kept))[-1] == 99


async def test_a_writer_outside_is_waited_for(file: SqliteFile, path: Path) -> None:
    outside = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    outside.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(file.write(lambda c: put(c, 1)))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    assert await file.read(kept) == []
    outside.execute("COMMIT")
    outside.close()
    assert await waiting == 1


async def test_a_write_that_was_given_up_while_it_waited_for_its_turn_never_happens(
    file: SqliteFile, path: Path
) -> None:
    outside = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    outside.execute("BEGIN IMMEDIATE")
    given_up, waiting = (asyncio.ensure_future(file.write(lambda c, n=n: put(c, n))) for n in (1, 2))
    await asyncio.sleep(0.1)
    given_up.cancel()
    outside.execute("COMMIT")
    outside.close()
    assert await waiting == 2
    assert await file.read(kept) == [2]


async def test_a_file_locked_for_long_is_unavailable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homing.store.sqlite.engine._WRITE_BUSY_MS", 100)
    database = SqliteFile(path)
    outside = sqlite3.connect(path, isolation_level=None)
    outside.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        await database.write(lambda c: c.execute(text("CREATE TABLE kept (n)")))
    outside.execute("COMMIT")
    outside.close()
    await database.write(lambda c: c.execute(text("CREATE TABLE kept (n)")))
    await database.close()


async def test_a_caller_that_goes_away_leaves_the_others_their_answers(file: SqliteFile) -> None:
    jobs = [asyncio.ensure_future(file.write(lambda c, n=n: put(c, n))) for n in range(20)]
    await asyncio.sleep(0)
    jobs[5].cancel()
    got = await asyncio.gather(*jobs, return_exceptions=True)
    assert [each for each in got if isinstance(each, int)] == [n for n in range(20) if n != 5]


async def test_close_writes_what_waits_and_then_refuses(path: Path) -> None:
    database = SqliteFile(path)
    await database.write(lambda c: c.execute(text("CREATE TABLE kept (n INTEGER PRIMARY KEY, filler TEXT)")))
    jobs = [asyncio.ensure_future(database.write(lambda c, n=n: put(c, n))) for n in range(50)]
    await asyncio.sleep(0)
    await database.close()
    assert await asyncio.gather(*jobs) == list(range(50))
    with pytest.raises(StoreUnavailable, match="closed"):
        await database.write(lambda c: put(c, 51))


# --- in memory ---


async def test_in_memory_nothing_ever_waits() -> None:
    database = SqliteMemory()
    await database.write(lambda c: c.execute(text("CREATE TABLE kept (n INTEGER PRIMARY KEY, filler TEXT)")))
    writing = database.write(lambda c: (put(c, 1), threading.get_ident()))
    with pytest.raises(StopIteration) as done:
        writing.send(None)
    assert done.value.value == (1, threading.get_ident())
    await database.close()


async def test_in_memory_a_failed_write_leaves_no_trace() -> None:
    database = SqliteMemory()
    await database.write(lambda c: c.execute(text("CREATE TABLE kept (n INTEGER PRIMARY KEY, filler TEXT)")))

    def fail_after_writing(connection: Connection) -> None:
        put(connection, 1)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(fail_after_writing)
    with pytest.raises(StoreUnavailable):
        await database.write(lambda c: [put(c, 2), put(c, 2)])
    assert await database.read(kept) == []
    await database.close()


# --- its clock ---


async def test_the_stores_clock_is_the_one_given() -> None:
    clock = SteppedClock()
    database = open_database("sqlite://", now=clock.now)
    clock.advance(90)

    then = await database.read(lambda c: c.scalar(select(database.instant(0.5))))
    assert then == clock.now() + timedelta(seconds=0.5)
    await database.close()


async def test_the_stores_own_clock_does_not_follow_a_set_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    database = SqliteMemory()

    class Jumped(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime(2001, 1, 1, tzinfo=UTC)

    first = await database.read(lambda c: c.scalar(select(database.instant())))
    monkeypatch.setattr("homing.store.sqlite.engine.datetime", Jumped)
    second = await database.read(lambda c: c.scalar(select(database.instant())))
    assert first is not None
    assert second is not None
    assert timedelta(0) < second - first < timedelta(seconds=5)
    await database.close()


# --- one gateway for a file ---


async def test_a_second_gateway_on_the_file_is_refused_and_told_who_has_it(path: Path) -> None:
    first = open_database(f"sqlite:///{path}", exclusive=True)
    with pytest.raises(StoreMisconfigured, match=rf"already served by another gateway \(pid {os.getpid()}\)"):
        open_database(f"sqlite:///{path}", exclusive=True)
    tool = open_database(f"sqlite:///{path}")
    await tool.close()
    await first.close()
    third = open_database(f"sqlite:///{path}", exclusive=True)
    await third.close()


def test_a_gateway_that_was_killed_leaves_the_file_free(path: Path) -> None:
    code = f"""
import sys
from homing.store.db.opening import open_database
database = open_database("sqlite:///{path}", exclusive=True)
print("open", flush=True)
sys.stdin.read()
"""
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(StoreMisconfigured, match=rf"pid {other.pid}"):
            open_database(f"sqlite:///{path}", exclusive=True)
        other.kill()
    database = open_database(f"sqlite:///{path}", exclusive=True)
    asyncio.run(database.close())


def test_a_file_that_could_not_be_opened_is_not_kept_locked(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreMisconfigured):
        open_database(f"sqlite:///{path}", exclusive=True)
    with path.with_name(f"{path.name}.gateway-lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


# --- what cannot be opened ---


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_file_that_is_no_database_is_named_in_one_sentence(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreMisconfigured, match=rf"^the database {re.escape(str(path))} cannot be opened: [^\n]+$"):
        open_database(f"sqlite:///{path}")
    assert path.read_bytes() == content


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreMisconfigured, match=r"there is no directory .*/absent"):
        open_database(f"sqlite:///{tmp_path}/absent/store.db")


def test_a_directory_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreMisconfigured, match="cannot be opened"):
        open_database(f"sqlite:///{tmp_path}")


async def test_a_database_that_breaks_while_open_is_unavailable(file: SqliteFile, path: Path) -> None:
    await file.write(lambda c: [put(c, n, "x" * 3_000) for n in range(200)])
    await file.write(lambda c: c.execute(text("DROP TABLE kept")))
    with pytest.raises(StoreUnavailable, match="no such table: kept"):
        await file.read(kept)


@pytest.mark.parametrize(
    "url",
    ["mysql://h/db", "postgresql://h", "sqlite://host/file", "nonsense", "", "sqlite:///f?mode=ro", "redis://h/0"],
)
def test_a_url_that_names_no_database_of_ours_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(StoreMisconfigured, match=r"expected sqlite:///path/to/file or postgresql://user@host/name$"):
        open_database(url)


@pytest.mark.parametrize("url", ["mysql://u:hush@h/db", "postgresql://u:hush@h", "sqlite://u:hush@host/file"])
def test_a_refusal_shows_no_password(url: str) -> None:
    with pytest.raises(StoreMisconfigured) as refusal:
        open_database(url)
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg", "postgres+asyncpg"])
async def test_every_way_to_write_postgresql_is_understood(scheme: str) -> None:
    database = open_database(f"{scheme}://u@127.0.0.1:1/x?sslmode=disable")
    assert database.dialect == "postgresql"
    with pytest.raises(StoreUnavailable):
        await database.read(lambda c: c.scalar(text("SELECT 1")))
    await database.close()


# --- the time of a file -------------------------------------------------------------------------------------------

TELL_TIME = """
import asyncio, sys
from datetime import timedelta
from homing.store.sqlite import shared_clock
from homing.store.db.opening import open_database
from sqlalchemy import select

by = timedelta(minutes=float(sys.argv[2]))
wall = shared_clock.wall
shared_clock.wall = lambda: wall() + by

async def tell():
    database = open_database(sys.argv[1])
    print((await database.write(lambda c: c.scalar(select(database.instant())))).isoformat())
    await database.close()

asyncio.run(tell())
"""


def time_told(url: str, *, wall_minutes_off: float = 0) -> datetime:
    """The store's time, as a process tells it whose wall clock is wrong."""
    told = subprocess.run(
        [sys.executable, "-c", TELL_TIME, url, str(wall_minutes_off)], check=True, capture_output=True, text=True
    )
    return datetime.fromisoformat(told.stdout.strip())


def test_processes_agree_on_the_time_whatever_their_wall_clocks_say(sqlite_url: str) -> None:
    first = time_told(sqlite_url, wall_minutes_off=10)
    second = time_told(sqlite_url, wall_minutes_off=-10)
    third = time_told(sqlite_url)
    assert first < second < third
    assert (third - first).total_seconds() < 30
    assert (first - datetime.now(UTC)).total_seconds() > 500, "it began by the wall clock of the first"


async def test_a_new_boot_begins_by_the_wall_clock_and_never_before_what_the_file_knows(sqlite_url: str) -> None:
    async def boot(at: datetime | None = None) -> datetime:
        """The store's time after a reboot, perhaps after an instance renewed its lease then."""
        database = open_database(sqlite_url)
        if at is not None:
            lease = {"began_at": at, "renewed_at": at, "lease_until": at, "instance_url": "u", "revoked": 0}
            await database.write(lambda c: c.execute(insert(schema.incarnations).values(id="boot", **lease)))
        await database.write(lambda c: c.execute(update(schema.store_clock).values(boot_id="an earlier one")))
        await database.close()
        return time_told(sqlite_url)

    time_told(sqlite_url, wall_minutes_off=60)
    assert abs((await boot() - datetime.now(UTC)).total_seconds()) < 30
    ahead = datetime.now(UTC) + timedelta(hours=2)
    assert await boot(ahead) >= ahead
