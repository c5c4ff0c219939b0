"""A failing run as a file, to be played again by anybody and to be kept as a test."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from homing.lab.sim.trial.faults import Misfortune
from homing.lab.sim.trial.scenario import SCENARIOS, Scenario


class NotARun(Exception):
    """The file holds no run. The message is one sentence."""


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A seed, its scenario, its faults, and what was wrong once."""

    scenario: Scenario
    seed: int
    faults: tuple[Misfortune, ...]
    was_wrong: str = ""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises NotARun."""
        try:
            told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            faults = tuple(Misfortune.of(fault) for fault in told["faults"])
            return cls(SCENARIOS[told["scenario"]], int(told["seed"]), faults, str(told.get("was_wrong", "")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotARun(f"{path} holds no run that can be played: {type(error).__name__}: {error}") from error

    def write(self, path: Path) -> None:
        told = {
            "scenario": self.scenario.name,
            "seed": self.seed,
            "was_wrong": self.was_wrong,
            "faults": [fault.told() for fault in self.faults],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
