"""Commands on what the directory holds: accounts, contacts, workspaces, keys, messages and the audit log.

They use `cli.sources` for what they know and `cli.terminal` for what they say. A newcomer starts with `contacts`.
"""
