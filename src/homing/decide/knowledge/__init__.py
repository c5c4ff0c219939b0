"""Judgments on what is known: where a session is, whose it is, and whether the record of it should change.

Pure functions of the model, like everything in `decide`.
Begin with `reconcile`: sends, reports, heartbeats and the sync all end in it.
"""
