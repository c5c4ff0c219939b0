"""Judgments on what instances report: who speaks, whether it is news, and what follows from it.

Pure functions of the model; signatures are checked on the bytes that came.
Begin with `meanings`.
"""
