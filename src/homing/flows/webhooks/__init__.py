"""Taking in what instances report, and following it.

It asks `decide.reports`; a report is stored before it is acknowledged, and followed afterwards.
Begin with `intake`, then `hints`.
"""
