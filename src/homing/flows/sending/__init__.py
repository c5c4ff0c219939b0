"""The story of one message, from the request to its outcome.

It asks `decide.sending` at each step, and reaches instances and the directory through ports.
Begin with `send`.
"""
