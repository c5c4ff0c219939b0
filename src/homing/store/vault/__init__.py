"""Credentials that refuse a stale holder by themselves: grants, logins, reserved messages, sealing keys.

It uses `store.db` alone; instances open it without a gateway.
Begin with `vault`, then `grants`.
"""
