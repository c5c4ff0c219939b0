"""Where a demo keeps what it writes: its database, the ledger, what each process said."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from homing.demo.plan import DemoPlan, Unworkable
from homing.store.db.database import StoreMisconfigured
from homing.store.sqlite.filelock import FileLock

REMOVED_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Folder:
    """One demo's folder. `kept`: it is still there after the demo."""

    path: Path
    kept: bool
    journals: Path
    """What the instances have to tell a gateway that is not there."""
    logs: Path

    @property
    def database(self) -> Path:
        return self.path / "homing.db"

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.jsonl"

    @property
    def disks(self) -> Path:
        """What other people's gateways keep: their logins."""
        return self.path / "disks"

    def leftovers(self) -> list[Path]:
        """What an earlier demo wrote here."""
        written = (*sorted(self.path.glob("homing.db*")), self.ledger, self.journals, self.disks)
        return [path for path in written if path.exists()]


@contextmanager
def open_folder(plan: DemoPlan) -> Iterator[Folder]:
    """The plan's folder, empty of earlier demos; a temporary one is removed at the end. Raises Unworkable."""
    if plan.folder is None:
        path = Path(tempfile.mkdtemp(prefix="homing-demo-"))
        try:
            yield _made(_planned(plan, path, kept=False))
        finally:
            _remove(path)
        return
    folder = _planned(plan, plan.folder.absolute(), kept=True)
    try:
        _made(folder)
        _make_room(folder, fresh=plan.fresh)
    except OSError as error:
        raise Unworkable(f"The folder {folder.path} cannot be used: {error.strerror or error}") from error
    yield folder


def _planned(plan: DemoPlan, path: Path, *, kept: bool) -> Folder:
    return Folder(path, kept, plan.journals or path / "journals", plan.logs or path / "logs")


def _remove(path: Path) -> None:
    """A thread that was at work when the demo was told to end may write a last file while the folder goes."""
    deadline_s = time.monotonic() + REMOVED_WITHIN_S
    while path.exists() and time.monotonic() < deadline_s:
        shutil.rmtree(path, ignore_errors=True)
        time.sleep(0.01)


def _made(folder: Folder) -> Folder:
    folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.logs.mkdir(mode=0o700, exist_ok=True)
    return folder


def _make_room(folder: Folder, *, fresh: bool) -> None:
    leftovers = folder.leftovers()
    if not leftovers:
        return
    if not fresh:
        raise Unworkable(
            f"{folder.path} holds an earlier demo ({leftovers[0].name}): add --fresh to remove that, or name another"
            " folder with --data"
        )
    if folder.database.exists():
        try:
            FileLock.of(folder.database).release()
        except StoreMisconfigured as error:
            raise Unworkable(f"An earlier demo still runs in {folder.path}: {error}") from error
    for path in (*folder.leftovers(), *folder.logs.iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
