"""What holds messages, phones and logins is for its owner's eyes alone."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from homing.instance.notify.journal_file import JournalFile
from homing.store.db.migrating import migrate
from homing.store.sqlite.engine import SqliteFile, keep_private
from simulated_whatsapp.core import Judge
from simulated_whatsapp.ledger import Ledger
from simulated_whatsapp.state import save


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    """As an account's shell has it: what is created without thought is readable by all."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes_in(folder: Path) -> dict[str, str]:
    return {path.name: mode(path) for path in folder.iterdir()}


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


async def test_a_new_database_and_the_files_beside_it_are_private(tmp_path: Path) -> None:
    path = tmp_path / "homing.db"
    await migrate(f"sqlite:///{path}")
    database = SqliteFile(path)
    await database.write(lambda c: c.exec_driver_sql("CREATE TABLE t (x)"))
    modes = modes_in(tmp_path)
    assert modes.keys() >= {"homing.db", "homing.db-wal", "homing.db-shm"}
    assert set(modes.values()) == {"0o600"}
    await database.close()


def test_an_older_database_is_closed_to_strangers_and_its_group_keeps_what_it_had(tmp_path: Path) -> None:
    path = tmp_path / "homing.db"
    with sqlite3.connect(path) as older:
        older.execute("PRAGMA journal_mode = WAL")
        older.execute("CREATE TABLE t (x)")
        path.chmod(0o664)
        (tmp_path / "homing.db-wal").chmod(0o644)
        keep_private(path)
        assert mode(path) == "0o660"
        assert mode(tmp_path / "homing.db-wal") == "0o640"
    older.close()


def test_a_database_that_cannot_be_created_is_left_to_be_reported(tmp_path: Path) -> None:
    keep_private(tmp_path / "nowhere" / "homing.db")
    assert list(tmp_path.iterdir()) == []


def test_the_journal_and_its_folder_are_private(tmp_path: Path) -> None:
    journal = JournalFile(tmp_path / "journals" / "3001.jsonl")
    journal.rewrite([b"{}\n"])
    assert mode(tmp_path / "journals") == "0o700"
    assert {mode(path) for path in (tmp_path / "journals").iterdir()} == {"0o600"}
    journal.close()


def test_the_ledger_and_the_devices_are_private(tmp_path: Path) -> None:
    Ledger(tmp_path / "whatsapp" / "ledger.jsonl").close()
    save(tmp_path / "whatsapp" / "state.json", Judge())
    assert mode(tmp_path / "whatsapp") == "0o700"
    assert {mode(path) for path in (tmp_path / "whatsapp").iterdir()} == {"0o600"}


@pytest.mark.parametrize("unit", ["homing.service", "homing-instance@.service"])
def test_the_units_let_nobody_else_read_what_they_write(unit: str) -> None:
    text = (Path(__file__).parents[2] / "deploy" / unit).read_text()
    assert "\nUMask=0077\n" in text
