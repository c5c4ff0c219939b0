"""What can be done to a fleet, and what is promised of each: how soon all is well again, and whether anything moves."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from homing.chaos.conditions import CLEAR, Conditions, Passing
from homing.chaos.stage import OWN_POSTGRES, Stage, Wanted

Strike = Callable[[Stage, str], Awaitable[None]]


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
    GATEWAYS = "more than one gateway"
    REDIS = "Redis"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault.

    `loses`: the sessions of the instance that is struck must come back elsewhere, and the fault lasts until they did;
    otherwise it lasts `holds_s`, and nothing may move. `within_s` is how long it may take until every session that is
    struck can send again: from the beginning of the fault, or (`from_healing`) from its end.
    """

    name: str
    does: str
    struck: Struck
    inflict: Strike
    heal: Strike
    within_s: float
    loses: bool = False
    may_move: bool = False
    holds_s: float = 0.0
    from_healing: bool = False
    knocks: bool = False
    """Messages under the old epochs go straight to the instance, to wait in its sockets and once it is well again."""
    fails: bool = True
    """A request may be answered otherwise than 200, as long as asking again helps."""
    needs: Needs = Needs.NOTHING

    def missing(self, wanted: Wanted) -> str | None:
        """What the fleet lacks for it; None if nothing."""
        there = {
            Needs.NOTHING: True,
            Needs.SQLITE: not wanted.on_postgres,
            Needs.POSTGRES: wanted.on_postgres,
            Needs.OWN_POSTGRES: wanted.database == OWN_POSTGRES,
            Needs.GATEWAYS: wanted.gateways > 1,
            Needs.REDIS: wanted.redis,
        }
        return None if there[self.needs] else self.needs.value


async def _nothing(stage: Stage, victim: str) -> None:
    pass


# --- instances --------------------------------------------------------------------------------------------------


async def _kill(stage: Stage, victim: str) -> None:
    stage.kill_instance(victim)


async def _start(stage: Stage, victim: str) -> None:
    await stage.start_instance(victim)


async def _end(stage: Stage, victim: str) -> None:
    await stage.end_instance(victim)


async def _freeze(stage: Stage, victim: str) -> None:
    stage.signal_instance(victim, signal.SIGSTOP)


async def _wake(stage: Stage, victim: str) -> None:
    stage.signal_instance(victim, signal.SIGCONT)


async def _clear(stage: Stage, victim: str) -> None:
    stage.ways[victim].become(CLEAR)


def _way(conditions: Conditions) -> Strike:
    async def become(stage: Stage, victim: str) -> None:
        stage.ways[victim].become(conditions)

    return become


def _store_of(conditions: Conditions) -> Strike:
    async def become(stage: Stage, victim: str) -> None:
        stage.instance_stores[victim].become(conditions)

    return become


async def _kill_and_a_gateway(stage: Stage, victim: str) -> None:
    """The gateway dies while it brings the sessions back."""
    stage.kill_instance(victim)
    gateway = stage.chance.choice(stage.gateways)
    await asyncio.sleep(stage.chance.uniform(0.2, 1.6))
    stage.kill_gateway(gateway)
    await stage.start_gateway(gateway)


async def _hang(stage: Stage, victim: str) -> None:
    await stage.misbehave(victim, hang=True)


async def _behave(stage: Stage, victim: str) -> None:
    await stage.misbehave(victim, clear=True)


async def _drain_and_end(stage: Stage, victim: str) -> None:
    await stage.drain(victim)
    await stage.end_instance(victim)


async def _start_and_undrain(stage: Stage, victim: str) -> None:
    await stage.start_instance(victim)
    await stage.undrain(victim)


_CUT = Conditions(Passing.SWALLOWED)
_UNREACHABLE = Conditions(Passing.UNREACHABLE)
_SLOW = Conditions(latency_s=0.15, jitter_s=0.1, bytes_per_s=20_000)
_BREAKING = Conditions(reset_after=60)


def _lost(name: str, does: str, inflict: Strike, heal: Strike, within_s: float, **more: Any) -> Kind:
    """One that takes an instance from its sessions."""
    return Kind(name, does, Struck.INSTANCE, inflict, heal, within_s, loses=True, **more)


def _borne(name: str, does: str, inflict: Strike, heal: Strike, within_s: float, holds_s: float, **more: Any) -> Kind:
    """One that an instance lives through, sessions and all."""
    return Kind(name, does, Struck.INSTANCE, inflict, heal, within_s, holds_s=holds_s, **more)


INSTANCES = (
    _lost("kill", "an instance is killed", _kill, _start, 6.0),
    _lost(
        "freeze", "an instance is stopped, and woken when its sessions are elsewhere", _freeze, _wake, 12.0, knocks=True
    ),
    _lost("blackhole", "nothing reaches an instance", _way(_UNREACHABLE), _clear, 12.0),
    _lost("swallow", "an instance is connected to, and nothing passes", _way(_CUT), _clear, 12.0),
    _lost("hang", "an instance takes every request, and answers none", _hang, _behave, 12.0),
    _lost("mute", "an instance's answers do not arrive", _way(Conditions(Passing.MUTE)), _clear, 12.0),
    _lost("terminate", "an instance is told to end, and started again", _end, _start, 6.0),
    _lost("kill-both", "an instance is killed, then a gateway in the midst of it", _kill_and_a_gateway, _start, 12.0),
    _lost(
        "cut-off",
        "an instance cannot reach the database",
        _store_of(_CUT),
        _store_of(CLEAR),
        12.0,
        needs=Needs.POSTGRES,
    ),
    _borne(
        "upgrade",
        "an instance is drained, ended and started again",
        _drain_and_end,
        _start_and_undrain,
        6.0,
        0.0,
        may_move=True,
        fails=False,
    ),
    _borne("stall", "an instance stands still for 2 s", _freeze, _wake, 6.0, 2.0),
    _borne(
        "blip",
        "an instance cannot reach the database for 2 s",
        _store_of(_CUT),
        _store_of(CLEAR),
        8.0,
        2.0,
        needs=Needs.POSTGRES,
    ),
    _borne("slow", "the way to an instance is slow", _way(_SLOW), _clear, 8.0, 6.0),
    _borne("resets", "connections to an instance break in the midst of answers", _way(_BREAKING), _clear, 10.0, 2.0),
)


