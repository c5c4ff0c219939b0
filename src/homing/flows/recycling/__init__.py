"""How is an instance started anew without losing a message?

It asks `decide.fleet`, drains through the moves, and reaches instances and the store through ports.
Begin with `recycling`.
"""
