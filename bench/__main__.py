"""`python -m bench [NAME …]`: measure, and hold what was measured against what is claimed."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from bench.catalogue import Measurement, NotHere, measurements
from bench.report import Report, table

RESULTS = Path(__file__).parent / "results.md"


def main() -> int:
    """Exit code 1 if a claim was not kept, or if nothing could be measured."""
    given = _parsed()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    wanted = measurements(quick=given.quick, large=given.large)
    chosen = [each for each in wanted if not given.name or each.name in given.name]
    made = asyncio.run(_made(chosen))
    if given.json:
        given.json.write_text(json.dumps([report.document() for each in made for report in each], indent=2) + "\n")
    if given.write:
        RESULTS.write_text("\n".join(map(table, made)))
    return 0 if made and all(report.kept for each in made for report in each) else 1


def _parsed() -> argparse.Namespace:
    names = [each.name for each in measurements(quick=True, large=True)]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"which: {', '.join(names)}; all by default, but for sync-large")
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--large", action="store_true", help="also check a million sessions, which takes minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file too")
    parser.add_argument("--write", action="store_true", help=f"write the tables to {RESULTS.name} beside this program")
    given = parser.parse_args()
    given.large = given.large or "sync-large" in given.name
    unknown = sorted(set(given.name) - set(names))
    if unknown:
        parser.error(f"there is no measurement {', '.join(unknown)}; there are {', '.join(names)}")
    return given


async def _made(chosen: Sequence[Measurement]) -> list[list[Report]]:
    """The reports of each measurement, printed as soon as it was made in all its settings."""
    made = []
    for measurement in chosen:
        reports = [report for setting in measurement.settings if (report := await _one(measurement, setting))]
        if reports:
            print(table(reports), flush=True)
            made.append(reports)
    return made


async def _one(measurement: Measurement, setting: str) -> Report | None:
    began_s = time.monotonic()
    try:
        report = await measurement.measure(setting)
    except NotHere as missing:
        print(f"NOT RUN: {measurement.name} on {setting}: {missing}", file=sys.stderr)
        return None
    report.setting = setting
    print(f"{measurement.name} on {setting}: {time.monotonic() - began_s:.0f} s", file=sys.stderr)
    return report


if __name__ == "__main__":
    sys.exit(main())
