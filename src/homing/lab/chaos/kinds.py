"""What can be done to a fleet, and what is promised of each: how soon all is well again, and whether anything moves."""

import signal
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from homing.flows.moves.milestones import Milestone
from homing.lab.chaos import actions
from homing.lab.chaos.actions import Action
from homing.lab.chaos.conditions import CLEAR, Conditions, Passing
from homing.lab.chaos.stage import OWN_POSTGRES, Wanted


class Struck(Enum):
    """Whom a fault strikes, and so whose messages tell how it went."""

    INSTANCE = auto()
    GATEWAY = auto()
    ALL = auto()


class Needs(Enum):
    """What a fault takes that not every fleet has."""

    NOTHING = "nothing"
    SQLITE = "SQLite"
    POSTGRES = "PostgreSQL"
    OWN_POSTGRES = "a PostgreSQL of this run's own"
    REDIS = "Redis"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault.

    `within_s` is how long it may take until every session that is struck can send again: from the beginning of the
    fault, or (`from_healing`) from its end. Unless it `loses`, the fault lasts `holds_s`, and nothing may move.
    """

    name: str
    does: str
    struck: Struck
    inflict: Action
    heal: Action
    within_s: float
    holds_s: float = 0.0
    loses: bool = False
    """The instance's sessions have to come back elsewhere, and the fault lasts until they did."""
    may_move: bool = False
    once: bool = False
    """No session is moved twice."""
    from_healing: bool = False
    knocks: bool = False
    """Messages under the old epochs go straight to the instance, to wait in its sockets and once it is well again."""
    talks: bool = False
    """The sessions that are struck say one thing after the other; what counts is the longest that one had to wait."""
    fails: bool = True
    """Requests may be answered otherwise than 200, as long as asking again helps."""
    keeps: bool = False
    """Every session stays connected to WhatsApp meanwhile."""
    doubts: bool = False
    """Messages that were on their way may be answered as unknown."""
    needs: Needs = Needs.NOTHING

    def missing(self, wanted: Wanted) -> str | None:
        """What the fleet lacks for it; None if nothing."""
        there = {
            Needs.NOTHING: True,
            Needs.SQLITE: not wanted.on_postgres,
            Needs.POSTGRES: wanted.on_postgres,
            Needs.OWN_POSTGRES: wanted.database == OWN_POSTGRES,
            Needs.REDIS: wanted.redis,
        }
        return None if there[self.needs] else self.needs.value

    def lasting(self, holds_s: float) -> "Kind":
        return replace(self, holds_s=holds_s)


CUT = Conditions(Passing.SWALLOWED)
UNREACHABLE = Conditions(Passing.UNREACHABLE)
MUTE = Conditions(Passing.MUTE)
SLOW = Conditions(latency_s=0.15, jitter_s=0.1, bytes_per_s=20_000)
BREAKING = Conditions(reset_after=60)
SLOW_STORE = Conditions(latency_s=0.02, jitter_s=0.03)


def _lost(name: str, does: str, inflict: Action, heal: Action, within_s: float, **more: Any) -> Kind:
    """One that takes an instance from its sessions."""
    return Kind(name, does, Struck.INSTANCE, inflict, heal, within_s, loses=True, **more)


def _borne(name: str, does: str, inflict: Action, heal: Action, within_s: float, holds_s: float, **more: Any) -> Kind:
    """One that an instance lives through, sessions and all."""
    return Kind(name, does, Struck.INSTANCE, inflict, heal, within_s, holds_s, **more)


def _gateway(name: str, does: str, inflict: Action, heal: Action, within_s: float, **more: Any) -> Kind:
    return Kind(name, does, Struck.GATEWAY, inflict, heal, within_s, keeps=True, **more)


def _under(name: str, does: str, inflict: Action, heal: Action, within_s: float, **more: Any) -> Kind:
    """One that strikes everybody, and that everybody is to bear."""
    return Kind(name, does, Struck.ALL, inflict, heal, within_s, keeps=True, doubts=True, **more)


