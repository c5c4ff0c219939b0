"""What a gateway consists of, as its API needs it."""

from dataclasses import dataclass

from homing.compose.stores import Stores
from homing.config import Settings
from homing.fleet import LiveFleet
from homing.flows.accounts import Accounts
from homing.flows.adopting import Adopting
from homing.flows.alerts import AlertBook
from homing.flows.auditing import Auditing
from homing.flows.balance import Balance
from homing.flows.deleting import Deleting
from homing.flows.drain import Drains
from homing.flows.exits import Exits
from homing.flows.fitness import Fitness
from homing.flows.identity import Identity
from homing.flows.keeper import Keeper
from homing.flows.migrate import Migrations
from homing.flows.news import News
from homing.flows.pairing import Pairing
from homing.flows.prospects import Prospects
from homing.flows.readiness import Readiness
from homing.flows.rehome import Rehoming
from homing.flows.restoring import Restoring
from homing.flows.stray_sessions import StraySessions
from homing.flows.sync import Sync
from homing.flows.unknown_senders import UnknownSenders
from homing.flows.watching import Watching
from homing.ports import Clock, Entropy
from homing.routes import RouteCache
from homing.serve.feed import EventFeed
from homing.serve.intake import IntakeEndpoint
from homing.serve.keyring import Keyring
from homing.serve.metrics import Metrics
from homing.serve.rate_limits import RateLimits
from homing.serve.sends import SendEndpoint
from homing.serve.workspaces import Workspaces


@dataclass(frozen=True, slots=True)
class Moving:
    """What people and supervisors may want of where sessions live."""

    drains: Drains
    exits: Exits
    migrations: Migrations
    balance: Balance
    prospects: Prospects


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
    adopting: Adopting
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
