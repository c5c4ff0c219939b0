"""The API on the fleet: instances, moves and plans of moves, syncs, schedules, the route cache, reports.

It uses the gateway through `serve.api.context`. Begin with `moves`.
"""
