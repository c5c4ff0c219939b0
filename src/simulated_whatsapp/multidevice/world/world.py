"""What every part of the service shares: who there is, what is armed, what is written down, and the time."""

from collections.abc import Callable
from dataclasses import dataclass, field

from simulated_whatsapp.multidevice.world.faults import Faults, Rules
from simulated_whatsapp.multidevice.world.groups import Groups
from simulated_whatsapp.multidevice.world.ledger import Events
from simulated_whatsapp.multidevice.world.people import People


@dataclass(slots=True)
class World:
    """``clock`` gives unix seconds, ``later`` runs a call after so many seconds, ``files`` is what is kept at a
    path."""

    events: Events
    clock: Callable[[], float]
    later: Callable[[float, Callable[[], None]], object]
    files: Callable[[str], bytes | None] = lambda _: None
    people: People = field(default_factory=People)
    groups: Groups = field(default_factory=Groups)
    faults: Faults = field(default_factory=Faults)
    rules: Rules = field(default_factory=Rules)

    @property
    def seconds(self) -> str:
        """The time as stanzas carry it."""
        return str(int(self.clock()))
