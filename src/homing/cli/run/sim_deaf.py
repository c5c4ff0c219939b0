"""`homing sim deaf`: weeks of accounts, some of which go deaf, through the judgment and the ladder of the product."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from homing.cli.terminal.options import AsJson
from homing.cli.terminal.output import print_json
from homing.cli.terminal.stops import ATTENTION, DONE

if TYPE_CHECKING:
    from homing.lab.deaf.run import DeafReport

_SHOWN = 10


def deaf(
    *,
    weeks: Annotated[int, Parameter(validator=Number(gte=1), help="Account-weeks, five of each account.")] = 200,
    seed: Annotated[int, Parameter(validator=Number(gte=0), help="What chance is made of.")] = 0,
    processes: Annotated[int | None, Parameter(validator=Number(gte=1), help="By default, one for each core.")] = None,
    as_json: AsJson = False,
) -> int:
    """Let accounts live for weeks in virtual time, some of which go deaf: are those noticed, and no others treated?

    Exit code 1 if a ladder was begun with a session that hears, or more than one in a hundred deaf ones was noticed
    later than after an hour of its usual traffic; or if many that went deaf together were interrupted.

    Example: `homing sim deaf --weeks 2000 --seed 7`
    """
    from homing.lab.deaf.run import run

    told = None if as_json or not sys.stderr.isatty() else _progress
    report = run(weeks, seed, processes=processes or os.cpu_count() or 1, told=told)
    if as_json:
        print_json(report.document())
    else:
        _print(report)
    return DONE if report.is_well else ATTENTION


def _progress(done: int, accounts: int) -> None:
    print(f"\r{done} of {accounts} accounts ", end="\n" if done == accounts else "", file=sys.stderr, flush=True)


def _print(report: "DeafReport") -> None:
    for line in report.false_ladders[:_SHOWN]:
        print(f"FALSE LADDER {line}")
    late = [each for each in report.counted if not each.in_time]
    for each in late[:_SHOWN]:
        print(f"NOT NOTICED IN TIME account {each.account}: {each.breakage}, {each.usual_min:.0f} min of usual traffic")
    unshown = len(report.stories) - len(report.counted)
    print(
        f"{report.weeks} weeks of {report.accounts} accounts in {report.wall_s:.0f} s:"
        f" {len(report.counted)} went deaf, {report.noticed} of them were noticed within an hour of their usual traffic"
        f" (busy ones after {report.median_minutes} min in the middle); {unshown} more had no such hour"
    )
    print(
        f"{len(report.false_ladders)} ladders were begun with sessions that hear;"
        f" {len(report.false_doubts)} of those were called doubtful for a while"
    )
    for name, many in report.together.items():
        print(
            f"{name.replace('_', ' ')}: {many.deaf} deaf, {many.held} held, {len(many.touched)} interrupted,"
            f" {many.touches_an_hour} within an hour at the most"
        )
    print("rungs: " + (", ".join(f"{count} {rung}" for rung, count in sorted(report.rungs.items())) or "none"))
