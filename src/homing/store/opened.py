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
from homing.ports.deliveries.deliveries import Deliveries, Endpoints
from homing.ports.deliveries.receivers import Receivers
from homing.ports.directory.adopting import Adoptions
from homing.ports.directory.importing import ImportStore
from homing.ports.directory.logins import LoginStore
from homing.ports.directory.pairing_links import PairingLinkStore
from homing.ports.instances.recycles import Recycles
from homing.ports.instances.reports import WebhookTargets
from homing.ports.instances.steering import Steering
from homing.ports.instances.watch_log import WatchLog
from homing.ports.sends.numbers import CheckedNumbers
from homing.ports.sessions.doubts import RestartClaims
from homing.ports.sessions.downtime import DowntimeLedger
from homing.ports.sessions.exit_proxies import ExitProxies
from homing.ports.sessions.hearing import Hearings
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
    steering: Steering
    checked_numbers: CheckedNumbers
