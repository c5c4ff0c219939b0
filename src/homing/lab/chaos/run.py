"""A run of faults, one after the other, on one fleet under load; on several, where they take different equipment."""

import asyncio
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from random import Random

from homing.demo.plan import Unworkable
from homing.lab.chaos import facts
from homing.lab.chaos.batches import play_batches
from homing.lab.chaos.client import AskedMessage
from homing.lab.chaos.faults.kind import FaultKind
from homing.lab.chaos.ground.equipment import Equipment
from homing.lab.chaos.judge import Judge, MultideviceJudge
from homing.lab.chaos.load import MessageLoad
from homing.lab.chaos.opening import open_stage
from homing.lab.chaos.results import Results
from homing.lab.chaos.rounds import Round
from homing.lab.chaos.soak import ResourceWatch
from homing.lab.chaos.stage import Stage, StageOrder

STEADY_WITHIN_S = 60.0
WARM_S = 8.0
"""After its start a gateway judges nobody for the time of one lease."""
PAUSE_S = 1.0
SOAK_PAUSE_S = 10.0

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Orders:
    """What a run is to do: each kind so often (None: until the time is over), in a random order, for no longer than
    `for_s`. `rate` is messages a second from all accounts together. `soak`: see whether processes grow."""

    kinds: Sequence[FaultKind]
    repeats: int | None = 3
    for_s: float | None = None
    rate: float = 50.0
    seed: int = 1
    warm_s: float = WARM_S
    pause_s: float = PAUSE_S
    soak: bool = False
    messages: int | None = None
    """So many, accepted in batches, are the load in place of that rate; faults come until they have all ended."""


async def run(wanted: StageOrder, orders: Orders, tell: Tell) -> Results:
    """Play them. Cancelled, it ends the fleet and answers with what it has. Raises Unworkable if it cannot begin."""
    chance = Random(orders.seed)  # noqa: S311 - a run that can be repeated
    missing = {kind.name: lack for kind in orders.kinds if (lack := _lacking(kind, wanted, orders)) is not None}
    results = Results(_named(wanted), orders.seed, left_out=missing)
    kinds = [kind for kind in orders.kinds if kind.name not in missing]
    if not kinds:
        lacks = "; ".join(f"{name} needs {lack}" for name, lack in missing.items())
        raise Unworkable(f"None of these faults can befall this fleet: {lacks}")
    began_s = time.monotonic()
    for equipment in Equipment:
        its = [kind for kind in kinds if kind.equipment is equipment]
        if its and not results.interrupted:
            of_these = replace(orders, kinds=its, for_s=orders.for_s and orders.for_s * len(its) / len(kinds))
            await _on_one_fleet(replace(wanted, equipment=equipment), of_these, results, tell, chance)
    results.took_s = time.monotonic() - began_s
    return results


def _lacking(kind: FaultKind, wanted: StageOrder, orders: Orders) -> str | None:
    """Why it is not played; None if it is."""
    if orders.soak and not kind.is_lived_through:
        return "a run without --soak, in which all processes live on"
    return kind.missing(wanted)


async def _on_one_fleet(wanted: StageOrder, orders: Orders, results: Results, tell: Tell, chance: Random) -> None:
    if wanted.equipment is not Equipment.NONE:
        tell(f"Setting up a fleet with {wanted.equipment.value}")
    try:
        async with open_stage(wanted, tell, chance) as stage:
            await play(stage, orders, results, tell)
    except Unworkable as problem:
        if not results.tallies:
            raise
        results.broke_off.append(str(problem))


async def play(stage: Stage, orders: Orders, results: Results, tell: Tell) -> None:
    """The same on a fleet that is up."""
    watch = ResourceWatch(stage)
    try:
        await _under_load(stage, orders, watch, results, tell)
    except asyncio.CancelledError:
        results.interrupted = True
        if (task := asyncio.current_task()) is not None:
            task.uncancel()
    except Unworkable as problem:
        results.broke_off.append(str(problem))
    if orders.soak:
        results.growths, results.samples = watch.growths(), watch.document()
    _conclude(stage.client.messages, stage.judge, results)


async def _under_load(stage: Stage, orders: Orders, watch: ResourceWatch, results: Results, tell: Tell) -> None:
    async with MessageLoad(stage, orders.rate if orders.messages is None else 0.0):
        tell("Waiting until the fleet is steady")
        await _until_steady(stage, orders)
        if orders.messages is not None:
            await play_batches(stage, orders.kinds, orders.messages, results, tell)
            return
        async with watch:
            await _play_all(stage, orders, results, tell)


async def _until_steady(stage: Stage, orders: Orders) -> None:
    await asyncio.sleep(orders.warm_s)
    if (amiss := await facts.until_whole(stage, STEADY_WITHIN_S)) is not None:
        raise Unworkable(f"The fleet does not become steady: {amiss}")


async def _play_all(stage: Stage, orders: Orders, results: Results, tell: Tell) -> None:
    until_s = None if orders.for_s is None else time.monotonic() + orders.for_s
    of = f" of {len(orders.kinds) * orders.repeats}" if orders.repeats is not None else ""
    for number, kind in enumerate(_order(orders.kinds, orders.repeats, stage.chance), 1):
        if until_s is not None and time.monotonic() > until_s:
            return
        wrong = sum(len(each.played[-1].wrong) > 0 for each in results.tallies.values())
        tell(f"{number}{of}: {kind.does}" + (f" ({wrong} kinds went wrong)" if wrong else ""))
        played = await Round(stage, kind, number).play()
        results.add(played)
        for what in played.wrong:
            tell(f"! {played.kind} {played.number}: {what}")
        await asyncio.sleep(orders.pause_s)


def _order(kinds: Sequence[FaultKind], repeats: int | None, chance: Random) -> Iterator[FaultKind]:
    """Each kind once before any comes again, shuffled each time."""
    for _ in count() if repeats is None else range(repeats):
        yield from chance.sample(list(kinds), len(kinds))


def _conclude(messages: Sequence[AskedMessage], judge: Judge, results: Results) -> None:
    """Who said what belongs to the fault during which it was asked for."""
    played = sorted(
        (each for tally in results.tallies.values() for each in tally.played), key=lambda each: each.began_s
    )
    begins = [each.began_s for each in played]
    during: dict[int, list[AskedMessage]] = {}
    calm: list[AskedMessage] = []
    for message in messages:
        at = bisect_right(begins, message.asked_s) - 1
        inside = at >= 0 and message.asked_s <= played[at].ended_s
        (during.setdefault(at, []) if inside else calm).append(message)
    for at, said in during.items():
        tally = results.tallies[played[at].kind]
        tally.verdict += judge.judge(said)
        tally.unsent.update(message.shown(-1) for message in said if not message.was_sent)
        tally.at_first.update(message.shown(0) for message in said if message.failed_at_first)
    results.between += judge.judge(calm)
    results.unsent.update(message.shown(-1) for message in calm if not message.was_sent)
    results.under_old_epochs += judge.under_old_epochs
    if isinstance(judge, MultideviceJudge):
        results.unreadable = (results.unreadable or 0) + judge.unreadable


def _named(wanted: StageOrder) -> str:
    store = "SQLite" if not wanted.on_postgres else "PostgreSQL"
    gateways = "one gateway" if wanted.gateways == 1 else f"{wanted.gateways} gateways"
    engine = ", Baileys" if wanted.engine is not None else ""
    return f"{store}{engine}, {gateways}, {wanted.instances} instances, {wanted.accounts} accounts"
