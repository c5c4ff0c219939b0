"""Run as a process of its own: a database on a disk that fails for a while, and what each write and read said.

`python failing_disk.py MODE FOLDER` prints one JSON document: what was said before, during and after the fault.
"""

import asyncio
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import text

from homing.ports import StoreUnavailable
from homing.store.sqlite.engine import SqliteFile

TRIES = 3


class FullDisk:
    """Every byte of the file system is taken."""

    def __init__(self, folder: Path) -> None:
        self._filler = folder / "filler"

    def begin(self) -> None:
        with self._filler.open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 512)
            except OSError:
                return

    def end(self) -> None:
        self._filler.unlink()


class FailingWrites:
    """The log of the database may not grow: to SQLite a disk I/O error, at the commit or before it."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "store.db-wal"

    def begin(self) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._log.stat().st_size, resource.RLIM_INFINITY))

    def end(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


MODES: dict[str, Callable[[Path], FullDisk | FailingWrites]] = {"full": FullDisk, "failing": FailingWrites}


async def said(asked: "asyncio.Future[object] | object") -> str:
    try:
        await asked  # type: ignore[misc]
    except StoreUnavailable as error:
        return f"unavailable: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "done"


async def tried(database: SqliteFile, first: int) -> dict[str, list[str]]:
    """Several writes one after the other, several at once, and a read. All go through SQLAlchemy's own account."""

    def put(number: int) -> Callable[..., object]:
        return lambda c: c.execute(text("INSERT INTO kept VALUES (:n, :filler)"), {"n": number, "filler": "x" * 20_000})

    one_by_one = [await said(database.write(put(first + each))) for each in range(TRIES)]
    at_once = await asyncio.gather(*(said(database.write(put(first + TRIES + each))) for each in range(TRIES)))
    read = await said(database.read(lambda c: c.execute(text("SELECT count(*) FROM kept")).scalar_one()))
    return {"writes": [*one_by_one, *at_once], "reads": [read]}


async def main(mode: str, folder: Path) -> None:
    database = SqliteFile(folder / "store.db")
    await database.write(lambda c: c.execute(text("CREATE TABLE kept (n INTEGER PRIMARY KEY, filler TEXT)")))
    told = {"before": await tried(database, 0)}
    fault = MODES[mode](folder)
    fault.begin()
    told["during"] = await tried(database, 100)
    fault.end()
    told["after"] = await tried(database, 200)
    rows = await database.read(lambda c: list(c.scalars(text("SELECT n FROM kept ORDER BY n"))))
    await database.close()
    print(json.dumps({**told, "rows": rows}))


if __name__ == "__main__":
    mode, folder = sys.argv[1], Path(sys.argv[2])
    if mode == "full":
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], check=True)
    asyncio.run(main(mode, folder))
