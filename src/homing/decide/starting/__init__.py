"""Judgments on starting sessions where they are: a first place, restoring after a restart, and who must scan.

Pure functions of the model and of `decide.knowledge`.
Begin with `restoring`.
"""
