"""What every session of a host shares."""

from dataclasses import dataclass
from random import Random

from homing.instance.engine import Engine
from homing.instance.lease import Lease
from homing.instance.logins import Logins
from homing.instance.notify.events import OnHostEvent
from homing.instance.policy import HostPolicy
from homing.instance.rates import Rate
from homing.ports import Clock, Credentials


@dataclass(frozen=True, slots=True)
class Surroundings:
    """``sent`` counts the messages of all sessions."""

    engine: Engine
    credentials: Credentials
    lease: Lease
    logins: Logins
    policy: HostPolicy
    clock: Clock
    random: Random
    sent: Rate
    on_event: OnHostEvent | None
