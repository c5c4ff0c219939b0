"""What comes and goes through an account in one hour, at which moments."""

from math import exp
from random import Random

from homing.lab.deaf.lives import HOUR_S, Profile

BURST_S = 90.0
"""How far apart the messages of one burst are, on average."""


def messages(chance: Random, profile: Profile, hour: int) -> list[float]:
    """The moments at which messages come that begin in this hour, sorted; some of a burst come in the next one."""
    rate = profile.rate(hour) * chance.lognormvariate(0, 0.3)
    moments = []
    for _ in range(_poisson(chance, rate / profile.burst)):
        at = (hour + chance.random()) * HOUR_S
        moments.append(at)
        while chance.random() > 1 / profile.burst:
            at += chance.expovariate(1 / BURST_S)
            moments.append(at)
    moments.sort()
    return moments


def sends(chance: Random, profile: Profile, came: list[float], hour: int) -> list[float]:
    """The moments at which messages go out: answers to what came, and a campaign's own."""
    moments = [at + chance.uniform(5, 600) for at in came if chance.random() < profile.sends_part]
    for begin, end, _ in profile.campaigns:
        if begin <= hour * HOUR_S < end:
            moments += [(hour + chance.random()) * HOUR_S for _ in range(120)]
    moments.sort()
    return moments


def _poisson(chance: Random, mean: float) -> int:
    if mean > 30:
        return max(0, round(chance.gauss(mean, mean**0.5)))
    limit, product, count = exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        count += 1
    return count
