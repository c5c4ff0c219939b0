"""The parts that tell customers of events and operators of conditions, made and told of each other."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from homing.compose.parts.conditions import conditions_of
from homing.compose.parts.restoring import Restorers
from homing.config import Settings
from homing.decide.deliveries.attempts import PatiencePolicy
from homing.decide.work.attempts import RetryPolicy
from homing.flows.alerts.conditions import ConditionWatch
from homing.flows.alerts.managing import ReceiverOperations
from homing.flows.alerts.places import AlertPlaces
from homing.flows.alerts.receivers import TELL_RECEIVER, ReceiverTurns
from homing.flows.background.alerts import AlertBook
from homing.flows.background.worker import Duty, Worker
from homing.flows.deliveries.managing import EndpointOperations
from homing.flows.deliveries.telling import QUICK, SLOW, DeliveryTurns, TellingPolicy
from homing.flows.deliveries.waking import Waking
from homing.flows.media.inbound import InboundFiles
from homing.model.alerts import AlertKind
from homing.model.deliveries.receivers import Reminding
from homing.ports import Clock, Entropy, Fleet
from homing.ports.deliveries.receivers import WaysOut
from homing.serve.metrics import Metrics
from homing.store.deliveries.secrets import DerivedSecrets
from homing.store.opened import Stores

LEASE_S = 10.0
_PATIENCE = RetryPolicy(waits_s=(1.0, 5.0, 30.0))


@dataclass(frozen=True, slots=True)
class Customers:
    """Who tells customers of events, and what they can do about it."""

    operations: EndpointOperations
    waking: Waking
    receivers: ReceiverOperations
    services: tuple[Waking | Worker | ReceiverTurns | ConditionWatch, ...]


def customers_of(
    settings: Settings,
    stores: Stores,
    fleet: Fleet,
    kept: Restorers,
    ways: WaysOut,
    alerts: AlertBook,
    metrics: Metrics,
    clock: Clock,
    entropy: Entropy,
    reached: Callable[[str], None],
    files: InboundFiles,
) -> Customers:
    secrets = secrets_of(settings, entropy)
    patience = PatiencePolicy(disable_after=timedelta(days=settings.homing_endpoint_failing_days))
    policy = TellingPolicy(timeout_s=settings.homing_delivery_timeout, patience=patience)
    waking = Waking(
        stores.deliveries,
        alerts,
        clock,
        patience,
        backlog_max=settings.homing_delivery_backlog,
        keep_days=settings.homing_delivery_days,
    )
    stores.notices.subscribe(waking.hear)
    deliveries = DeliveryTurns(
        stores.endpoints,
        stores.deliveries,
        ways.customers,
        secrets,
        clock,
        entropy,
        alerts,
        policy,
        waking.look,
        metrics.delivered,
        reached,
        files.told,
    )
    quick, slow = settings.homing_endpoints_at_once, max(1, settings.homing_endpoints_at_once // 4)
    owner = entropy.uuid()
    workers = [
        Worker(stores.work, clock, entropy, kind, _duty(deliveries, at_once), owner=owner)
        for kind, at_once in ((QUICK, quick), (SLOW, slow))
    ]
    operations = EndpointOperations(
        stores.endpoints,
        stores.deliveries,
        ways.customers,
        secrets,
        clock,
        entropy,
        alerts,
        waking.look,
        our_url=settings.our_url,
    )
    receivers = stores.receivers
    places = AlertPlaces(stores.directory, fleet, kept.watching.health_of)
    known = (receivers, stores.alerts, stores.work, ways.operators, ways.mail, secrets, clock, places.of)
    reminding = {
        AlertKind.PAIRING_WAITS: Reminding(settings.homing_pairing_remind_every, settings.homing_pairing_reminders)
    }
    turns = ReceiverTurns(*known, reminding)
    stores.notices.subscribe(turns.hear)
    duty = Duty(handler=turns.do, policy=_PATIENCE, at_once=8, lease_s=LEASE_S, poll_s=5.0)
    told = Worker(stores.work, clock, entropy, TELL_RECEIVER, duty, owner=owner)
    telling = ReceiverOperations(receivers, turns, ways.operators, secrets, clock, entropy)
    conditions = conditions_of(settings, stores, fleet, kept, alerts, clock)
    return Customers(operations, waking, telling, (waking, *workers, turns, told, conditions))


def secrets_of(settings: Settings, entropy: Entropy) -> DerivedSecrets:
    """Seals what customers and operators entrust to us."""
    old = (each.strip().encode() for each in settings.homing_old_secrets.split(",") if each.strip())
    return DerivedSecrets(settings.own_key_secret, old, entropy.token)


def _duty(telling: DeliveryTurns, at_once: int) -> Duty:
    return Duty(handler=telling.do, policy=_PATIENCE, at_once=at_once, lease_s=LEASE_S, poll_s=5.0)
