"""The world in simulation: virtual time, seeded chance, a network in memory, and instances to put on it.

`loop` and `world` are what tests and trials run on; `trial` plays whole fleets, `exhaustive` searches a small world.
Begin with `world`.
"""
