"""The HTTP wire to instances: connections, pools, names and TLS, and exactness about what left.

It uses asyncio and the model; the families' drivers call it.
Begin with `wire`.
"""
