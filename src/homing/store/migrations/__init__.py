"""The history of the schema, one revision in each file of `versions`. `homing.store.db.migrating` runs them.

A revision only adds what the release before can live with. They use the column types of `store.db` and nothing else
of ours.
Begin with `versions`, the newest one.
"""
