"""What proves the rest: disasters in virtual time and real faults on real processes.

It may use everything; nothing of the product uses it.
Begin with `sim/trial/trial` for seeds and `chaos/run` for faults.
"""
