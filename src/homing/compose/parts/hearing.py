"""The parts that hear what comes of sessions, judge by it, and try what may help."""

from dataclasses import dataclass

from homing.compose.parts.restoring import Restorers
from homing.config import Settings
from homing.flows.background.alerts import AlertBook
from homing.flows.background.observing import Observing
from homing.flows.background.schedules import Schedule
from homing.flows.background.worker import Duty, Worker
from homing.flows.discovery.listings import Lists
from homing.flows.failover.doubtful_sessions import Doubts
from homing.flows.hearing.abilities import HearingAbilities
from homing.flows.hearing.climbing import Climbing
from homing.flows.hearing.ears import Ears
from homing.flows.hearing.judging import KIND, Judging
from homing.flows.hearing.probing import Probing
from homing.flows.operations.accounts import Accounts
from homing.flows.recycling.recycling import Recycling
from homing.flows.webhooks.connecting import Connecting
from homing.flows.webhooks.intake import Intake
from homing.model.fleet import DeafPolicy
from homing.ports import Clock, Entropy, Fleet
from homing.store.opened import Stores

NAME = "hearing"


@dataclass(frozen=True, slots=True)
class HearingParts:
    """What runs for as long as the gateway is at work: `ears`, `worker`; and a round of `judging` by its schedule."""

    ears: Ears
    judging: Judging
    worker: Worker
    schedule: Schedule


def hearing_of(
    settings: Settings,
    stores: Stores,
    fleet: Fleet,
    lists: Lists,
    accounts: Accounts,
    kept: Restorers,
    observing: Observing,
    alerts: AlertBook,
    clock: Clock,
    entropy: Entropy,
    intake: Intake,
    doubts: Doubts,
    connecting: Connecting,
    recycling: Recycling,
) -> HearingParts:
    """Nothing is touched while the brake is engaged. What is stored and what is sent is heard from here on."""
    store = stores.hearings
    default = DeafPolicy(settings.homing_deaf_policy) if settings.homing_deaf_policy else None
    abilities = HearingAbilities(
        fleet,
        stores.grants,
        default=default,
        resubscribes=connecting.can_again,
        recycles=recycling.can_by_itself,
    )
    probing = Probing(store, fleet, clock, entropy, per_day=settings.homing_deaf_probes_per_day)
    judging = Judging(
        store,
        fleet,
        abilities,
        stores.work,
        alerts,
        clock,
        braked=kept.keeper.braked,
        probing=probing,
        dry_run=settings.homing_deaf_dry_run,
    )
    climbing = Climbing(
        store,
        stores.directory,
        lists,
        accounts,
        observing.gate(kept.rehoming),
        alerts,
        clock,
        resubscribe=connecting.again,
        recycle=recycling.for_deaf,
    )
    worker = Worker(stores.work, clock, entropy, KIND, Duty(climbing.do), owner=entropy.uuid())
    schedule = Schedule(NAME, settings.homing_deaf_schedule, judging.tick)
    ears = Ears(store, clock)
    intake.heard.append(ears.heard)
    doubts.sent, doubts.is_judged_so = ears.sent, judging.is_doubted
    return HearingParts(ears, judging, worker, schedule)
