"""What goes wrong in a run, as data: made from a seed, written to a file, taken apart to find what is needed of it."""

import random
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from homing.lab.sim.trial.scenario import Scenario


class MisfortuneKind(StrEnum):
    """What can go wrong."""

    INSTANCE_DIES = "instance dies"
    INSTANCES_DIE = "instances die together"
    INSTANCE_FREEZES = "instance freezes"
    GATEWAY_DIES = "gateway dies"
    GATEWAY_FREEZES = "gateway freezes"
    CUT = "nothing passes between"
    SLOW = "everything is slow between"
    UPSETS = "requests are upset between"
    STORE_AWAY = "store is away"
    STORE_FORGETS = "store loses transactions and answers"
    STORE_SLOW = "store is slow"
    STORE_FAILS_OVER = "store fails over"
    WHATSAPP_AWAY = "WhatsApp is away"
    WHATSAPP_CUTS = "connection to WhatsApp breaks"
    WHATSAPP_SLOW = "WhatsApp is slow to log in"
    CLOCK_JUMPS = "clock jumps"
    STRANGER = "a stranger uses the login"
    OPERATOR_MOVES = "operator moves a session"
    FOREIGN_DIES = "foreign gateway dies"
    FOREIGN_FREEZES = "foreign gateway freezes"
    FOREIGN_CUT = "nothing passes to a foreign gateway"
    FOREIGN_UPSETS = "requests to a foreign gateway are upset"
    MOVED_BY_HAND = "somebody moves a session by hand"
    RECEIVER_AWAY = "a customer's server is away"


@dataclass(frozen=True, slots=True)
class Misfortune:
    """One thing that goes wrong at `at_s`, to `where` (and `other`), and is over `for_s` later.

    `amount` is how much, where that means something: a chance, a delay, a jump.
    """

    at_s: float
    kind: MisfortuneKind
    where: str = ""
    other: str = ""
    for_s: float = 0.0
    amount: float = 0.0

    def told(self) -> dict[str, Any]:
        return {**asdict(self), "kind": self.kind.value}

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        return cls(**{**told, "kind": MisfortuneKind(told["kind"])})

    def __str__(self) -> str:
        places = " and ".join(place for place in (self.where, self.other) if place)
        lasting = f", for {self.for_s:.2f} s" if self.for_s else ""
        amount = f" ({self.amount:g})" if self.amount else ""
        return f"{self.kind.value}{amount}: {places}{lasting}"


def plan(scenario: Scenario, seed: int) -> tuple[Misfortune, ...]:
    """What this seed brings, in order of time."""
    chance = random.Random(f"faults {seed}")  # noqa: S311 - to be repeatable
    many = chance.randint(scenario.faults_min, scenario.faults_max)
    kinds = list(scenario.kinds)
    drawn = chance.choices(kinds, [scenario.kinds[kind] for kind in kinds], k=many)
    faults = [_fault(MisfortuneKind(kind), scenario, chance) for kind in drawn]
    return tuple(sorted(faults, key=lambda fault: fault.at_s))


def _fault(kind: MisfortuneKind, scenario: Scenario, chance: random.Random) -> Misfortune:
    at_s = round(chance.uniform(scenario.calm_until_s, scenario.faults_until_s - 1.0), 3)
    for_s = round(min(_lasts_s(kind, chance), scenario.faults_until_s - at_s), 3)
    where, other = _places(kind, scenario, chance)
    return Misfortune(at_s, kind, where, other, for_s, _amount(kind, chance))


