"""Faults of what a fleet stands on. Each is over 5 s after its end: every session sends, and the fleet is whole."""

from typing import Any

from homing.lab.chaos.faults import ground_actions as actions
from homing.lab.chaos.faults.actions import Action, kill_instance, nothing, start_instance
from homing.lab.chaos.faults.kind import FaultKind, Needs, Struck
from homing.lab.chaos.ground.conditions import Passing
from homing.lab.chaos.ground.equipment import Equipment
from homing.lab.chaos.stage import Stage

WELL_WITHIN_S = 5.0


def both(first: Action, second: Action) -> Action:
    async def act(stage: Stage, url: str) -> None:
        await first(stage, url)
        await second(stage, url)

    return act


def _ground(
    name: str, does: str, inflict: Action, heal: Action, *, struck: Struck = Struck.ALL, **more: Any
) -> FaultKind:
    """Sessions stay connected, and nothing moves; measured with fresh messages from the fault's end on."""
    usual = {"holds_s": 8.0, "keeps": True, "doubts": True, "from_healing": True, "anew": True}
    promised: dict[str, Any] = {**usual, "whole_within_s": WELL_WITHIN_S, **more}
    return FaultKind(name, does, struck, inflict, heal, WELL_WITHIN_S, **promised)


DISKS = tuple(
    _ground(name, does, inflict, heal, equipment=Equipment.DISKS, **more)
    for name, does, inflict, heal, more in (
        (
            "disk-full",
            "the database's disk is full for 8 s",
            actions.fill("database"),
            actions.free("database"),
            {"needs": Needs.OWN_DATABASE},
        ),
        (
            "journal-full",
            "the disk of the instances' journals is full for 8 s",
            actions.fill("journals"),
            actions.free("journals"),
            {},
        ),
        (
            "disk-read-only",
            "a gateway comes up while the database's disk is read-only, which it is for 8 s",
            actions.gateway_comes_up_read_only,
            actions.gateway_becomes_writable,
            {"needs": Needs.SQLITE, "struck": Struck.GATEWAY, "ends": True},
        ),
        (
            "journal-read-only",
            "an instance comes up while its journal's disk is read-only, which it is for 8 s",
            actions.instance_comes_up_read_only,
            actions.instance_becomes_writable,
            {"struck": Struck.INSTANCE, "keeps": False, "may_move": True, "ends": True},
        ),
    )
)

LOGS = tuple(
    _ground(
        name,
        f"an instance is killed while {meanwhile}",
        both(inflict, kill_instance),
        both(heal, start_instance),
        struck=Struck.INSTANCE,
        equipment=equipment,
        loses=True,
        from_healing=False,
        anew=False,
        keeps=False,
        ends=True,
    )
    for name, meanwhile, inflict, heal, equipment in (
        (
            "log-full",
            "the disk of all logs is full",
            actions.fill("logs"),
            actions.free("logs"),
            Equipment.DISKS,
        ),
        (
            "log-closed",
            "whoever reads the logs went away",
            actions.close_logs,
            actions.read_logs,
            Equipment.LOG_PIPES,
        ),
        (
            "log-stuck",
            "whoever reads the logs reads no more, and their pipes are full",
            actions.stick_logs,
            actions.read_logs,
            Equipment.LOG_PIPES,
        ),
    )
)

CLOCKS = tuple(
    _ground(
        f"{whose}-clock-{way}",
        f"the wall clock of {who} is set {way} by seconds, minutes or hours, and right again after 8 s",
        actions.set_clock(direction),
        actions.set_clock_right,
        struck=struck,
        equipment=Equipment.CLOCKS,
        fails=False,
    )
    for whose, who, struck in (
        ("gateway", "a gateway", Struck.GATEWAY),
        ("instance", "an instance", Struck.INSTANCE),
    )
    for way, direction in (("forward", actions.FORWARD), ("back", actions.BACK))
)

DESCRIPTORS = (
    _ground(
        "gateway-descriptors",
        "a gateway gets no further file descriptor for 8 s",
        actions.exhaust_descriptors,
        actions.allow_descriptors,
        struck=Struck.GATEWAY,
        needs=Needs.LINUX,
    ),
    _ground(
        "instance-descriptors",
        "an instance gets no further file descriptor for 8 s",
        actions.exhaust_descriptors,
        actions.allow_descriptors,
        struck=Struck.INSTANCE,
        needs=Needs.LINUX,
        keeps=False,  # nobody can look meanwhile: it takes no connection
    ),
)

NAMES = (
    _ground(
        "moved",
        "an instance's name leads to another address, and the one before is silent",
        actions.move_instance(Passing.UNREACHABLE),
        nothing,
        struck=Struck.INSTANCE,
        equipment=Equipment.NAMES,
        holds_s=0.0,
    ),
    _ground(
        "moved-refused",
        "an instance's name leads to another address, and the one before refuses",
        actions.move_instance(Passing.REFUSED),
        nothing,
        struck=Struck.INSTANCE,
        equipment=Equipment.NAMES,
        holds_s=0.0,
    ),
    _ground(
        "store-moved",
        "PostgreSQL is silent at its address, and after 8 s its name leads to another",
        actions.silence_database,
        actions.move_database,
        equipment=Equipment.NAMES,
        needs=Needs.POSTGRES,
    ),
)

POSTGRES = (
    _ground(
        "store-demoted",
        "PostgreSQL becomes read-only and keeps its connections; 3 s later its standby is promoted",
        actions.demote,
        actions.promote,
        equipment=Equipment.STANDBY,
        needs=Needs.OWN_POSTGRES,
        holds_s=3.0,
        afterwards=actions.rejoin,
    ),
    _ground(
        "pooler-restart",
        "the PgBouncer before PostgreSQL is killed, and started again after 3 s",
        actions.kill_pooler,
        actions.start_pooler,
        equipment=Equipment.POOLER,
        needs=Needs.OWN_POSTGRES,
        holds_s=3.0,
    ),
    _ground(
        "pooler-kicked",
        "all connections of the PgBouncer to PostgreSQL are ended there",
        actions.kill_backends,
        nothing,
        equipment=Equipment.POOLER,
        needs=Needs.OWN_POSTGRES,
        holds_s=0.0,
    ),
)

GROUND = (*DISKS, *LOGS, *CLOCKS, *DESCRIPTORS, *NAMES, *POSTGRES)
