"""One session that an instance holds: how it comes up, sends, receives, and ends.

It uses the engine, the vault and the event emitter, and knows no HTTP.
Begin with `session`, then `connection_loop`.
"""
