"""Groups: who is in which. Their members go by their hidden identities, as in today's groups."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from simulated_whatsapp.multidevice.wire.jids import GROUPS, Jid

_FIRST = 120363000000000001


@dataclass(slots=True)
class Group:
    """One group; members are numbers, the first of them made it."""

    jid: Jid
    subject: str
    created: int
    members: dict[str, None] = field(default_factory=dict)

    @property
    def creator(self) -> str:
        return next(iter(self.members), "")


class Groups:
    """All groups."""

    def __init__(self) -> None:
        self._numbers = itertools.count(_FIRST)
        self._all: dict[str, Group] = {}

    def create(self, subject: str, members: list[str], now: float) -> Group:
        jid = Jid(str(next(self._numbers)), GROUPS)
        group = self._all[jid.user] = Group(jid, subject, int(now), dict.fromkeys(members))
        return group

    def at(self, jid: Jid) -> Group | None:
        return self._all.get(jid.user) if jid.server == GROUPS else None

    def of(self, number: str) -> Iterator[Group]:
        """The groups that a number is in."""
        return (group for group in self._all.values() if number in group.members)
