"""All tables together, for who makes or compares them: the schema, and what stands beside it by topic."""

from homing.store.db.schema import deliveries as deliveries
from homing.store.db.schema import device_state as device_state
from homing.store.db.schema import downtime as downtime
from homing.store.db.schema import hearing as hearing
from homing.store.db.schema import numbers as numbers
from homing.store.db.schema import observing as observing
from homing.store.db.schema import outbox as outbox
from homing.store.db.schema import receivers as receivers
from homing.store.db.schema import reports as reports
from homing.store.db.schema import steering as steering
from homing.store.db.schema.tables import metadata as metadata
