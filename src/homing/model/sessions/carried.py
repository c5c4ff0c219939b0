"""A session on its way from one vault to another: its login, and all that its next holder needs to go on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from homing.model.instances.vault import InboxMessage, Login, SessionKey, Unfinished


@dataclass(frozen=True, slots=True)
class CarriedSession:
    """What a session is made of. `phone` is whose device it is, in digits, where that is known.

    `unfinished` were sealed and not acknowledged: they go out as they are. Of `inbox` those with a body are still to be
    told to the listener; the others were told, and are known when they come again. No counter below `next_counter` may
    be used.
    """

    session_id: str
    login: Login = field(repr=False)
    keys: Sequence[SessionKey] = field(default=(), repr=False)
    phone: str | None = None
    next_counter: int = 1
    unfinished: Sequence[Unfinished] = field(default=(), repr=False)
    inbox: Sequence[InboxMessage] = field(default=(), repr=False)
