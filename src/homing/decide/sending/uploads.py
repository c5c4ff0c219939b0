"""How long may a send with a file take, and must it wait for its turn at the instance?

A file takes as long as its bytes take to get there. Until the last one is there nothing can be known of the message,
and whoever leaves before that has a send of unknown outcome, or begins with the file anew.
"""

from dataclasses import dataclass

MIB = 1024 * 1024
TAKES_A_TURN_BYTES = MIB
"""Smaller files are there in a moment, whatever else is on its way, and wait for nobody."""


@dataclass(frozen=True, slots=True)
class UploadPolicy:
    """`slowest_bytes_s`: a file that gets there more slowly than this is given up. `at_once`: so many that take a turn
    are on their way from one gateway to one instance, so that each is fast enough.
    """

    slowest_bytes_s: float = MIB
    at_once: int = 4


def time_on_its_way_s(size: int, policy: UploadPolicy) -> float:
    """What a file of so many bytes may take, beside what a send takes without one."""
    return size / policy.slowest_bytes_s


def takes_a_turn(size: int) -> bool:
    return size >= TAKES_A_TURN_BYTES
