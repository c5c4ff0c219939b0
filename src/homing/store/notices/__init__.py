"""Word of changes between gateways: within a process, by LISTEN and NOTIFY, or by Redis.

A notice is staged in the transaction of its change; nothing is decided by one.
Begin with `notices`, then `remote`.
"""
