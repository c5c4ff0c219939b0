"""What answers at an address: which gateway, of which family and version; and what is true of a whole family."""

import re
from dataclasses import dataclass

from homing.model.fleet import Takeover

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
class RecognisedGateway:
    """A gateway that was recognised. `family` is the word that a driver goes by; `name` is what people call it."""

    family: str
    name: str
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True)
class Recognised:
    """Something answered. `gateway` is None for what is no gateway that we know; `described` says how it answers."""

    gateway: RecognisedGateway | None
    described: str


@dataclass(frozen=True, slots=True)
class Traits:
    """What is true of every gateway of a family, beside what one of them declares. Recovery is bounded by it.

    `logins` says where the logins of its sessions are, `would_help` what an owner could do so that more would be
    possible: both go on from *because* and *what would help:*, without a full stop.
    """

    title: str
    takeover: Takeover = Takeover.MANUAL
    """The most that any account of it gets: nothing of a family is taken over unasked that no lease fences."""
    checked: tuple[str, str] | None = None
    """The oldest and the newest version that its driver was checked against."""
    recorded: bool = True
    """Its driver was checked against recorded traffic, and not against sources and documentation alone."""
    lists: bool = True
    """It gives a list of its sessions."""
    starts_per_min: int | None = None
    """How many of its sessions are started within a minute, where many at once overwhelm it."""
    reconnects: bool = False
    """What it calls a restart of a session renews its connection, and leaves its engine running."""
    logins: str = "nothing is known of where it keeps its logins"
    would_help: str = ""
