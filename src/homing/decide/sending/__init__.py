"""Judgments on one send: what a fault means, what is tried next, and which message id belongs to a key.

Pure functions of the model, like everything in `decide`.
Begin with `recovery`: it is asked after each step of a send.
"""
