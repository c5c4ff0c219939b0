"""`homing sim`: disasters replayed from a seed, and every order of events in a small world."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from homing.cli.run import sim_deaf
from homing.cli.terminal.options import AsJson
from homing.cli.terminal.output import note, print_json, print_rows
from homing.cli.terminal.stops import ATTENTION, DONE, CannotStart, NeedsAttention

if TYPE_CHECKING:
    from homing.lab.sim.exhaustive.rules import Setting
    from homing.lab.sim.exhaustive.search import Searched
    from homing.lab.sim.trial.judging.report import RunsReport
    from homing.lab.sim.trial.trial import Run

app = App(name="sim", help="Prove the promises: disasters from a seed, and every order of events in a small world.")
app.command(sim_deaf.deaf)

_FAILING = Path("failing-runs")
Seeds = Annotated[int, Parameter(validator=Number(gte=1), help="How many runs, each of a seed of its own.")]
Seed = Annotated[int, Parameter(validator=Number(gte=0), help="The first seed.")]


@app.command
def run(
    *,
    seeds: Seeds = 20,
    seed: Seed = 0,
    scenario: Annotated[str, Parameter(help="Which kind of run; `homing sim scenarios` lists them.")] = "standard",
    processes: Annotated[int | None, Parameter(validator=Number(gte=1), help="By default, one for each core.")] = None,
    as_json: AsJson = False,
) -> int:
    """Play seeds in virtual time, with faults that each seed chooses, and judge what was seen from outside.

    Example: `homing sim run --seeds 100`
    """
    from homing.lab.sim.trial.runner import run_seeds

    report = run_seeds(
        _scenario(scenario), range(seed, seed + seeds), processes=processes, told=_progress(seeds, quiet=as_json)
    )
    if as_json:
        print_json(report.document())
    else:
        _print_report(report)
    return DONE if report.is_well else ATTENTION


@app.command
def replay(
    what: Annotated[str, Parameter(help="A seed, or the file of a run that was kept.")],
    *,
    scenario: Annotated[str, Parameter(help="The kind of run, for a seed.")] = "standard",
    about: Annotated[str, Parameter(help="Show only what names this, such as a session.")] = "",
    shrink: Annotated[bool, Parameter(negative="", show_default=False, help="Look for fewer faults that do.")] = False,
    keep: Annotated[Path | None, Parameter(help="Write the run to this file.")] = None,
) -> int:
    """Play one run again and show it as a timeline.

    Example: `homing sim replay 4711 --about webjs_1_007`
    """
    from homing.lab.sim.trial.judging.report import judged
    from homing.lab.sim.trial.judging.timeline import timeline
    from homing.lab.sim.trial.trial import run as play

    kept = _kept(what, scenario)
    first = play(kept.scenario, kept.seed, kept.faults)
    if shrink:
        kept = _shrunk(kept, first)
    shown = play(kept.scenario, kept.seed, kept.faults, keep_lines=True)
    verdict = judged(shown)
    for line in timeline(shown, about):
        print(line)
    print()
    for fault in kept.faults:
        print(f"{fault.at_s:9.3f}  {fault}")
    for violation in verdict.violations:
        print(f"{violation.at_s:9.3f}  VIOLATED {violation.checker}: {violation.what}")
    print(f"trace {verdict.trace}, {verdict.steps} steps, {verdict.virtual_s:.1f} virtual s in {verdict.wall_s:.1f} s")
    if keep is not None:
        kept.write(keep)
        note(f"The run was written to {keep}.")
    return ATTENTION if verdict.violations else DONE


@app.command
def scenarios() -> None:
    """List the kinds of runs.

    Example: `homing sim scenarios`
    """
    from homing.lab.sim.trial.scenario import SCENARIOS

    rows = [
        {"name": each.name, "instances": each.instances, "sessions": each.sessions, "gateways": each.gateways,
         "virtual s": each.ends_s, "faults": f"{each.faults_min} to {each.faults_max}"}
        for each in SCENARIOS.values()
    ]  # fmt: skip
    print_rows({name: name for name in rows[0]}, rows, none="")


@app.command
def explore(
    *,
    setting: Annotated[str | None, Parameter(help="Which small world; all, or that of the rule.")] = None,
    without: Annotated[
        str | None, Parameter(name="--without", help="Take this rule out, and show what it keeps from happening.")
    ] = None,
    every_rule: Annotated[
        bool, Parameter(name="--every-rule", negative="", show_default=False, help="Take out each rule in turn.")
    ] = False,
    depth: Annotated[int | None, Parameter(validator=Number(gte=1), help="Go no deeper than so many steps.")] = None,
    as_json: AsJson = False,
) -> int:
    """Search every order of events of a small world: one session, two instances, two gateways, two messages.

    Example: `homing sim explore --without reserve-first`
    """
    as_expected, whole, told = True, False, []
    with suppress(KeyboardInterrupt):  # what was searched until then is told
        for name, rule, result in _explored(setting, without, every_rule=every_rule, depth=depth, quiet=as_json):
            as_expected &= (result.found is not None) == (rule is not None)
            told.append(_told(name, rule, result))
            if not as_json:
                _show(name, rule, result)
        whole = True
    if as_json:
        print_json({"searches": told})
    return DONE if as_expected and whole else ATTENTION


# --- runs ---------------------------------------------------------------------------------------------------------


def _scenario(name: str) -> Any:
    from homing.lab.sim.trial.scenario import SCENARIOS

    if name not in SCENARIOS:
        raise CannotStart(f"There is no scenario {name!r}; there are: {', '.join(SCENARIOS)}.")
    return SCENARIOS[name]


def _kept(what: str, scenario: str) -> Any:
    from homing.lab.sim.trial.faults import plan
    from homing.lab.sim.trial.kept import KeptRun, NotARun

    if what.isdecimal():
        played = _scenario(scenario)
        return KeptRun(played, int(what), plan(played, int(what)))
    try:
        return KeptRun.read(Path(what))
    except NotARun as error:
        raise CannotStart(f"{error}.") from error


def _shrunk(kept: Any, first: "Run") -> Any:
    from dataclasses import replace

    from homing.lab.sim.trial.judging.report import judged
    from homing.lab.sim.trial.shrink import shrunk

    wrong = judged(first).violations
    if not wrong:
        raise NeedsAttention("Nothing is wrong with this run, so there is nothing to look for.")
    faults = shrunk(
        kept.scenario, kept.seed, kept.faults, wrong[0].checker,
        told=lambda tries, left: note(f"after {tries} tries: {left} faults"),
    )  # fmt: skip
    return replace(kept, faults=faults, was_wrong=f"{wrong[0].checker}: {wrong[0].what}")


def _progress(seeds: int, *, quiet: bool) -> Any:
    if quiet or not sys.stderr.isatty():
        return lambda _: None

    def told(report: "RunsReport") -> None:
        done = len(report.verdicts)
        bar = "█" * (30 * done // seeds)
        speed = done / report.wall_s if report.wall_s else 0.0
        wrong = len({seed for seed, _ in report.violations})
        print(f"\r{bar:30} {done}/{seeds}  {speed:.1f} a second  {wrong} failing ", end="", file=sys.stderr, flush=True)

    return told


def _print_report(report: "RunsReport") -> None:
    if sys.stderr.isatty():
        print(file=sys.stderr)
    for seed in sorted({seed for seed, _ in report.violations}):
        _print_failing(report, seed)
    print_rows(
        {"sometimes": "what", "in runs": "runs"},
        [{"what": what, "runs": runs} for what, runs in report.sometimes.items()],
        none="",
    )
    for what in report.never:
        print(f"NEVER: {what}")
    document = report.document()
    hours = document["virtual_s"] / 3600
    print(
        f"{document['seeds']} of {report.wanted} runs of {report.scenario}, {len(report.violations)} violations,"
        f" {hours:.2f} virtual h in {document['wall_s']:.1f} s, trace {document['trace_hash']}"
    )


def _print_failing(report: "RunsReport", seed: int) -> None:
    print(f"seed {seed} fails, at {_commit()}:")
    for violation in report.verdicts[seed].violations[:5]:
        print(f"  {violation.at_s:7.3f} {violation.checker}: {violation.what}")
    print(f"  replay: homing sim replay {seed} --scenario {report.scenario} --shrink --keep {_FAILING}/{seed}.json")


def _commit() -> str:
    """Which version of the code this is, if that is known here."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(  # noqa: S603 - our own words
            ["git", "-C", str(here), "describe", "--always", "--dirty"],  # noqa: S607
            capture_output=True, text=True, timeout=5, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "an unknown commit"
    return f"commit {found.stdout.strip()}" if found.returncode == 0 else "an unknown commit"


