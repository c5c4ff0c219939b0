"""Receivers of alerts, what each was told, and silences, on a SQL database.

Operations are plain functions of a connection; the class puts them behind the port.
Begin with `receivers`.
"""
