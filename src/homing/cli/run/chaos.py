"""`homing chaos`: real faults on a fleet of this machine, under load, judged by what recipients got."""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from homing.cli.sources.source import settings
from homing.cli.terminal.options import AsJson
from homing.cli.terminal.output import print_json
from homing.cli.terminal.stops import ATTENTION, DONE, INTERRUPTED, CannotStart

if TYPE_CHECKING:
    from homing.demo.plan import RealEngine
    from homing.lab.chaos.faults.kind import FaultKind
    from homing.lab.chaos.run import Orders
    from homing.lab.chaos.stage import StageOrder

_UNITS_S = {"s": 1, "m": 60, "h": 3600}
Count = Annotated[int, Parameter(validator=Number(gte=1))]
Rate = Annotated[float, Parameter(validator=Number(gte=0))]
Load = Annotated[
    Literal["sends", "batches"],
    Parameter(help="What flows: sends at a steady rate, or batches, until all of their messages have ended."),
]
Engine = Annotated[
    Literal["simulated", "baileys"],
    Parameter(help="What instances speak WhatsApp with. baileys needs what `homing engine install` fetches."),
]
Soak = Annotated[
    str | None,
    Parameter(help="So long (30m, 90s, 1h), faults that no process ends of: do memory and descriptors stay flat?"),
]
Data = Annotated[
    Path | None, Parameter(help="Where to keep everything. [default: a temporary folder, removed at the end]")
]


def chaos(
    *,
    faults: Annotated[
        str, Parameter(help="Which kinds, by name, with commas between; `all`, or `list` to be told of them.")
    ] = "all",
    repeats: Annotated[Count, Parameter(help="How often each kind.")] = 3,
    for_s: Annotated[
        float | None, Parameter(name="--for", validator=Number(gt=0), help="Begin no fault after so many seconds.")
    ] = None,
    database: Annotated[
        str,
        Parameter(help="`sqlite`; `postgres`: a server of this run's own; or the URL of an empty PostgreSQL database."),
    ] = "sqlite",
    redis: Annotated[bool, Parameter(negative="", help="Let a Redis of this run's own carry invalidations.")] = False,
    gateways: Annotated[Count | None, Parameter(help="[default: 1 on SQLite, 2 on PostgreSQL]")] = None,
    instances: Annotated[Count, Parameter(help="Instances.")] = 4,
    accounts: Annotated[Count, Parameter(help="Accounts, spread over the instances.")] = 100,
    rate: Annotated[Rate, Parameter(help="Messages a second, from all accounts together.")] = 50.0,
    load: Load = "sends",
    messages: Annotated[Count, Parameter(help="With --load batches: how many.")] = 5_000,
    soak: Soak = None,
    seed: Annotated[int, Parameter(help="Which order of faults, and which victims.")] = 1,
    engine: Engine = "simulated",
    data: Data = None,
    as_json: AsJson = False,
) -> int:
    """Kill, freeze, cut off and slow down the parts of a fleet on this machine while messages flow, and count.

    Everything is real but WhatsApp: processes, signals, sockets, databases, disks, clocks, names. Your own HOMING_*
    settings are passed on to gateways and instances, so that you see what they do before a bad day does.

    Each kind says how soon all has to be well again, and none may lose or double a message; `--faults list` shows them.
    Some need what not every machine has: root or user namespaces (disks, names), PgBouncer. What cannot be run here is
    named at the end as NOT RUN, with what it needs. Faults of disks, logs, clocks, names, standbys and poolers are
    played on fleets of their own, one after the other; the disks of the first are in memory.

    Example: `homing chaos --faults kill,freeze --repeats 10`

    Example: `homing chaos --faults disk-full,store-demoted,pooler-restart --database postgres`

    Example: `HOMING_LEASE_EXPIRY=4 HOMING_LEASE_SELF_FENCE=2.5 homing chaos --database postgres --for 600`

    Example: `homing chaos --load batches --messages 200000 --database postgres`

    Example: `homing chaos --engine baileys --instances 2 --accounts 20 --rate 10 --repeats 30`

    Exit codes: 0 every promise was kept; 1 one was not; 2 it cannot start; 130 Ctrl-C ended it.
    """
    from homing.lab.chaos import command
    from homing.lab.chaos.run import SOAK_PAUSE_S, Orders
    from homing.lab.chaos.stage import SQLITE, StageOrder

    if faults == "list":
        _list(_named("all"), as_json=as_json)
        return DONE
    real = _real_engine(load) if engine != "simulated" else None
    said = messages if load == "batches" else None
    orders = Orders(_chosen(faults, load, real=real is not None), repeats, for_s, rate, seed, messages=said)
    if soak is not None:
        orders = replace(orders, repeats=None, for_s=_seconds(soak), pause_s=SOAK_PAUSE_S, soak=True)
    wanted = StageOrder(
        database=database,
        gateways=gateways or (1 if database == SQLITE else 2),
        instances=instances,
        accounts=accounts,
        folder=data,
        redis=redis,
        settings=command.environment(),
        engine=real,
    )
    return _played(wanted, orders, as_json=as_json)


