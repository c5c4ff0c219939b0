"""Bringing sessions to another instance: fenced, granted, started, confirmed; by any gateway, exactly once.

It asks `decide.moves` and changes placements only through the grants of the store.
Begin with `move_jobs`, then `attempt`.
"""
