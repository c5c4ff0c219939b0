"""Commands on the fleet: instances, moving sessions, syncs, schedules, the route cache and the database's schema.

They use `cli.sources` for what they know and `cli.terminal` for what they say. Begin with `schedule`.
"""
