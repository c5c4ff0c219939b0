"""Who exists and where each session lives: workspaces, accounts, contacts, instances, placements.

Operations are plain functions of a connection; `directory` puts them behind the port.
Begin with `directory`, then `placements`.
"""
