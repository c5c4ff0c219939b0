"""A copy of the project in which one file at a time is other than it should be."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.mutations.defect import Defect, source_of

PROJECT = Path(__file__).parents[2]
_COPIED = ("src", "tests")
_ALSO = ("pyproject.toml", "README.md", "docs")


class Copy:
    """The project as it is now, below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in _COPIED:
            shutil.copytree(PROJECT / name, root / name)
        for name in _ALSO:
            (shutil.copytree if (PROJECT / name).is_dir() else shutil.copy2)(PROJECT / name, root / name)

    @contextmanager
    def with_defect(self, defect: Defect) -> Iterator[None]:
        """The copy has the defect until the block ends. Raises Outdated."""
        path = source_of(self.root, defect)
        right = path.read_text(encoding="utf-8")
        _write(path, defect.applied(right))
        try:
            yield
        finally:
            _write(path, right)

    @property
    def environment(self) -> dict[str, str]:
        """In which a process runs the copy and not the project."""
        return {**os.environ, "PYTHONPATH": f"{self.root / 'src'}{os.pathsep}{self.root}", "PYTHONHASHSEED": "0"}


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    # Byte code is known to be old by whole seconds and the size alone.
    for old in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        old.unlink()
