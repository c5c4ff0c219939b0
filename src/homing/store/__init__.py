"""The directory, the messages and the notices between gateways, on SQLite and PostgreSQL."""
