"""The API on what the directory holds: accounts and what is done with their sessions, contacts, workspaces and keys.

It uses the gateway through `serve.api.context`. Begin with `contacts`, the smallest whole resource.
"""
