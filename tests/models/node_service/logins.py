"""Logins on a disk: a folder for each session, which several processes may share (SESSION_STORAGE_PATH)."""

import fcntl
import itertools
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.models.node_service.judge import Judge

_DELETABLE = re.compile(r"webjs_\d+_.+")
"""disconnectSession makes the path from the workspace in the id, and deletes nothing under other ids."""


@dataclass(frozen=True, slots=True)
class Use:
    """A client that has a login open; the kernel lets go of it when the process dies, however it dies."""

    descriptor: int
    path: Path

    def end(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)


class Logins:
    """The folder of all logins."""

    def __init__(self, folder: Path, judge: Judge) -> None:
        self._folder, self._judge = folder, judge
        self._users = folder / ".clients"
        self._users.mkdir(parents=True, exist_ok=True)
        self._numbers = itertools.count(1)

    def phone(self, session_id: str) -> str | None:
        """The number that the login is paired with; None if there is no login, or it was logged out."""
        try:
            return str(json.loads(self._device(session_id).read_text())["phone"])
        except (OSError, ValueError):
            return None

    def pair(self, session_id: str, phone: str) -> None:
        self._device(session_id).parent.mkdir(exist_ok=True)
        self._device(session_id).write_text(json.dumps({"phone": phone}))

    def unpair(self, session_id: str) -> None:
        """LocalAuth removes what it kept when the phone logged the device out."""
        shutil.rmtree(self._folder / session_id, ignore_errors=True)

    def delete(self, session_id: str) -> None:
        """What the service does to the login of a session that it is told to stop and does not hold."""
        if _DELETABLE.fullmatch(session_id) and (self._folder / session_id).is_dir():
            in_use = bool(self._others(session_id))
            shutil.rmtree(self._folder / session_id)
            self._judge.note("login_deleted", session_id, in_use=in_use)

    def open(self, session_id: str, paired: bool) -> Use:
        """Open the login; every other client that has it open is judged."""
        for pid in self._others(session_id):
            mine = pid == os.getpid()
            self._judge.note("second_client" if mine else "two_processes", session_id, paired=paired, other_pid=pid)
        (self._folder / session_id).mkdir(exist_ok=True)
        path = self._users / f"{session_id}.{os.getpid()}.{next(self._numbers)}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return Use(descriptor, path)

    def _others(self, session_id: str) -> list[int]:
        """The processes of the clients that have it open now."""
        return [int(path.name.split(".")[-2]) for path in self._users.glob(f"{session_id}.*.*") if _is_held(path)]

    def _device(self, session_id: str) -> Path:
        return self._folder / session_id / "device.json"


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    path.unlink(missing_ok=True)
    return False
