"""A world of one session, two instances, two gateways and two messages, as one value that can be compared and hashed.

Time passes in ticks and is only known as ages: how long ago, how much is left. So the world has finitely many states
although it never ends. Everything is a small number or a tuple of them.
"""

from typing import NamedTuple

Boot = tuple[int, int]
"""An instance, and which of its boots."""
NOBODY: Boot = (-1, 0)
MessageId = tuple[int, int]
"""Which message, and 0 unless an id was chosen anew for a later attempt."""
Place = tuple[int, int]
"""An instance, and the epoch under which the session is said to be there."""

UP, FROZEN, DOWN = 0, 1, 2
"""What a process is doing."""

APART, LOGGING_IN, SPEAKING, RASH, RASHLY_IN = 0, 1, 2, 3, 4
"""How far an instance is with its connection: none; logging in; it may send; about to log in although it was replaced,
and doing so."""

READY, WAITING, DONE = 0, 1, 2
"""What a send is doing."""

LOGIN, MESSAGE, LOGGED_IN, ACKNOWLEDGED, REFUSED, REPLACED = 0, 1, 2, 3, 4, 5
"""What travels between an instance and WhatsApp."""

SENT, NOT_SENT, UNKNOWN = 1, 2, 3
"""How a send ended; 0 while it has not."""


class SmallReservation(NamedTuple):
    """A message that the vault has. Settled: acknowledged, or dropped for good."""

    counter: int
    id: MessageId
    acknowledged: bool = False
    dropped: bool = False

    @property
    def unfinished(self) -> bool:
        return not (self.acknowledged or self.dropped)


class Vault(NamedTuple):
    """The session's row in the vault, and its reservations."""

    epoch: int
    holder: Boot
    last_counter: int
    reserved: tuple[SmallReservation, ...]


class SmallLease(NamedTuple):
    """The newest boot of an instance that the store has heard of, and the ticks that are left to it."""

    boot: int
    left: int


class Renewal(NamedTuple):
    """A renewal on its way, as many ticks after it was asked for; applied once the store has it."""

    age: int
    applied: bool = False


class Own(NamedTuple):
    """A reserved message in the hands of an instance, `waiting` to be put on the wire."""

    counter: int
    id: MessageId
    waiting: bool


class SmallRequest(NamedTuple):
    """A gateway's request to send, as it lies before the instance."""

    id: MessageId
    epoch: int


class SmallInstance(NamedTuple):
    """One instance. `asked` ticks ago it asked for the last renewal that succeeded; at the limit it may not act.

    `last_counter` is the highest that it was given under its grant. It counts where the store may forget it.
    """

    life: int
    boot: int
    asked: int
    renewal: Renewal | None = None
    epoch: int = 0
    line: int = APART
    connection: int = 0
    own: tuple[Own, ...] = ()
    inbox: tuple[SmallRequest, ...] = ()
    stop_acknowledged: bool = False
    last_counter: int = 0

    @property
    def holds(self) -> bool:
        return self.epoch > 0


class FrameInFlight(NamedTuple):
    """Something on its way to WhatsApp over a connection, or back. What travels over one arrives in order."""

    connection: int
    what: int
    id: MessageId = (-1, 0)
    counter: int = 0
    speaker: Place = (-1, 0)


class SmallWhatsApp(NamedTuple):
    """Which connection counts, the newest epoch that spoke, what reached people with its counter, what was refused."""

    live: int
    newest: int = 0
    delivered: tuple[tuple[MessageId, int], ...] = ()
    refused: tuple[MessageId, ...] = ()

    def knows(self, message: MessageId) -> bool:
        return any(known == message for known, _ in self.delivered)


class Send(NamedTuple):
    """One message, driven by a gateway. `past` are the codes of its attempts and looks."""

    doing: int
    place: Place
    id: MessageId
    past: tuple[int, ...] = ()
    repeated: bool = False
    outcome: int = 0


class Luck(NamedTuple):
    """How much may still go wrong."""

    grants: int
    crashes: int
    freezes: int
    breaks: int
    gateway_deaths: int
    refusals: int
    failovers: int
    repeats: int = 0
    """Requests to start that come a second time."""


class Replica(NamedTuple):
    """What a standby of the database has. After a failover it is what there is."""

    vault: Vault
    placement: Place


class SmallWorld(NamedTuple):
    """Everything. `starts` are requests to open the session, on their way.

    Nobody in the world knows `speakers` (who spoke under each epoch) and `newest` (the highest epoch ever granted):
    they are there to be judged.
    """

    vault: Vault
    leases: tuple[SmallLease, SmallLease]
    placement: Place
    instances: tuple[SmallInstance, SmallInstance]
    whatsapp: SmallWhatsApp
    up: tuple[FrameInFlight, ...]
    down: tuple[FrameInFlight, ...]
    starts: tuple[Place, ...]
    sends: tuple[Send, Send]
    luck: Luck
    speakers: tuple[tuple[int, Boot], ...] = ()
    newest: int = 1
    own_ids: int = 0
    timeline: int = 0
    known_timelines: tuple[int, int] = (0, 0)
    replica: Replica | None = None


class SmallStep(NamedTuple):
    """One thing that may happen, in words, and the world after it; or what must never be, and now is."""

    words: str
    after: SmallWorld
    broken: str | None = None
