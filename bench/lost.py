"""What a fleet goes through and lives on: instances killed, frozen, cut off; upgrades; gateways and databases away."""

from dataclasses import dataclass
from random import Random

from bench.report import Report, Spread
from homing.lab.chaos.faults.kind import FaultKind
from homing.lab.chaos.faults.kinds import KINDS
from homing.lab.chaos.opening import open_stage
from homing.lab.chaos.results import Results, Tally
from homing.lab.chaos.run import Orders, play
from homing.lab.chaos.stage import StageOrder

RATE = 50.0
SEED = 7


@dataclass(frozen=True, slots=True)
class Claims:
    """What is claimed of the time until every session that was struck can send again, in seconds.

    `answers_s`: each request that came in between is answered 200, within that time.
    """

    p99_s: float
    max_s: float
    p50_s: float | None = None
    answers_s: float | None = None

    def __str__(self) -> str:
        p50 = "" if self.p50_s is None else f"p50 ≤ {self.p50_s:g} s, "
        return f"{p50}p99 ≤ {self.p99_s:g} s, max {self.max_s:g} s"

    def kept(self, spread: Spread) -> bool:
        p50_kept = self.p50_s is None or spread.at(0.5) <= self.p50_s
        return bool(spread.times) and p50_kept and spread.at(0.99) <= self.p99_s and spread.at(1.0) <= self.max_s


@dataclass(frozen=True, slots=True)
class Loss:
    """One kind of fault, and what is claimed of it. `lasts_s`: for that long, and not as `homing chaos` does it."""

    fault: str
    claims: Claims
    lasts_s: float | None = None

    @property
    def does(self) -> str:
        does = self.kind.does
        return does if self.lasts_s is None else f"{does.rpartition(' for ')[0]} for {self.lasts_s:g} s"

    @property
    def kind(self) -> FaultKind:
        kind = KINDS[self.fault]
        return kind if self.lasts_s is None else kind.lasting(self.lasts_s)


KILLED = Loss("kill", Claims(p50_s=1.5, p99_s=3.0, max_s=6.0, answers_s=4.0))
SILENT = {fault: Loss(fault, Claims(p99_s=9.0, max_s=12.0)) for fault in ("freeze", "blackhole", "swallow", "hang")}
UPGRADED = Loss("upgrade", Claims(p99_s=1.0, max_s=2.0, answers_s=2.0))
GATEWAYS_AWAY = Loss("gateways-away", Claims(p99_s=10.0, max_s=12.0), lasts_s=60.0)
FILE_LOCKED = Loss("store-locked", Claims(p99_s=10.0, max_s=15.0), lasts_s=60.0)
DATABASE_AWAY = Loss("store-cut", Claims(p99_s=10.0, max_s=15.0), lasts_s=60.0)


async def run(wanted: StageOrder, loss: Loss, *, repeats: int) -> Report:
    """So many times on one fleet under load."""
    orders = Orders([loss.kind], repeats=repeats, rate=RATE, seed=SEED)
    results = Results("", SEED)
    async with open_stage(wanted, lambda _: None, Random(SEED)) as stage:
        await play(stage, orders, results, lambda _: None)
    return _report(loss, results, wanted)


def _report(loss: Loss, results: Results, wanted: StageOrder) -> Report:
    tally = results.tallies.get(loss.fault) or Tally(loss.kind)
    size = f"{wanted.accounts} accounts on {wanted.instances} instances"
    report = Report(f"Under load, {loss.does}: {len(tally.played)} times, {size}")
    spread = Spread(tally.recovery)
    what = "the longest that a message had to wait" if loss.kind.talks else "a session that was struck can send again"
    report.add(what, str(loss.claims), spread, loss.claims.kept(spread))
    _answers(report, loss, tally)
    _outside(report, tally, results)
    wrong = [each for each in results.wrong if "needed up to" not in each]
    report.add("other promises broken", "0", f"{len(wrong)}" + (f" ({wrong[0]})" if wrong else ""), not wrong)
    return report


def _answers(report: Report, loss: Loss, tally: Tally) -> None:
    verdict, limit_s = tally.verdict, loss.claims.answers_s
    failed = f"{verdict.failed_at_first:,} of {verdict.messages:,}"
    if limit_s is None:
        report.add("requests that had to be made again", "", failed)
        return
    report.add("requests that failed", "0", failed, not verdict.failed_at_first)
    answers = Spread([took_s for each in tally.played for took_s in each.first_answers])
    report.add("their answers", f"max ≤ {limit_s:g} s", answers, answers.at(1.0) <= limit_s)


def _outside(report: Report, tally: Tally, results: Results) -> None:
    """What recipients saw."""
    verdict = tally.verdict
    kept = not verdict.lost and not verdict.doubled
    report.add("lost / doubled, by the ledger", "0 / 0", f"{verdict.lost} / {verdict.doubled}", kept)
    old = len(results.under_old_epochs)
    report.add("messages under an old epoch after a newer one", "0", str(old), not old)
    report.add("sessions moved for no reason", "0", str(tally.false_moves), not tally.false_moves)
    if verdict.unknown:
        report.add("answered as unknown / of these arrived", "", f"{verdict.unknown} / {verdict.unknown_arrived}")
