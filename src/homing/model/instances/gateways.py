"""What answers at an address: which gateway, of which family and version."""

import re
from dataclasses import dataclass

DEFAULT_FAMILY = "webjs"
"""What an instance is taken for where nothing says otherwise: our own, or the Node service."""


def is_checked(version: str, checked: tuple[str, str]) -> bool:
    """Whether a version is one of those from the first to the last, which counts with all that it begins.

    What is no version in numbers, such as a commit, is not judged.
    """
    numbers, oldest, newest = _numbers(version), _numbers(checked[0]), _numbers(checked[1])
    if not (numbers and oldest and newest):
        return True
    return oldest <= numbers and numbers[: len(newest)] <= newest


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d{1,9}(?:\.\d{1,9})*)(?!\w)", version.strip())
    return tuple(int(part) for part in found[1].split(".")) if found else ()


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that was recognised. `family` is the word that a driver goes by; `name` is what people call it."""

    family: str
    name: str
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True)
class Recognised:
    """Something answered. `gateway` is None for what is no gateway that we know; `described` says how it answers."""

    gateway: Gateway | None
    described: str
