"""The parts of a gateway by topic: each file makes those that belong together, and says what of others they are given.

They may import everything but `wiring`, which tells them of each other.
Begin with `ground`, then `keeping`.
"""