# --- gateways ---------------------------------------------------------------------------------------------------


async def _kill_gateway(stage: Stage, victim: str) -> None:
    stage.kill_gateway(victim)


async def _start_gateway(stage: Stage, victim: str) -> None:
    await stage.start_gateway(victim)


async def _freeze_gateway(stage: Stage, victim: str) -> None:
    stage.signal_gateway(victim, signal.SIGSTOP)


async def _wake_gateway(stage: Stage, victim: str) -> None:
    stage.signal_gateway(victim, signal.SIGCONT)


async def _kill_gateways(stage: Stage, victim: str) -> None:
    for url in stage.gateways:
        stage.kill_gateway(url)


async def _start_gateways(stage: Stage, victim: str) -> None:
    await asyncio.gather(*map(stage.start_gateway, stage.gateways))


def _store_of_gateway(conditions: Conditions) -> Strike:
    async def become(stage: Stage, victim: str) -> None:
        stage.gateway_stores[stage.gateways.index(victim)].become(conditions)

    return become


GATEWAYS = (
    Kind("gateway-kill", "a gateway is killed, and started again", Struck.GATEWAY, _kill_gateway, _start_gateway, 12.0),
    Kind(
        "gateway-freeze",
        "a gateway stands still for 8 s",
        Struck.GATEWAY,
        _freeze_gateway,
        _wake_gateway,
        10.0,
        holds_s=8.0,
        from_healing=True,
    ),
    Kind(
        "gateway-cut",
        "a gateway cannot reach the database for 8 s",
        Struck.GATEWAY,
        _store_of_gateway(_CUT),
        _store_of_gateway(CLEAR),
        15.0,
        holds_s=8.0,
        needs=Needs.POSTGRES,
        from_healing=True,
    ),
    Kind(
        "gateways-away",
        "all gateways are down for a while",
        Struck.ALL,
        _kill_gateways,
        _start_gateways,
        10.0,
        holds_s=10.0,
        from_healing=True,
    ),
)


# --- what stands under them -------------------------------------------------------------------------------------


def _store(conditions: Conditions) -> Strike:
    async def become(stage: Stage, victim: str) -> None:
        for way in (*stage.gateway_stores, *stage.instance_stores.values()):
            way.become(conditions)

    return become


def _end_store(number: signal.Signals) -> Strike:
    async def end(stage: Stage, victim: str) -> None:
        assert stage.postgres is not None
        await stage.postgres.end(number)

    return end


async def _start_store(stage: Stage, victim: str) -> None:
    assert stage.postgres is not None
    await stage.postgres.start()


async def _lock_store(stage: Stage, victim: str) -> None:
    await stage.lock_file()


async def _unlock_store(stage: Stage, victim: str) -> None:
    await stage.unlock_file()


async def _flush_redis(stage: Stage, victim: str) -> None:
    await stage.flush_redis()


async def _end_redis(stage: Stage, victim: str) -> None:
    assert stage.redis is not None
    await stage.redis.end(signal.SIGKILL)


async def _start_redis(stage: Stage, victim: str) -> None:
    assert stage.redis is not None
    await stage.redis.start()


STORES = (
    Kind(
        "store-cut",
        "nobody can reach the database for a while",
        Struck.ALL,
        _store(_CUT),
        _store(CLEAR),
        15.0,
        holds_s=10.0,
        needs=Needs.POSTGRES,
        from_healing=True,
    ),
    Kind(
        "store-slow",
        "the database is slow",
        Struck.ALL,
        _store(Conditions(latency_s=0.05, jitter_s=0.1)),
        _store(CLEAR),
        10.0,
        holds_s=6.0,
        needs=Needs.POSTGRES,
    ),
    Kind(
        "store-restart",
        "PostgreSQL is restarted",
        Struck.ALL,
        _end_store(signal.SIGINT),
        _start_store,
        15.0,
        needs=Needs.OWN_POSTGRES,
        from_healing=True,
    ),
    Kind(
        "store-crash",
        "PostgreSQL crashes, and recovers",
        Struck.ALL,
        _end_store(signal.SIGQUIT),
        _start_store,
        15.0,
        needs=Needs.OWN_POSTGRES,
        from_healing=True,
    ),
    Kind(
        "store-away",
        "PostgreSQL is stopped for a while",
        Struck.ALL,
        _end_store(signal.SIGINT),
        _start_store,
        15.0,
        holds_s=10.0,
        needs=Needs.OWN_POSTGRES,
        from_healing=True,
    ),
    Kind(
        "store-locked",
        "somebody holds the write lock of the database file",
        Struck.ALL,
        _lock_store,
        _unlock_store,
        15.0,
        holds_s=10.0,
        needs=Needs.SQLITE,
        from_healing=True,
    ),
    Kind("redis-flush", "Redis is emptied", Struck.ALL, _flush_redis, _nothing, 5.0, needs=Needs.REDIS),
    Kind(
        "redis-restart",
        "Redis is killed, and started again",
        Struck.ALL,
        _end_redis,
        _start_redis,
        5.0,
        holds_s=1.0,
        needs=Needs.REDIS,
    ),
)

KINDS = {kind.name: kind for kind in (*INSTANCES, *GATEWAYS, *STORES)}
