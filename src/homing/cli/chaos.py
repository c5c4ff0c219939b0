"""`homing chaos`: real faults on a fleet of this machine, under load, judged by what recipients got."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from homing.cli.options import AsJson
from homing.cli.output import print_json
from homing.cli.stops import ATTENTION, DONE, CannotStart

Count = Annotated[int, Parameter(validator=Number(gte=1))]
Rate = Annotated[float, Parameter(validator=Number(gte=0))]


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
    seed: Annotated[int, Parameter(help="Which order of faults, and which victims.")] = 1,
    data: Annotated[
        Path | None, Parameter(help="Where to keep everything. [default: a temporary folder, removed at the end]")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Kill, freeze, cut off and slow down the parts of a fleet on this machine while messages flow, and count.

    Everything is real but WhatsApp: processes, signals, sockets, databases. Your own HOMING_* settings are passed on to
    gateways and instances, so that you see what they do before a bad day does.

    Example: `homing chaos --faults kill,freeze --repeats 10`

    Example: `HOMING_LEASE_EXPIRY=4 HOMING_LEASE_SELF_FENCE=2.5 homing chaos --database postgres --for 600`

    Exit codes: 0 every promise was kept; 1 one was not, or it was interrupted; 2 it cannot start.
    """
    from homing.demo.plan import Unworkable
    from homing.lab.chaos import command
    from homing.lab.chaos.kinds import KINDS
    from homing.lab.chaos.run import Orders
    from homing.lab.chaos.stage import SQLITE, Wanted

    if faults == "list":
        print_json([{"fault": kind.name, "does": kind.does, "needs": kind.needs.value} for kind in KINDS.values()])
        return DONE
    names = list(KINDS) if faults == "all" else [name.strip() for name in faults.split(",") if name.strip()]
    unknown = sorted(set(names) - set(KINDS))
    if unknown:
        raise CannotStart(f"There is no fault called {', '.join(unknown)}; `homing chaos --faults list` names them all")
    wanted = Wanted(
        database=database,
        gateways=gateways or (1 if database == SQLITE else 2),
        instances=instances,
        accounts=accounts,
        folder=data,
        redis=redis,
        settings=command.environment(),
    )
    orders = Orders([KINDS[name] for name in names], repeats, for_s, rate, seed)
    try:
        results = command.play(wanted, orders, as_json=as_json)
    except Unworkable as error:
        raise CannotStart(str(error)) from error
    if as_json:
        print_json(results.document())
    else:
        command.show(results)
    return DONE if results.kept and not results.interrupted else ATTENTION
