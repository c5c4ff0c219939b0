"""Credentials of sessions, and the grants to open them.

The vault is the authority on epochs. Each grant takes a new epoch; every write names the grant it is made under, and
a holder whose grant was superseded can change nothing. Before a message leaves, its ratchet counter, its id and its
bytes are reserved here: what was never reserved was certainly not sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from homing.model.fleet import Epoch, InstanceUrl, MoveKind, Placement, PlacementState, SessionId
from homing.model.instances.leases import Fence, IncarnationId

Login = Mapping[str, Any]
"""What an engine needs to log in again; only that engine reads it. JSON."""


class VaultSealed(Exception):
    """Credentials cannot be opened with the keys at hand, or are not what was last written. The message says which."""


@dataclass(frozen=True, slots=True)
class Holder:
    """One boot of an instance: the address it is reached at, and the random id of this boot."""

    instance_url: str
    incarnation: str


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A message that was reserved under an earlier grant (or before a freeze) and never acknowledged.

    `age_s` is how long ago it was reserved, by the store's clock.
    """

    counter: int
    message_id: str
    frame: bytes
    age_s: float


SENT = "sent"
"""What a message said, by its id: for a recipient who could not read it and asks for it again."""


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Something that a session's engine keeps by a kind and an id; only that engine reads it. None: it is gone.

    What is of the kind SENT is forgotten after a while; all else is kept as long as the device is linked.
    """

    kind: str
    id: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class InboxMessage:
    """What somebody wrote to a session. `digest` is of what came over the wire; `body` is for the listener.

    Without a body nobody is told, and what came is only known from then on.
    """

    message_id: str
    digest: str
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to act for a session until a higher epoch is granted.

    `login` is None for a session that no phone has linked yet; `login_version` rises with every save. `next_counter`
    is past every counter reserved so far. `unfinished` are by counter: after the login they go out again as they were,
    before anything new. `untold` came in under earlier grants, in order, and the listener has yet to hear of them.
    """

    session_id: str
    epoch: int
    holder: Holder
    login: Login | None
    next_counter: int
    unfinished: tuple[Unfinished, ...] = ()
    login_version: int = 0
    untold: tuple[InboxMessage, ...] = ()


@dataclass(frozen=True, slots=True)
class StaleEpoch:
    """Refused: the session's epoch is `current` now, or it is another boot's."""

    current: int


@dataclass(frozen=True, slots=True)
class Holding:
    """A session that an instance holds by the vault, at this epoch."""

    session_id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Unsent:
    """A message about to leave. `frame` is what goes over the wire, but for the counter; frozen from here on."""

    message_id: str
    frame: bytes


@dataclass(frozen=True, slots=True)
class Reserved:
    """The message has this counter, durably."""

    counter: int


@dataclass(frozen=True, slots=True)
class ReservedBefore:
    """A message of this id was reserved earlier, and so keeps its counter. `acknowledged`: WhatsApp has it."""

    counter: int
    acknowledged: bool


Reservation = Reserved | ReservedBefore


@dataclass(frozen=True, slots=True)
class RatchetStep:
    """What an engine did in memory, to be kept all or nothing before anybody outside sees anything of it.

    Encrypting for `unsent`, or decrypting `arrived`, is what changed `keys`. Of one key only the last is given.
    """

    keys: Sequence[SessionKey] = ()
    arrived: Sequence[InboxMessage] = ()
    unsent: Sequence[Unsent] = ()
    login: Login | None = None

    def __bool__(self) -> bool:
        return bool(self.keys or self.arrived or self.unsent or self.login is not None)


@dataclass(frozen=True, slots=True)
class Committed:
    """A step is durable, under `grant` (with a login's new version). `known` came in before, and is told already or
    about to be, by its id and digest."""

    grant: "Grant"
    reservations: Sequence[Reservation] = ()
    known: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Granting:
    """A session to be granted to an incarnation. It holds only if `expected` is still the record of its placement.

    `fence` is what proves that the holder until now cannot act; LAPSED is proven again by the store itself.
    """

    expected: Placement
    to_url: InstanceUrl
    to_incarnation: IncarnationId | None
    """None where the target tells no incarnations: it holds no lease and opens no vault."""
    fence: Fence
    kind: MoveKind
    reason: str
    trace_id: str | None = None

    @property
    def session_id(self) -> SessionId:
        return self.expected.session_id


@dataclass(frozen=True, slots=True)
class Granted:
    """The session's placement is on its way to the target now, under this epoch."""

    granting: Granting
    epoch: Epoch

    @property
    def placement(self) -> Placement:
        return Placement(self.granting.session_id, self.granting.to_url, self.epoch, PlacementState.MOVING)


@dataclass(frozen=True, slots=True)
class Left:
    """What is on its way from an instance that exited. `forbidden`: how many stay, since nobody may take them over."""

    marked: tuple[Placement, ...]
    forbidden: int


@dataclass(frozen=True, slots=True)
class AskedLately:
    """A process of the instance asked for its sessions so long ago: it cannot be that none runs."""

    ago_s: float


@dataclass(frozen=True, slots=True)
class Arrival:
    """A session that was on its way can send at its target. `steps` are the durations of the move's parts, in ms."""

    placement: Placement
    steps: Mapping[str, int]
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Vouched:
    """Who may act for a session whose login is in the vault. `holder_url` is None while nobody has it."""

    epoch: Epoch
    holder_url: InstanceUrl | None


@dataclass(frozen=True, slots=True)
class SessionHolding:
    """What the vault knows of a session. `holder_ended` and `lease_left_s` are those of the holder's boot, at the
    moment of asking; a boot that nobody knows any more has no lease left."""

    session_id: SessionId
    epoch: Epoch
    holder: Holder | None
    has_login: bool
    lease_left_s: float
    holder_ended: bool
