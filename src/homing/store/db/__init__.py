"""What all of the store stands on: the schema, transactions, batches, and what driver errors mean.

It uses SQLAlchemy Core and the two engines beside it.
Begin with `schema/tables`, then `database`.
"""
