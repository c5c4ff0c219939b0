"""`python -m fuzz [api | parsers [NAME …]]`: look for input that does harm; exit code 1 if there is any.

`api` asks a gateway on each database with every kind of key; what it finds, it finds again from the same seed.
`parsers` steers bytes by coverage through what reads them (needs atheris), and keeps what reached something new.
"""

import argparse
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import randrange
from tempfile import mkdtemp

import structlog

from fuzz import kept
from fuzz.parsers import NAMES, parser

_HOMING = "/src/homing/"


def main() -> int:
    given = _parsed()
    seed = given.seed if given.seed is not None else randrange(2**31)
    print(f"seed {seed}", flush=True)
    if given.what == "api":
        from fuzz import api

        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        return api.main(given.cases, seed)
    work = given.work or Path(mkdtemp(prefix="homing-fuzz-"))
    failed = [name for name in given.names or NAMES if not _steered(name, given.minutes, seed, work)]
    print(f"found something: {', '.join(failed)}; see {work}" if failed else "nothing was found")
    return 1 if failed else 0


def _parsed() -> argparse.Namespace:
    given = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    given.add_argument("what", nargs="?", choices=("api", "parsers"), default="api")
    given.add_argument("names", nargs="*", metavar="NAME", help=f"which parsers: {', '.join(NAMES)}; all by default")
    given.add_argument("--cases", type=int, default=30_000, help="how many requests there are at the least (api)")
    given.add_argument("--minutes", type=float, default=10.0, help="how long for each parser")
    given.add_argument("--seed", type=int, help="where to begin; by default somewhere, and it is said where")
    given.add_argument("--work", type=Path, metavar="FOLDER", help="where findings are left (parsers)")
    asked = given.parse_intermixed_args()  # names may follow the options, too
    unknown = sorted(set(asked.names) - set(NAMES))
    if unknown:
        given.error(f"there is no parser {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return asked


def _steered(name: str, minutes: float, seed: int, work: Path) -> bool:
    """Whether nothing was found. What reached something new is kept."""
    options = ["--seconds", str(int(minutes * 60)), "--seed", str(seed), "--work", str(work)]
    (work / name).mkdir(parents=True, exist_ok=True)
    with (work / name / "log").open("wb") as log:
        ended = subprocess.run(
            [sys.executable, "-m", "fuzz.guided", name, *options], stdout=log, stderr=subprocess.STDOUT, check=False
        )
    inputs = [*(work / name / "corpus").glob("*"), *kept.kept(name)]
    found = list((work / name / "found").glob("*"))
    files = kept.keep(name, _sound(inputs, parser(name).check))
    print(f"{name}: {len(files)} inputs kept, {len(found)} found, see {work / name / 'log'}", flush=True)
    return ended.returncode == 0 and not found


def _sound(inputs: list[Path], check: Callable[[bytes], None]) -> list[bytes]:
    return kept.fewest((each.read_bytes() for each in inputs), check, _HOMING)


if __name__ == "__main__":
    sys.exit(main())
