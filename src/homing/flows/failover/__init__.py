"""Noticing that an instance or a session is gone, or does not work, and seeing to it that it comes back.

It asks `decide.fleet` and `decide.starting`; what is to live elsewhere is handed to `flows.moves`.
Begin with `watching`, then `keeper`.
"""