INSTANCES = (
    _lost("kill", "an instance is killed", actions.kill_instance, actions.start_instance, 6.0),
    _lost(
        "freeze",
        "an instance is stopped, and woken when its sessions are elsewhere",
        actions.freeze_instance,
        actions.wake_instance,
        12.0,
        knocks=True,
    ),
    _lost("blackhole", "nothing reaches an instance", actions.way(UNREACHABLE), actions.way(CLEAR), 12.0),
    _lost("swallow", "an instance is connected to, and nothing passes", actions.way(CUT), actions.way(CLEAR), 12.0),
    _borne(
        "mute",
        "what an instance answers does not arrive, for 10 s",
        actions.way(MUTE),
        actions.way(CLEAR),
        12.0,
        10.0,
        from_healing=True,
        keeps=True,
        doubts=True,
    ),
    _lost(
        "hang",
        "an instance takes every request, and answers none",
        actions.hang_instance,
        actions.unhang_instance,
        12.0,
    ),
    _lost("terminate", "an instance is told to end", actions.end_instance, actions.start_instance, 6.0),
    _lost(
        "kill-both",
        "an instance is killed, and a gateway in the midst of its rescue",
        actions.kill_instance_and_gateway,
        actions.start_instance,
        12.0,
    ),
    _lost(
        "cut-off",
        "an instance cannot reach the database",
        actions.instance_store(CUT),
        actions.instance_store(CLEAR),
        12.0,
        needs=Needs.POSTGRES,
    ),
    _borne(
        "upgrade",
        "an instance is drained, ended, and started again",
        actions.drain_and_end,
        actions.start_and_undrain,
        2.0,
        0.0,
        may_move=True,
        talks=True,
        fails=False,
    ),
    _borne("stall", "an instance stands still for 2 s", actions.freeze_instance, actions.wake_instance, 6.0, 2.0),
    _borne(
        "blip",
        "an instance cannot reach the database for 2 s",
        actions.instance_store(CUT),
        actions.instance_store(CLEAR),
        8.0,
        2.0,
        needs=Needs.POSTGRES,
    ),
    _borne("slow", "the way to an instance is slow for 6 s", actions.way(SLOW), actions.way(CLEAR), 8.0, 6.0),
    _borne(
        "resets",
        "for 2 s, connections to an instance break in the midst of its answers",
        actions.way(BREAKING),
        actions.way(CLEAR),
        10.0,
        2.0,
    ),
)

_ON_THE_WAY_BACK = (
    Milestone.READ,
    Milestone.CHOSEN,
    Milestone.GRANTED,
    Milestone.STARTED,
    Milestone.ARRIVED,
)
_ON_THE_WAY_OUT = (Milestone.LEFT, Milestone.STOPPED)

MILESTONES = (
    *(
        _lost(
            f"dies-{at.value}",
            f"an instance is killed, and a gateway that brought its sessions as far as {at.value!r}",
            actions.dies_at(at, actions.kill_instance),
            actions.start_instance,
            15.0,
            once=True,
        )
        for at in _ON_THE_WAY_BACK
    ),
    *(
        _borne(
            f"dies-{at.value}",
            f"an instance is drained, and a gateway killed that brought its sessions as far as {at.value!r}",
            actions.dies_at(at, actions.drain),
            actions.undrain,
            12.0,
            5.0,
            may_move=True,
            once=True,
        )
        for at in _ON_THE_WAY_OUT
    ),
)

GATEWAYS = (
    _gateway(
        "gateway-kill", "a gateway is killed, and started again", actions.kill_gateway, actions.start_gateway, 12.0
    ),
    _gateway(
        "gateway-freeze",
        "a gateway stands still for 8 s",
        actions.freeze_gateway,
        actions.wake_gateway,
        10.0,
        holds_s=8.0,
        from_healing=True,
        doubts=True,
    ),
    _gateway(
        "gateway-cut",
        "a gateway cannot reach the database for 8 s",
        actions.gateway_store(CUT),
        actions.gateway_store(CLEAR),
        15.0,
        holds_s=8.0,
        from_healing=True,
        doubts=True,
        needs=Needs.POSTGRES,
    ),
    _under(
        "gateways-away",
        "all gateways are down for 10 s",
        actions.kill_gateways,
        actions.start_gateways,
        10.0,
        holds_s=10.0,
        from_healing=True,
    ),
)

STORES = (
    _under(
        "store-cut",
        "nobody can reach the database for 10 s",
        actions.stores(CUT),
        actions.stores(CLEAR),
        15.0,
        holds_s=10.0,
        from_healing=True,
        needs=Needs.POSTGRES,
    ),
    _under(
        "store-slow",
        "the database is slow for 6 s",
        actions.stores(SLOW_STORE),
        actions.stores(CLEAR),
        10.0,
        holds_s=6.0,
        needs=Needs.POSTGRES,
    ),
    _under(
        "store-restart",
        "PostgreSQL is restarted",
        actions.end_postgres(signal.SIGINT),
        actions.start_postgres,
        15.0,
        from_healing=True,
        needs=Needs.OWN_POSTGRES,
    ),
    _under(
        "store-crash",
        "PostgreSQL crashes, and recovers",
        actions.end_postgres(signal.SIGQUIT),
        actions.start_postgres,
        15.0,
        from_healing=True,
        needs=Needs.OWN_POSTGRES,
    ),
    _under(
        "store-away",
        "PostgreSQL is stopped for 10 s",
        actions.end_postgres(signal.SIGINT),
        actions.start_postgres,
        15.0,
        holds_s=10.0,
        from_healing=True,
        needs=Needs.OWN_POSTGRES,
    ),
    _under(
        "store-locked",
        "somebody holds the write lock of the database file for 10 s",
        actions.lock_file,
        actions.unlock_file,
        15.0,
        holds_s=10.0,
        from_healing=True,
        needs=Needs.SQLITE,
    ),
    _under("redis-flush", "Redis is emptied", actions.flush_redis, actions.nothing, 5.0, needs=Needs.REDIS),
    _under(
        "redis-restart",
        "Redis is killed, and started again",
        actions.kill_redis,
        actions.start_redis,
        5.0,
        holds_s=1.0,
        needs=Needs.REDIS,
    ),
)

KINDS = {kind.name: kind for kind in (*INSTANCES, *GATEWAYS, *MILESTONES, *STORES)}
