"""Judgments on instances: well or not, how full, whose lease counts, and where a session should live.

Pure functions of the model, like everything in `decide`.
Begin with `health`, then `placement`.
"""
