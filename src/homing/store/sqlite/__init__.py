"""SQLite: one thread that writes, one gateway for each file, and the file's own clock.

It uses `store.db` and the standard library's driver.
Begin with `engine`, then `writer`.
"""
