"""Judgments: pure, synchronous functions from what is known, and the time, to a decision with its reason.

They import the model alone; the stories, the commands' dry runs and the simulator ask the same ones.
Begin with `sending/recovery` for one message and `knowledge/reconcile` for the map.
"""