def _chosen(faults: str, load: str, *, real: bool) -> "list[FaultKind]":
    """Those that are named; all: what the load, or a real engine, is tried with. Raises CannotStart."""
    from homing.lab.chaos.batches import STRIKES
    from homing.lab.chaos.faults.kinds import OF_A_REAL_ENGINE

    if faults == "all" and load == "batches":
        return _named(",".join(STRIKES))
    return _named(",".join(OF_A_REAL_ENGINE) if faults == "all" and real else faults)


def _real_engine(load: str) -> "RealEngine":
    """As it is installed. Raises CannotStart."""
    if load == "batches":
        raise CannotStart("Batches are judged with the simulated engine alone: leave --engine or --load away")
    from homing.demo.plan import RealEngine
    from homing.instance.engines.baileys import installing
    from homing.instance.engines.registry import EngineUnusable

    known = settings()
    try:
        there = installing.found(known.homing_node, known.homing_engines.absolute())
    except EngineUnusable as error:
        raise CannotStart(str(error)) from error
    return RealEngine(there.node, known.homing_engines.absolute(), there.package)


def _played(wanted: "StageOrder", orders: "Orders", *, as_json: bool) -> int:
    """The exit code. Raises CannotStart."""
    from homing.demo.plan import Unworkable
    from homing.lab.chaos import command

    try:
        results = command.play(wanted, orders, as_json=as_json)
    except Unworkable as error:
        raise CannotStart(str(error)) from error
    if as_json:
        print_json(results.document())
    else:
        command.show(results)
    if results.interrupted:
        return INTERRUPTED
    return DONE if results.kept else ATTENTION


def _named(faults: str) -> "list[FaultKind]":
    """Raises CannotStart."""
    from homing.lab.chaos.faults.kinds import KINDS

    names = list(KINDS) if faults == "all" else [name.strip() for name in faults.split(",") if name.strip()]
    unknown = sorted(set(names) - set(KINDS))
    if unknown:
        raise CannotStart(f"There is no fault called {', '.join(unknown)}; `homing chaos --faults list` names them all")
    return [KINDS[name] for name in names]


def _list(kinds: "list[FaultKind]", *, as_json: bool) -> None:
    if as_json:
        print_json(
            [{"fault": kind.name, "does": kind.does, "within_s": kind.within_s, "needs": kind.takes} for kind in kinds]
        )
        return
    from homing.lab.chaos import command

    command.show_kinds(kinds)


def _seconds(duration: str) -> float:
    """Raises CannotStart."""
    written = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", duration.strip())
    if written is None or float(written[1]) == 0:
        raise CannotStart(f"--soak takes a time such as 30m, 90s or 1h, and not {duration!r}")
    return float(written[1]) * _UNITS_S[written[2]]
