"""PostgreSQL: addresses as providers write them, connections to the server that takes writes, limits on waits.

It uses `store.db` and asyncpg.
Begin with `engine`.
"""
