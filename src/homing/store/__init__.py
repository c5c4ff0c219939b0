"""The directory, the vault, the work and the notices between gateways, on SQLite and PostgreSQL.

Operations are plain functions of a connection in a transaction; classes put them behind `ports`.
Begin with `db/schema`, then `directory/placements`.
"""
