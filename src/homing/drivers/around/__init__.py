"""What stands around each family's driver: its key, its names for sessions, counting, and what it may not do.

They use the ports, and know no family.
Begin with `native_names`, then `metered`.
"""
