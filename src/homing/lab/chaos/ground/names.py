"""Names that lead where this run wants them to, by the system's own resolver: a hosts file that only this run sees."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from homing.lab.chaos.ground import mounts

HOSTS = Path("/etc/hosts")
DATABASE = "database.homing.test"
HERE, THERE = "127.0.0.1", "127.0.0.2"
"""The two addresses that each name may lead to."""


def instance(number: int) -> str:
    return f"instance-{number}.homing.test"


class Names:
    """Each leads to one address, until it is led elsewhere."""

    def __init__(self, file: Path, usual: str, names: Mapping[str, str]) -> None:
        self._file, self._usual, self._leads = file, usual, dict(names)
        self._write()

    def __getitem__(self, name: str) -> str:
        return self._leads[name]

    def lead(self, name: str, address: str) -> None:
        """Whoever asks from here on is told so."""
        self._leads[name] = address
        self._write()

    def _write(self) -> None:
        """In place, as it is this very file that is mounted."""
        lines = "".join(f"{address} {name}\n" for name, address in self._leads.items())
        with self._file.open("r+") as file:
            file.write(f"{self._usual.rstrip()}\n{lines}")
            file.truncate()


@contextmanager
def open_names(folder: Path, names: Mapping[str, str]) -> Iterator[Names]:
    """Beside the names that the machine knows. Raises mounts.Unmountable."""
    file = folder / "hosts"
    file.touch()
    known = Names(file, HOSTS.read_text(), names)
    mounts.bind(file, HOSTS)
    try:
        yield known
    finally:
        with suppress(mounts.Unmountable):
            mounts.unmount(HOSTS)
