"""What a gateway consists of, as its API needs it."""

from dataclasses import dataclass

from homing.config import Settings
from homing.flows.alerts.managing import ReceiverOperations
from homing.flows.background.alerts import AlertBook
from homing.flows.background.auditing import Auditing
from homing.flows.background.downtime import DowntimeBook
from homing.flows.background.observing import Observing
from homing.flows.background.readiness import Readiness
from homing.flows.deliveries.managing import EndpointOperations
from homing.flows.discovery.adopting import Adopting
from homing.flows.discovery.phones import Identity
from homing.flows.discovery.stray_sessions import StraySessions
from homing.flows.discovery.sync import Sync
from homing.flows.discovery.wakeups import News
from homing.flows.failover.automation import Automation
from homing.flows.failover.exits import Exits
from homing.flows.failover.fitness import Fitness
from homing.flows.failover.keeper import Keeper
from homing.flows.failover.restoring import Restoring
from homing.flows.failover.watching import Watching
from homing.flows.hearing.judging import Judging
from homing.flows.media.inbound import InboundFiles
from homing.flows.media.intake import MediaIntake
from homing.flows.moves.move_jobs import Rehoming
from homing.flows.moves.prospects import Prospects
from homing.flows.operations.abilities import AbilitiesOf
from homing.flows.operations.accounts import Accounts
from homing.flows.operations.adopt_fleet import FleetAdoption
from homing.flows.operations.deleting import Deleting
from homing.flows.operations.drain import Drains
from homing.flows.operations.exit_proxies import AccountsExitProxies
from homing.flows.operations.migrate import Migrations
from homing.flows.operations.pairing import Pairing
from homing.flows.operations.pairing_links import PairingLinks
from homing.flows.operations.plans import MovePlans
from homing.flows.operations.rebalance import Balance
from homing.flows.recycling.recycling import Recycling
from homing.flows.webhooks.connecting import Connecting
from homing.flows.webhooks.unknown_senders import UnknownSenders
from homing.ports import Clock, Entropy
from homing.ports.deliveries.egress import Egress
from homing.routing.cache import RouteCache
from homing.routing.roster import LiveFleet
from homing.serve.callers.keyring import Keyring
from homing.serve.callers.rate_limits import RateLimits
from homing.serve.callers.workspaces import Workspaces
from homing.serve.feed import EventFeed
from homing.serve.intake import IntakeEndpoint
from homing.serve.metrics import Metrics
from homing.serve.sends import SendEndpoint
from homing.store.opened import Stores


@dataclass(frozen=True, slots=True)
class Moving:
    """What people and supervisors may want of where sessions live, and what can be done for one."""

    abilities: AbilitiesOf
    connecting: Connecting
    drains: Drains
    exits: Exits
    migrations: Migrations
    balance: Balance
    prospects: Prospects
    plans: MovePlans
    automation: Automation
    recycling: Recycling


@dataclass(frozen=True, slots=True)
class Adoption:
    """What takes up that which runs already: single sessions, whole gateways; and what is only observed of these."""

    sessions: Adopting
    gateways: FleetAdoption
    observing: Observing


@dataclass(frozen=True, slots=True)
class Care:
    """What looks after sessions that are not well, and lets phones' owners link them."""

    judging: Judging
    pairing_links: PairingLinks
    exit_proxies: AccountsExitProxies


@dataclass(frozen=True, slots=True)
class Gateway:
    """One running gateway's parts, as the API needs them."""

    settings: Settings
    clock: Clock
    entropy: Entropy
    metrics: Metrics
    stores: Stores
    routes: RouteCache
    fleet: LiveFleet
    keyring: Keyring
    rate_limits: RateLimits
    workspaces: Workspaces
    accounts: Accounts
    pairing: Pairing
    adoption: Adoption
    identity: Identity
    deleting: Deleting
    strays: StraySessions
    sends: SendEndpoint
    sync: Sync
    intake: IntakeEndpoint
    feed: EventFeed
    rehoming: Rehoming
    watching: Watching
    keeper: Keeper
    news: News
    alerts: AlertBook
    auditing: Auditing
    readiness: Readiness
    fitness: Fitness
    unknown_senders: UnknownSenders
    moving: Moving
    restoring: Restoring
    egress: Egress
    care: Care
    downtime: DowntimeBook
    media: MediaIntake
    inbound: InboundFiles
    endpoints: EndpointOperations
    receivers: ReceiverOperations
