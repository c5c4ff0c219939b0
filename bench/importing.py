"""`homing import laravel` in a process of its own, over a MariaDB as large as people's; and killed in the midst."""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from bench.report import Report, shown
from homing.demo.processes import environment
from homing.store.db.opening import open_database
from homing.store.db.schema.tables import accounts, contacts
from tests.models.laravel_application import LaravelApplication
from tests.services import ServiceMissing, mariadb_server

WITHIN_S = 30.0
WITHIN_BYTES = 300_000_000


async def run(url: str, *, accounts_there: int, contacts_there: int) -> Report:
    """Into an empty database; once more over what is there; and into it emptied, killed in the midst and run again.

    Raises ServiceMissing where there is no MariaDB.
    """
    report = Report(f"An import of {accounts_there:,} accounts and {contacts_there:,} contacts from MariaDB")
    with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder, _filled(accounts_there, contacts_there) as dsn:
        await asyncio.to_thread(_killed, url, dsn, Path(folder), contacts_there // 3)
        done = await _counted(url)
        report.add("rows there when it was killed", "some", f"{sum(done):,}", 0 < sum(done) < contacts_there)
        said, took = await asyncio.to_thread(_imported, url, dsn, Path(folder))
        report.add("run again: accounts and contacts", *_same(await _counted(url), accounts_there, contacts_there))
        report.add("refused", "0", f"{said['refused_total']}", said["refused_total"] == 0)
        again, of_again = await asyncio.to_thread(_imported, url, dsn, Path(folder))
        left = again["accounts"]["unchanged"] + again["contacts"]["unchanged"]
        whole = accounts_there + contacts_there
        report.add("run once more: unchanged", f"{whole:,}", f"{left:,}", left == whole)
        report.add("time of that", "", shown(of_again.wall_s))
        fresh = f"sqlite:///{folder}/fresh.db" if url.startswith("sqlite") else url
        if fresh != url:
            said, took = await asyncio.to_thread(_imported, fresh, dsn, Path(folder))
        what = "time into an empty database" if fresh != url else "time of the rest after it was killed"
        report.add(what, f"≤ {WITHIN_S:.0f} s", shown(took.wall_s), took.wall_s <= WITHIN_S)
        report.add("its processor time in that", "", shown(took.processor_s))
        most = max(took.peak_bytes, of_again.peak_bytes)
        report.add("peak memory of the process", "≤ 300 MB", f"{most / 1e6:,.0f} MB", most <= WITHIN_BYTES)
    return report


def _same(counted: tuple[int, int], accounts_there: int, contacts_there: int) -> tuple[str, str, bool]:
    claimed, measured = f"{accounts_there:,} and {contacts_there:,}", f"{counted[0]:,} and {counted[1]:,}"
    return claimed, measured, counted == (accounts_there, contacts_there)


@contextmanager
def _filled(accounts_there: int, contacts_there: int) -> Iterator[str]:
    with mariadb_server() as server:
        dsn = server.create()
        try:
            application = LaravelApplication(dsn)
            application.accounts(
                (n, f"a-{n}", 1 + n % 10, f"webjs_{n}", f"6281{n:08}", "connected", f"http://localhost:{3001 + n % 4}")
                for n in range(1, accounts_there + 1)
            )
            application.contacts(
                (n, f"c-{n}", 1 + n % 10, f"Name {n}", f"+6282{n:08}") for n in range(1, contacts_there + 1)
            )
            yield dsn
        finally:
            server.drop(dsn)


async def _counted(url: str) -> tuple[int, int]:
    database = open_database(url)
    try:
        return await database.read(
            lambda connection: (
                connection.scalar(select(func.count()).select_from(accounts)) or 0,
                connection.scalar(select(func.count()).select_from(contacts)) or 0,
            )
        )
    finally:
        await database.close()


def _killed(url: str, dsn: str, folder: Path, after_rows: int) -> None:
    pid = _begun(url, dsn, folder)
    deadline_s = time.monotonic() + 120
    while sum(asyncio.run(_looked(url))) < after_rows and time.monotonic() < deadline_s:
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


async def _looked(url: str) -> tuple[int, int]:
    """Nothing as long as there are no tables."""
    try:
        return await _counted(url)
    except Exception:
        return 0, 0


@dataclass(frozen=True, slots=True)
class Took:
    """What one import took. `processor_s` is its own share of a machine that others use, too."""

    wall_s: float
    processor_s: float
    peak_bytes: int


def _imported(url: str, dsn: str, folder: Path) -> tuple[dict[str, Any], Took]:
    began_s = time.monotonic()
    pid = _begun(url, dsn, folder)
    _, status, used = os.wait4(pid, 0)
    took_s = time.monotonic() - began_s
    assert os.waitstatus_to_exitcode(status) == 0, (folder / "said").read_text()
    took = Took(took_s, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
    return json.loads((folder / "said").read_text()), took


def _begun(url: str, dsn: str, folder: Path) -> int:
    command = [sys.executable, "-m", "homing.cli", "import", "laravel", "--json"]
    told = environment({"HOMING_DATABASE_URL": url, "HOMING_IMPORT_DSN": dsn})
    said = os.open(folder / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        return os.posix_spawn(
            sys.executable, command, told, file_actions=[(os.POSIX_SPAWN_DUP2, said, 1)], setsigdef=[signal.SIGINT]
        )
    finally:
        os.close(said)


__all__ = ["ServiceMissing", "run"]
