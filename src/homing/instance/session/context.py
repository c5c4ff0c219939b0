"""What every session of a host shares."""

from dataclasses import dataclass, field
from random import Random

from homing.instance.engine import Engine
from homing.instance.lease import Lease
from homing.instance.logins import Logins
from homing.instance.notify.events import OnHostEvent
from homing.instance.policy import HostPolicy
from homing.instance.rates import Rate
from homing.model.instances.vault import Grant
from homing.ports import Clock, Credentials


@dataclass(frozen=True, slots=True)
class Surroundings:
    """``sent`` counts the messages of all sessions. ``outlived`` is what was held, by session, when a restored backup
    refused it: what the backup lacks is still to be told."""

    engine: Engine
    credentials: Credentials
    lease: Lease
    logins: Logins
    policy: HostPolicy
    clock: Clock
    random: Random
    sent: Rate
    on_event: OnHostEvent | None
    outlived: dict[str, Grant] = field(default_factory=dict)