def _lasts_s(kind: MisfortuneKind, chance: random.Random) -> float:
    match kind:
        case MisfortuneKind.INSTANCE_DIES | MisfortuneKind.INSTANCES_DIE | MisfortuneKind.FOREIGN_DIES:
            return chance.choice((0.3, 2.0, 5.0, 10.0, 1e9)) * chance.uniform(0.7, 1.3)
        case MisfortuneKind.GATEWAY_DIES:
            return chance.choice((0.3, 2.0, 8.0)) * chance.uniform(0.7, 1.3)
        case (
            MisfortuneKind.INSTANCE_FREEZES
            | MisfortuneKind.GATEWAY_FREEZES
            | MisfortuneKind.CUT
            | MisfortuneKind.FOREIGN_FREEZES
            | MisfortuneKind.FOREIGN_CUT
        ):
            return chance.choice((0.2, 1.0, 3.0, 7.0, 12.0)) * chance.uniform(0.7, 1.3)
        case MisfortuneKind.STORE_FAILS_OVER:
            return chance.uniform(0.1, 2.0)
        case (
            MisfortuneKind.WHATSAPP_CUTS
            | MisfortuneKind.CLOCK_JUMPS
            | MisfortuneKind.STRANGER
            | MisfortuneKind.OPERATOR_MOVES
            | MisfortuneKind.MOVED_BY_HAND
        ):
            return 0.0
        case _:
            return chance.uniform(0.3, 8.0)


def _places(kind: MisfortuneKind, scenario: Scenario, chance: random.Random) -> tuple[str, str]:
    instance, gateway = chance.choice(scenario.instance_urls), chance.choice(scenario.gateway_names)
    match kind:
        case MisfortuneKind.INSTANCE_DIES | MisfortuneKind.INSTANCE_FREEZES:
            return instance, ""
        case MisfortuneKind.INSTANCES_DIE:
            number = chance.randint(2, len(scenario.instance_urls))
            return " ".join(sorted(chance.sample(scenario.instance_urls, number))), ""
        case MisfortuneKind.GATEWAY_DIES | MisfortuneKind.GATEWAY_FREEZES:
            return gateway, ""
        case MisfortuneKind.CUT | MisfortuneKind.SLOW:
            pairs = ((gateway, instance), (gateway, "store"), (instance, "store"), (instance, "whatsapp"))
            return chance.choice(pairs)
        case MisfortuneKind.UPSETS:
            return chance.choice(((gateway, instance), ("client", gateway)))
        case MisfortuneKind.CLOCK_JUMPS:
            return chance.choice((instance, gateway)), ""
        case MisfortuneKind.WHATSAPP_CUTS | MisfortuneKind.STRANGER | MisfortuneKind.OPERATOR_MOVES:
            return chance.choice(scenario.session_ids), ""
        case MisfortuneKind.FOREIGN_DIES | MisfortuneKind.FOREIGN_FREEZES:
            return chance.choice(scenario.foreign_urls), ""
        case MisfortuneKind.FOREIGN_CUT:
            foreign = chance.choice(scenario.foreign_urls)
            return chance.choice(((gateway, foreign), (foreign, "whatsapp")))
        case MisfortuneKind.FOREIGN_UPSETS:
            return gateway, chance.choice(scenario.foreign_urls)
        case MisfortuneKind.RECEIVER_AWAY:
            return chance.choice(scenario.receiver_hosts), ""
        case MisfortuneKind.MOVED_BY_HAND:
            return chance.choice(scenario.foreign_session_ids), chance.choice(scenario.foreign_urls)
        case _:
            return "", ""


def _amount(kind: MisfortuneKind, chance: random.Random) -> float:
    match kind:
        case MisfortuneKind.SLOW:
            return round(chance.choice((0.05, 0.3, 1.5)), 3)
        case MisfortuneKind.UPSETS | MisfortuneKind.FOREIGN_UPSETS | MisfortuneKind.STORE_FORGETS:
            return round(chance.choice((0.05, 0.2, 0.5)), 3)
        case MisfortuneKind.STORE_SLOW:
            return round(chance.choice((0.05, 0.3)), 3)
        case MisfortuneKind.STORE_FAILS_OVER:
            return round(chance.uniform(0.05, 1.0), 3)
        case MisfortuneKind.WHATSAPP_SLOW:
            return round(chance.choice((0.5, 2.0)), 3)
        case MisfortuneKind.CLOCK_JUMPS:
            return float(chance.choice((-600.0, -5.0, 5.0, 600.0)))
        case _:
            return 0.0
