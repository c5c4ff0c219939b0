"""The stores of one database, open."""

from dataclasses import dataclass

from homing.ports import (
    Alerts,
    Audit,
    Directory,
    Events,
    Grants,
    Leases,
    Messages,
    Notices,
    Outbox,
    Schedules,
    Work,
    WriteProof,
)
from homing.ports.adopting import Adoptions
from homing.ports.deliveries import Deliveries, Endpoints
from homing.ports.doubts import RestartClaims
from homing.ports.downtime import DowntimeLedger
from homing.ports.exit_proxies import ExitProxies
from homing.ports.hearing import Hearings
from homing.ports.importing import ImportStore
from homing.ports.logins import LoginStore
from homing.ports.pairing_links import PairingLinkStore
from homing.ports.receivers import Receivers
from homing.ports.recycles import Recycles
from homing.ports.reports import WebhookTargets
from homing.ports.watch_log import WatchLog
from homing.store.db.database import Database


@dataclass(frozen=True, slots=True)
class Stores:
    """What is durable."""

    database: Database
    notices: Notices
    directory: Directory
    messages: Messages
    outbox: Outbox
    events: Events
    schedules: Schedules
    work: Work
    leases: Leases
    grants: Grants
    alerts: Alerts
    audit: Audit
    proof: WriteProof
    restart_claims: RestartClaims
    hearings: Hearings
    pairing_links: PairingLinkStore
    endpoints: Endpoints
    deliveries: Deliveries
    receivers: Receivers
    logins: LoginStore
    adoptions: Adoptions
    watch_log: WatchLog
    imports: ImportStore
    downtime: DowntimeLedger
    webhook_targets: WebhookTargets
    exit_proxies: ExitProxies
    recycles: Recycles
