"""Judgments on durable work: when a schedule ticks, and what becomes of a job whose attempt failed.

Pure functions of the model, like everything in `decide`.
Begin with `attempts`.
"""
