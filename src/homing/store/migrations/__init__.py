"""The history of the schema, one revision in each file of `versions/`. `homing.store.db.migrating` runs them."""
