"""Messages that were accepted and are not finished, on a SQL database: their lanes, their batches, and who opted out.

It uses `store.db`, `store.work` and `store.sends`.
Begin with `outbox`.
"""
