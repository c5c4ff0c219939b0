"""The stories: the only place where decisions meet I/O.

They ask `decide`, and reach the world through `ports`; nothing here knows SQL, HTTP or a clock of its own.
Begin with `sending/send`.
"""
