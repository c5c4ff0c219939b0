"""Another system's accounts and contacts are taken over, and sessions are carried from vault to vault.

It asks `decide.importing`, reads from a source and writes to the directory, both behind ports.
Begin with `importing`.
"""
