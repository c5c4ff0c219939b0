"""What can be done to a fleet, and what is promised of each: how soon all is well again, and whether anything moves."""

import signal

from homing.flows.moves.milestones import Milestone
from homing.lab.chaos.faults import actions
from homing.lab.chaos.faults.ground_kinds import GROUND
from homing.lab.chaos.faults.kind import Needs, borne, gateway, lost, under
from homing.lab.chaos.faults.stale_login import stale_login
from homing.lab.chaos.ground.conditions import CLEAR, Passing, WayConditions

CUT = WayConditions(Passing.SWALLOWED)
UNREACHABLE = WayConditions(Passing.UNREACHABLE)
MUTE = WayConditions(Passing.MUTE)
SLOW = WayConditions(latency_s=0.15, jitter_s=0.1, bytes_per_s=20_000)
BREAKING = WayConditions(reset_after=60)
SLOW_STORE = WayConditions(latency_s=0.02, jitter_s=0.03)


INSTANCES = (
    lost("kill", "an instance is killed", actions.kill_instance, actions.start_instance, 6.0, ends=True),
    lost(
        "freeze",
        "an instance is stopped, and woken when its sessions are elsewhere",
        actions.freeze_instance,
        actions.wake_instance,
        12.0,
        knocks=True,
    ),
    lost("blackhole", "nothing reaches an instance", actions.way(UNREACHABLE), actions.way(CLEAR), 12.0),
    lost("swallow", "an instance is connected to, and nothing passes", actions.way(CUT), actions.way(CLEAR), 12.0),
    borne(
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
    lost(
        "hang",
        "an instance takes every request, and answers none",
        actions.hang_instance,
        actions.unhang_instance,
        12.0,
    ),
    lost("terminate", "an instance is told to end", actions.end_instance, actions.start_instance, 6.0, ends=True),
    lost(
        "kill-both",
        "an instance is killed, and a gateway in the midst of its rescue",
        actions.kill_instance_and_gateway,
        actions.start_instance,
        12.0,
        ends=True,
    ),
    lost(
        "cut-off",
        "an instance cannot reach the database",
        actions.instance_store(CUT),
        actions.instance_store(CLEAR),
        12.0,
        needs=Needs.POSTGRES,
    ),
    borne(
        "upgrade",
        "an instance is drained, ended, and started again",
        actions.drain_and_end,
        actions.start_and_undrain,
        2.0,
        0.0,
        may_move=True,
        talks=True,
        fails=False,
        ends=True,
    ),
    borne("stall", "an instance stands still for 2 s", actions.freeze_instance, actions.wake_instance, 6.0, 2.0),
    borne(
        "blip",
        "an instance cannot reach the database for 2 s",
        actions.instance_store(CUT),
        actions.instance_store(CLEAR),
        8.0,
        2.0,
        needs=Needs.POSTGRES,
    ),
    borne("slow", "the way to an instance is slow for 6 s", actions.way(SLOW), actions.way(CLEAR), 8.0, 6.0),
    borne(
        "resets",
        "for 2 s, connections to an instance break in the midst of its answers",
        actions.way(BREAKING),
        actions.way(CLEAR),
        10.0,
        2.0,
    ),
)

ENGINES = (
    borne(
        "engine-kill",
        "the engine's own process is killed, and started again under the same grants",
        actions.kill_engine,
        actions.nothing,
        10.0,
        0.0,
        needs=Needs.REAL_ENGINE,
    ),
    lost(
        "stale-login",
        "an instance is stopped, and the login of one of its sessions used on when that is elsewhere; then it is woken",
        *stale_login(),
        12.0,
        may_move=True,
        needs=Needs.REAL_ENGINE,
    ),
)
OF_A_REAL_ENGINE = (
    *("kill", "freeze", "terminate", "stall", "engine-kill", "stale-login"),
    *("cut-off", "store-cut", "store-locked"),
)
"""What a real engine is tried with, unless others are named."""

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
        lost(
            f"dies-{at.value}",
            f"an instance is killed, and a gateway that brought its sessions as far as {at.value!r}",
            actions.dies_at(at, actions.kill_instance),
            actions.start_instance,
            15.0,
            once=True,
            ends=True,
        )
        for at in _ON_THE_WAY_BACK
    ),
    *(
        borne(
            f"dies-{at.value}",
            f"an instance is drained, and a gateway killed that brought its sessions as far as {at.value!r}",
            actions.dies_at(at, actions.drain),
            actions.undrain,
            12.0,
            5.0,
            may_move=True,
            once=True,
            ends=True,
        )
        for at in _ON_THE_WAY_OUT
    ),
)

GATEWAYS = (
    gateway(
        "gateway-kill",
        "a gateway is killed, and started again",
        actions.kill_gateway,
        actions.start_gateway,
        12.0,
        ends=True,
    ),
    gateway(
        "gateway-freeze",
        "a gateway stands still for 8 s",
        actions.freeze_gateway,
        actions.wake_gateway,
        10.0,
        holds_s=8.0,
        from_healing=True,
        doubts=True,
    ),
    gateway(
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
    under(
        "gateways-away",
        "all gateways are down for 10 s",
        actions.kill_gateways,
        actions.start_gateways,
        10.0,
        holds_s=10.0,
        from_healing=True,
        ends=True,
    ),
)

STORES = (
    under(
        "store-cut",
        "nobody can reach the database for 10 s",
        actions.stores(CUT),
        actions.stores(CLEAR),
        15.0,
        holds_s=10.0,
        from_healing=True,
        needs=Needs.POSTGRES,
    ),
    under(
        "store-slow",
        "the database is slow for 6 s",
        actions.stores(SLOW_STORE),
        actions.stores(CLEAR),
        10.0,
        holds_s=6.0,
        needs=Needs.POSTGRES,
    ),
    under(
        "store-restart",
        "PostgreSQL is restarted",
        actions.end_postgres(signal.SIGINT),
        actions.start_postgres,
        15.0,
        from_healing=True,
        needs=Needs.OWN_POSTGRES,
    ),
    under(
        "store-crash",
        "PostgreSQL crashes, and recovers",
        actions.end_postgres(signal.SIGQUIT),
        actions.start_postgres,
        15.0,
        from_healing=True,
        needs=Needs.OWN_POSTGRES,
    ),
    under(
        "store-away",
        "PostgreSQL is stopped for 10 s",
        actions.end_postgres(signal.SIGINT),
        actions.start_postgres,
        15.0,
        holds_s=10.0,
        from_healing=True,
        needs=Needs.OWN_POSTGRES,
    ),
    under(
        "store-locked",
        "somebody holds the write lock of the database file for 10 s",
        actions.lock_file,
        actions.unlock_file,
        15.0,
        holds_s=10.0,
        from_healing=True,
        needs=Needs.SQLITE,
    ),
    under("redis-flush", "Redis is emptied", actions.flush_redis, actions.nothing, 5.0, needs=Needs.REDIS),
    under(
        "redis-restart",
        "Redis is killed, and started again",
        actions.kill_redis,
        actions.start_redis,
        5.0,
        holds_s=1.0,
        needs=Needs.REDIS,
    ),
)

KINDS = {kind.name: kind for kind in (*INSTANCES, *ENGINES, *GATEWAYS, *MILESTONES, *STORES, *GROUND)}
