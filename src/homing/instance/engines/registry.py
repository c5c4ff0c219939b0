"""The engines that an instance can run: those of this package, and those that other packages bring.

An engine is an entry point of the group `homing.engines`: its name is what `homing instance --engine` takes, its object
is called with an `EngineSetup` and returns the engine, whose `name` is the entry point's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from homing.instance.engine import Engine
from homing.plugins import brought

GROUP = "homing.engines"


@dataclass(frozen=True, slots=True)
class EngineSetup:
    """What an engine is opened with.

    `whatsapp_address` is where a WhatsApp of tests listens, as HOST:PORT. `folder` is where `homing engine install`
    puts what an engine needs; `node` the Node that runs it, `memory_mb` how much it may take there. `version` is the
    version of WhatsApp that is announced, as 2.3000.1; None leaves it to the engine.
    """

    whatsapp_address: str | None = None
    folder: Path = Path("engines")
    node: str = "node"
    memory_mb: int = 1024
    version: str | None = None


class EngineUnusable(Exception):
    """The engine does not exist, or lacks what it needs; the message says what to do."""


OpenEngine = Callable[[EngineSetup], Engine]


@cache
def engines() -> Mapping[str, OpenEngine]:
    """How each engine is opened, by its name."""
    return brought(GROUP, what="engine", fits=_wrong_with)


def open_engine(name: str, setup: EngineSetup) -> Engine:
    """The engine of this name. Raises EngineUnusable."""
    opened = engines().get(name)
    if opened is None:
        raise EngineUnusable(f"There is no engine {name!r}; known are {', '.join(sorted(engines()))}")
    return opened(setup)


def _wrong_with(_: str, loaded: Any) -> str | None:
    return None if callable(loaded) else "it cannot be opened"
