"""`python -m tests.mutations.seeds SCENARIO MANY`: runs of the simulator until one complains. Exit 1 if one does."""

import sys

from homing.lab.sim.trial.runner import play
from homing.lab.sim.trial.scenario import SCENARIOS


def main() -> int:
    scenario, many = SCENARIOS[sys.argv[1]], int(sys.argv[2])
    for seed in range(many):
        for violation in play(scenario, seed).violations:
            print(f"seed {seed}: {violation.checker}: {violation.what}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
