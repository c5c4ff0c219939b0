"""The nouns of who there is: workspaces, keys and what they may do, phone numbers, acts that are logged, and imports.

They use the model alone; accounts and sessions themselves are in `fleet`, one folder up.
Begin with `workspaces`.
"""
