"""`python -m tests.mutations [NAME …]`: put defects in, one at a time, and tell how many are noticed and how soon."""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.mutations.catalogue import DEFECTS
from tests.mutations.copies import Copy
from tests.mutations.defect import Defect, Outdated, Suite
from tests.mutations.report import Score, line, summary
from tests.mutations.trying import CannotTry, complaint_of, tried

GOAL = 0.95


def main() -> int:
    """Exit code 1 if fewer are noticed than should be, or if the suite complains without any of them."""
    given = _parsed()
    chosen = [defect for defect in DEFECTS if not given.name or defect.name in given.name]
    score = Score(len(chosen))
    began_s = time.monotonic()
    with suppress(KeyboardInterrupt):
        asyncio.run(_bitten(chosen, score, processes=given.processes, sound=given.sound))
    score.took_s = time.monotonic() - began_s
    print(summary(score))
    if given.json:
        given.json.write_text(json.dumps(score.document(), indent=2) + "\n")
    return 0 if score.complete and not score.unsound and score.share >= GOAL else 1


def _parsed() -> argparse.Namespace:
    names = [defect.name for defect in DEFECTS]
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("name", nargs="*", help="which defects; all by default")
    parser.add_argument("--list", action="store_true", help="say what they are, and try none")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="how many at once")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what came of them to this file")
    parser.add_argument(
        "--no-sound",
        dest="sound",
        action="store_false",
        help="do not see at the end that nobody complains without them",
    )
    given = parser.parse_args()
    unknown = sorted(set(given.name) - set(names))
    if unknown:
        parser.error(f"there is no defect {', '.join(unknown)}; `--list` says what there are")
    if given.list:
        for defect in DEFECTS:
            print(f"{defect.name:30} {defect.says}")
        sys.exit(0)
    return given


async def _bitten(chosen: Sequence[Defect], score: Score, *, processes: int, sound: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="bite-") as place:
        copies = [Copy(Path(place) / str(number)) for number in range(processes)]
        waiting = list(reversed(chosen))
        await asyncio.gather(*(_work_off(copy, waiting, score) for copy in copies))
        if sound:
            await _see_that_it_is_sound(copies, score)


async def _see_that_it_is_sound(copies: Sequence[Copy], score: Score) -> None:
    """A complaint says nothing of a defect if it comes without one as well."""
    complained = sorted({caught.what for caught in score.caught if caught.is_a_test})
    parts = [Suite(tuple(part)) for number in range(len(copies)) if (part := complained[number :: len(copies)])]
    answers = await asyncio.gather(*(_complaint(copy, part) for copy, part in zip(copies, parts, strict=False)))
    score.unsound = [answer for answer in answers if answer is not None]


async def _complaint(copy: Copy, part: Suite) -> str | None:
    try:
        return await complaint_of(copy, part)
    except CannotTry as error:
        return str(error)


async def _work_off(copy: Copy, waiting: list[Defect], score: Score) -> None:
    while waiting:
        defect = waiting.pop()
        try:
            score.add(defect, await tried(copy, defect))
        except (CannotTry, Outdated) as error:
            score.fail(defect, str(error))
        print(line(score, defect), flush=True)


if __name__ == "__main__":
    sys.exit(main())
