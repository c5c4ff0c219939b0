"""The tables, by topic; all of them share one metadata, and `every_table` has them together.

They use SQLAlchemy and the enums of the model.
Begin with `tables`, where sessions, accounts and messages are.
"""
