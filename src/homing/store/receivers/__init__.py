"""Receivers of alerts and silences on a SQL database.

Begin with `receivers`.
"""
