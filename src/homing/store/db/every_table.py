"""All tables, whichever module describes them."""

from homing.store.db import schema_outbox
from homing.store.db.schema import metadata

__all__ = ["metadata", "schema_outbox"]
