"""Run as a process of its own: what `homing chaos` does to disks and names, where nobody else sees it.

`python on_its_own.py TRIAL FOLDER` prints one JSON document of what was seen.
"""

import asyncio
import errno
import json
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from homing.instance.notify.link import GatewayTie
from homing.instance.notify.settings import GatewaySettings
from homing.lab.chaos.ground import mounts
from homing.lab.chaos.ground.disks import open_disk
from homing.lab.chaos.ground.names import HERE, THERE, open_names
from homing.ports import StoreUnavailable
from homing.store.db.opening import open_database

SIZE_BYTES = 1 << 20


def wrote(path: Path) -> str:
    try:
        path.write_bytes(b"x" * 4096)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


async def full(folder: Path) -> dict[str, object]:
    async with open_disk(folder, SIZE_BYTES) as disk:
        (folder / "old").write_bytes(b"x" * 4096)
        before = wrote(folder / "one")
        disk.fill()
        during = wrote(folder / "two")
        (folder / "old").unlink()
        await asyncio.sleep(0.3)
        given_back = wrote(folder / "three")
        await disk.free()
        return {"seen": [before, during, given_back, wrote(folder / "four")]}


async def read_only(folder: Path) -> dict[str, object]:
    async with open_disk(folder, SIZE_BYTES) as disk:
        before = wrote(folder / "one")
        disk.become_read_only()
        during = wrote(folder / "two")
        disk.become_writable()
        after = wrote(folder / "three")
        disk.become_read_only()
        at_last = wrote(folder / "four")
    mounted = await asyncio.to_thread(folder.is_mount)
    return {"seen": [before, during, after, at_last, "mounted" if mounted else "unmounted"]}


async def names(folder: Path) -> dict[str, object]:
    def asked() -> list[object]:
        return [found[4][0] for found in socket.getaddrinfo("moves.homing.test", 80, type=socket.SOCK_STREAM)]

    with open_names(folder, {"moves.homing.test": HERE}) as known:
        before = asked()
        known.lead("moves.homing.test", THERE)
        return {"seen": [before, asked(), bool(socket.getaddrinfo("localhost", 80))]}


async def opened(path: Path) -> str:
    try:
        database = open_database(f"sqlite:///{path}", exclusive=True)
    except StoreUnavailable as error:
        return f"waits: {error}"
    await database.close()
    return "open"


async def database(folder: Path) -> dict[str, object]:
    """Opened for the first time, and again, while the disk is read-only."""
    async with open_disk(folder, SIZE_BYTES) as disk:
        disk.become_read_only()
        first = await opened(folder / "store.db")
        disk.become_writable()
        then = await opened(folder / "store.db")
        disk.become_read_only()
        again = await opened(folder / "store.db")
        disk.become_writable()
        return {"seen": [first, then, again, await opened(folder / "store.db")]}


async def journal(folder: Path) -> dict[str, object]:
    """An instance's, while its disk is read-only and then no more."""
    settings = GatewaySettings("http://127.0.0.1:9", "secret", journal=folder / "journals" / "one.jsonl")
    async with AsyncExitStack() as stack:
        disk = await stack.enter_async_context(open_disk(folder, SIZE_BYTES))
        disk.become_read_only()
        told: list[str] = []
        opening = asyncio.ensure_future(GatewayTie.open(settings, "http://one", waits=lambda: told.append("waits")))
        await asyncio.sleep(1.2)
        waited = not opening.done()
        disk.become_writable()
        link = await asyncio.wait_for(opening, 3)
        await link.close()
        return {"seen": [waited, told]}


TRIALS = {"full": full, "read-only": read_only, "names": names, "database": database, "journal": journal}

if __name__ == "__main__":
    mounts.enter()
    if (lacking := mounts.lacking()) is not None:
        sys.exit(f"NOT RUN: {lacking}")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    print(json.dumps(asyncio.run(TRIALS[sys.argv[1]](Path(sys.argv[2])))))
