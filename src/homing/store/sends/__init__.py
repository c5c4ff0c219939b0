"""What is kept of sends: their records, their idempotency keys, and what settles an unknown outcome.

It uses `store.db`.
Begin with `messages`.
"""
