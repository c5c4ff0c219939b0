"""What answers at an address: which gateway, of which family and version."""

from dataclasses import dataclass

DEFAULT_FAMILY = "webjs"
"""What an instance is taken for where nothing says otherwise: our own, or the Node service."""


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
