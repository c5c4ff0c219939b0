"""The file that tells other programs of a demo that is up. It is there exactly as long as the demo is ready."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from homing.demo.plan import Unworkable


class StateFile:
    """The file at a path, or none where no path was given."""

    def __init__(self, path: Path | None) -> None:
        self._path = None if path is None else path.absolute()

    def __enter__(self) -> Self:
        """An earlier demo's file goes first, so that nobody takes it for this one's."""
        try:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            self._remove()
        except OSError as error:
            raise Unworkable(f"The state file {self._path} cannot be written: {error.strerror or error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def write(self, state: Mapping[str, Any]) -> None:
        """Write it whole: readers see all of it or nothing."""
        if self._path is None:
            return
        unfinished = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(state, indent=2) + "\n")
        unfinished.replace(self._path)

    def _remove(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
