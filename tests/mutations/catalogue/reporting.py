"""Defects of what can be done for a session, and of what gateways of other families report."""

from tests.mutations.defect import Defect, tests

_ABILITIES = (tests("decide/test_abilities.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "a-family-taken-over-unasked",
        "an account's own takeover counts for more than that of its gateway's family",
        "homing/decide/moves/movable.py",
        "    return min(wanted, traits.takeover, key=_RELUCTANCE.index)\n",
        "    return wanted\n",
        (*_ABILITIES, tests("decide/test_moves.py")),
    ),
    Defect(
        "words-beside-the-deed",
        "what is said of a restart is not what the judgment of doubtful sessions does",
        "homing/decide/moves/abilities.py",
        "    why = doubt.cannot_restart(held.account, held.can, held.instance.mode)\n",
        "    why = None\n",
        _ABILITIES,
    ),
)
