"""Commands on what the directory holds: accounts, contacts, workspaces, keys, messages and the audit log.

They use `cli.sources` for what they know and `cli.terminal` for what they say. Begin with `contacts`.
"""
