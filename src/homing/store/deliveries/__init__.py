"""Endpoints, deliveries and their attempts on a SQL database.

It uses the tables below `db` and the judgments of `decide.deliveries`.
Begin with `telling`.
"""
