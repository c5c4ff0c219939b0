"""All tables together, for who makes or compares them: the schema, and what stands beside it by topic."""

from homing.store.db import schema_deliveries as schema_deliveries
from homing.store.db import schema_downtime as schema_downtime
from homing.store.db import schema_hearing as schema_hearing
from homing.store.db import schema_numbers as schema_numbers
from homing.store.db import schema_observing as schema_observing
from homing.store.db import schema_outbox as schema_outbox
from homing.store.db import schema_receivers as schema_receivers
from homing.store.db import schema_reports as schema_reports
from homing.store.db.schema import metadata as metadata