# --- the small world ----------------------------------------------------------------------------------------------


def _explored(
    setting: str | None, without: str | None, *, every_rule: bool, depth: int | None, quiet: bool
) -> Iterator[tuple[str, str | None, "Searched"]]:
    from homing.lab.sim.exhaustive.rules import RULES, SETTINGS
    from homing.lab.sim.exhaustive.search import Search
    from homing.lab.sim.exhaustive.vault import Rulebook

    if setting is not None and setting not in SETTINGS:
        raise CannotStart(f"There is no small world {setting!r}; there are: {', '.join(SETTINGS)}.")
    if without is not None and without not in RULES:
        raise CannotStart(f"There is no rule {without!r}; there are: {', '.join(RULES)}.")
    rules = [without] if without else list(RULES) if every_rule else []
    chosen = [SETTINGS[setting]] if setting else [each for each in SETTINGS.values() if each.usual]
    wanted: list[tuple[Setting, str | None]] = [(world, None) for world in chosen]
    if rules:
        wanted = [(SETTINGS[setting] if setting else RULES[name].setting, name) for name in rules]
    for world, rule in wanted:
        name = world.name
        told = None if quiet or not sys.stderr.isatty() else _deeper(name)
        book = Rulebook.of(world, rule)
        yield name, rule, Search(book, told=told).run(max_depth=depth)


def _deeper(name: str) -> Any:
    def told(depth: int, states: int) -> None:
        print(f"\r{name}: depth {depth}, {states} states ", end="", file=sys.stderr, flush=True)

    return told


def _told(name: str, rule: str | None, result: "Searched") -> dict[str, Any]:
    return {
        "setting": name,
        "without": rule,
        "states": result.states,
        "transitions": result.transitions,
        "depth": result.depth,
        "wall_s": round(result.wall_s, 3),
        "complete": result.complete,
        "found": None if result.found is None else {"what": result.found.what, "history": list(result.found.history)},
    }


def _show(name: str, rule: str | None, result: "Searched") -> None:
    from homing.lab.sim.exhaustive.rules import RULES, SETTINGS

    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(f"{name}: {SETTINGS[name].says}")
    if rule is not None:
        print(f"without: {RULES[rule].says}")
    how = "every state was seen" if result.complete else f"down to depth {result.depth}"
    print(f"{result.states} states, {result.transitions} transitions, depth {result.depth}, {result.wall_s:.1f} s")
    if result.found is None:
        print(f"no counterexample; {how}", flush=True)
        return
    print(f"counterexample in {len(result.found.history)} steps: {result.found.what}")
    for number, step in enumerate(result.found.history, start=1):
        print(f"  {number:2}  {step}", flush=True)
