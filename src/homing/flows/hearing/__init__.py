"""Hearing what comes of each session, judging by it whether it hears, and trying what may help one that does not.

It asks `decide.hearing`, and reaches instances and the store through ports.
Begin with `ears`, then `judging`.
"""
