"""Judgments on moving sessions: which ones, in what order, and what the next step of each is.

Pure functions of the model and of `decide.fleet`.
Begin with `next_step`: the order of its guards is what makes a move safe.
"""
