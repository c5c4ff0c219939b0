"""Credentials in a folder that the instances of one machine share: one JSON file for each session.

A file is replaced as a whole (written aside, synchronised, renamed), so that a reader sees one state or the next
and a power cut loses no reservation. Writers of the same session take turns on an advisory lock, which the kernel
frees when its process dies. All of it runs in threads: synchronising a file takes milliseconds, and a loop that
stood still for them would stop every other session of the instance.
"""

import asyncio
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from homing.instance.credentials import Grant, Holder, Holding, Login, Record, StaleEpoch

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
Change = Callable[[Record], Record | StaleEpoch]


class FolderCredentials:
    """A store for any number of instance processes on one machine."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    async def open(self, session_id: str, *, epoch: int | None, holder: Holder) -> Grant | StaleEpoch:
        record = await self._change(session_id, lambda record: record.granted(epoch, holder))
        return record if isinstance(record, StaleEpoch) else record.grant()

    async def reserve(self, grant: Grant, count: int) -> range | StaleEpoch:
        record = await self._change(grant.session_id, lambda record: record.reserved(grant, count))
        if isinstance(record, StaleEpoch):
            return record
        return range(record.reserved_to - count + 1, record.reserved_to + 1)

    async def save(self, grant: Grant, login: Login) -> StaleEpoch | None:
        return _refusal(await self._change(grant.session_id, lambda record: record.saved(grant, login)))

    async def forget(self, grant: Grant) -> StaleEpoch | None:
        return _refusal(await self._change(grant.session_id, lambda record: record.forgotten(grant)))

    async def release(self, grant: Grant) -> StaleEpoch | None:
        return _refusal(await self._change(grant.session_id, lambda record: record.released(grant)))

    async def held_by(self, instance_url: str) -> list[Holding]:
        return await asyncio.to_thread(self._held_by, instance_url)

    async def unheld(self, session_ids: Collection[str]) -> list[Holding]:
        return await asyncio.to_thread(self._unheld, session_ids)

    async def epoch(self, session_id: str) -> int:
        return (await asyncio.to_thread(self._read, self._path(session_id), session_id)).epoch

    async def adopt(self, session_id: str, login: Login) -> None:
        """Take in a login that was made elsewhere, held by nobody: the next instance to open the session uses it."""
        await self._change(session_id, lambda record: Record(session_id, record.epoch, None, login, record.reserved_to))

    async def _change(self, session_id: str, change: Change) -> Record | StaleEpoch:
        return await asyncio.to_thread(self._changed, session_id, change)

    def _changed(self, session_id: str, change: Change) -> Record | StaleEpoch:
        path = self._path(session_id)
        with _locked(path.with_suffix(".lock")):
            record = change(self._read(path, session_id))
            if isinstance(record, Record):
                self._write(path, record)
            return record

    def _held_by(self, instance_url: str) -> list[Holding]:
        records = (_record(path.read_text()) for path in sorted(self._folder.glob("*.json")))
        return [
            Holding(record.session_id, record.epoch)
            for record in records
            if record.holder is not None and record.holder.instance_url == instance_url and record.login
        ]

    def _unheld(self, session_ids: Collection[str]) -> list[Holding]:
        records = (self._read(self._path(session_id), session_id) for session_id in session_ids)
        return [Holding(record.session_id, record.epoch) for record in records if not record.holder and record.login]

    def _path(self, session_id: str) -> Path:
        """The session's file; an id that is no plain name is stored under its digest, inside the folder."""
        if _PLAIN_NAME.fullmatch(session_id):
            return self._folder / f"{session_id}.json"
        return self._folder / f"~{hashlib.sha256(session_id.encode()).hexdigest()}.json"

    def _read(self, path: Path, session_id: str) -> Record:
        return _record(path.read_text()) if path.exists() else Record(session_id)

    def _write(self, path: Path, record: Record) -> None:
        unfinished = path.with_suffix(".tmp")
        with unfinished.open("w") as file:
            json.dump(_fields(record), file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.chmod(0o600)
        unfinished.replace(path)
        _synchronise(self._folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _synchronise(folder: Path) -> None:
    """A renamed file is durable only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fields(record: Record) -> dict[str, Any]:
    return {
        "session_id": record.session_id,
        "epoch": record.epoch,
        "holder": asdict(record.holder) if record.holder else None,
        "login": dict(record.login) if record.login is not None else None,
        "reserved_to": record.reserved_to,
    }


def _record(text: str) -> Record:
    fields = json.loads(text)
    holder = Holder(**fields.pop("holder")) if fields["holder"] else None
    fields.pop("holder", None)
    return Record(holder=holder, **fields)


def _refusal(result: Record | StaleEpoch) -> StaleEpoch | None:
    return result if isinstance(result, StaleEpoch) else None
