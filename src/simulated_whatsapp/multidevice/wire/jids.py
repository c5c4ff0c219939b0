"""Addresses, ``user:device@server``: a person has one by number (``s.whatsapp.net``) and a hidden one (``lid``)."""

from dataclasses import dataclass, replace
from typing import Self

NUMBERS = "s.whatsapp.net"
HIDDEN = "lid"
GROUPS = "g.us"
DOMAINS = {0: NUMBERS, 1: HIDDEN, 128: "hosted", 129: "hosted.lid"}
"""The servers of people, by the byte that stands for them in a binary node."""


@dataclass(frozen=True, slots=True)
class Jid:
    """An address; device 0 is the phone itself."""

    user: str
    server: str
    device: int = 0

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ``ValueError``. An agent (``user_agent``) is not kept."""
        named, at, server = text.rpartition("@")
        if not at:
            raise ValueError(f"{text!r} is no address")
        user, _, device = named.partition(":")
        return cls(user.partition("_")[0], server, int(device or 0))

    @property
    def bare(self) -> Self:
        """Without its device."""
        return replace(self, device=0)

    @property
    def is_person(self) -> bool:
        return self.server in (NUMBERS, HIDDEN)

    def __str__(self) -> str:
        return f"{self.user}:{self.device}@{self.server}" if self.device else f"{self.user}@{self.server}"
