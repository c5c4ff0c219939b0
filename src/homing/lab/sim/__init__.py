"""The world in simulation: virtual time, seeded chance, and whole fleets in them.

`loop` and `world` are what tests and trials run on; `trial` plays whole fleets, `exhaustive` searches a small world.
They use the product's own parts.
Begin with `world`.
"""
