"""Who has the write lock of a database file, as the system tells it of real processes."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from homing.store.sqlite.process_id import mark_of, marked
from homing.store.sqlite.write_lock import WriteLock

WRITES = """
import sqlite3, sys
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("BEGIN IMMEDIATE")
file.execute("INSERT INTO t VALUES (1)")
print("writing", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "homing.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (a)")
    yield path
    connection.close()


@pytest.fixture
def writer(file: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()
    assert process.stdin is not None
    process.stdin.close()


def test_whoever_writes_is_named_with_its_command(file: Path, writer: "subprocess.Popen[str]") -> None:
    holder = WriteLock(file).holder()
    assert holder is not None
    assert (holder.pid, holder.command[-1], holder.is_stopped) == (writer.pid, str(file), False)


def test_without_a_writer_there_is_nobody(file: Path, tmp_path: Path) -> None:
    assert WriteLock(file).holder() is None
    assert WriteLock(tmp_path / "no.db").holder() is None


def test_one_that_stands_is_ended_and_the_file_is_free(file: Path, writer: "subprocess.Popen[str]") -> None:
    lock = WriteLock(file)
    before = lock.holder()
    assert before is not None
    os.kill(writer.pid, signal.SIGSTOP)
    while (holder := lock.holder()) == before:
        time.sleep(0.01)
    assert holder is not None
    assert holder.is_stopped
    assert not lock.end(before), "it was said of one that runs"
    assert lock.end(holder)
    assert writer.wait() == -signal.SIGKILL
    assert lock.holder() is None
    with sqlite3.connect(file, timeout=1) as connection:
        connection.execute("INSERT INTO t VALUES (2)")
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)
    connection.close()


def test_a_process_is_known_by_a_mark_that_it_gives_its_incarnations(
    file: Path, writer: "subprocess.Popen[str]"
) -> None:
    holder = WriteLock(file).holder()
    assert holder is not None
    assert holder.mark == mark_of(writer.pid) != mark_of(os.getpid())
    assert marked("boot") == f"boot-{mark_of(os.getpid())}"
    assert mark_of(2**22 + 1) == "", "of a process that is not there"


def test_the_same_inode_on_another_disk_is_another_file(file: Path, tmp_path: Path) -> None:
    proc, inode = tmp_path / "proc", (tmp_path / "homing.db-shm").stat().st_ino
    about = proc / "7"
    (about / "fd").mkdir(parents=True)
    (proc / "locks").write_text(f"1: POSIX  ADVISORY  WRITE 7 fe:00:{inode} 120 120\n")
    (about / "cmdline").write_text("homing\0instance\0")
    (about / "stat").write_text("7 (a name (with) braces) T 1 7 7")
    (about / "fd" / "3").symlink_to(tmp_path / "homing.db")
    assert WriteLock(file, proc).holder() is None
    (about / "fd" / "4").symlink_to(tmp_path / "homing.db-shm")
    holder = WriteLock(file, proc).holder()
    assert holder is not None
    assert (holder.pid, holder.command, holder.is_stopped) == (7, ("homing", "instance"), True)
