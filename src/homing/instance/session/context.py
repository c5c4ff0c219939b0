"""What every session of a host shares."""

from dataclasses import dataclass, field
from random import Random

from homing.instance.engine import Engine
from homing.instance.lease import LeaseKeeper
from homing.instance.logins import LoginTurns
from homing.instance.notify.events import OnHostEvent
from homing.instance.policy import HostPolicy
from homing.instance.rates import DecayingRate
from homing.model.instances.vault import Grant
from homing.ports import Clock, Credentials
from homing.ports.sessions.exit_proxies import KnowsExitProxies


@dataclass(frozen=True, slots=True)
class SessionContext:
    """``sent`` counts the messages of all sessions. ``outlived`` is what was held, by session, when a restored backup
    refused it: what the backup lacks is still to be told. ``exits`` tells by which proxy a session goes out, each time
    that it connects; None: none has one."""

    engine: Engine
    credentials: Credentials
    lease: LeaseKeeper
    logins: LoginTurns
    policy: HostPolicy
    clock: Clock
    random: Random
    sent: DecayingRate
    on_event: OnHostEvent | None
    exits: KnowsExitProxies | None = None
    outlived: dict[str, Grant] = field(default_factory=dict)
