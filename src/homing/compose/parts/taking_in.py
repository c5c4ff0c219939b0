"""What takes messages in."""

from dataclasses import dataclass

from homing.config import Settings
from homing.decide.sending import history
from homing.flows.background.worker import Duty, Worker
from homing.flows.media.intake import MediaIntake
from homing.flows.outbox.bulk import Bulk
from homing.flows.outbox.chat_turns import ChatTurns
from homing.flows.outbox.lanes import KIND, PATIENCE, Lanes
from homing.flows.sending import chat_history
from homing.flows.sending.accept import Accepting, Admissions
from homing.flows.sending.chat_history import ChatHistories
from homing.flows.sending.idempotent_send import KeyedSends
from homing.flows.sending.opt_outs import OptOuts
from homing.flows.sending.own_messages import Said
from homing.flows.sending.send import Sending
from homing.flows.sending.send_records import Recorder
from homing.ports import Clock, Entropy, Fleet
from homing.routing.cache import RouteCache
from homing.serve.callers.keyring import Keyring
from homing.serve.callers.rate_limits import RateLimits
from homing.serve.callers.workspaces import Workspaces
from homing.serve.metrics import Metrics
from homing.serve.sends import SendEndpoint
from homing.store.opened import Stores

Callers = tuple[Keyring, RateLimits, Workspaces]
"""Who may ask, how often, and how they write numbers."""


@dataclass(frozen=True, slots=True)
class Taking:
    """The send route, and what it takes messages in with."""

    accepting: Accepting
    keyed: KeyedSends
    opt_outs: OptOuts
    recorder: Recorder
    endpoint: SendEndpoint
    lanes: Lanes
    dispatcher: Worker
    looking: Worker

    @property
    def services(self) -> tuple[KeyedSends, OptOuts, Recorder, Bulk, Worker, Worker]:
        """What has to run for as long as the gateway is at work."""
        return self.keyed, self.opt_outs, self.recorder, self.endpoint.bulk, self.dispatcher, self.looking


def taking_in(
    settings: Settings,
    stores: Stores,
    callers: Callers,
    routes: RouteCache,
    sending: Sending,
    metrics: Metrics,
    clock: Clock,
    entropy: Entropy,
    media: MediaIntake,
    fleet: Fleet,
    said: Said,
) -> Taking:
    keyring, rate_limits, workspaces = callers
    keep_s = settings.homing_idempotency_hours * 3600
    keyed = KeyedSends(stores.messages, clock, owner=entropy.uuid(), keep_s=keep_s)
    admissions = Admissions(settings.admission_policy, metrics.refused)
    metrics.sends_in_progress.set_function(lambda: admissions.sends)
    opt_outs = OptOuts(stores.outbox, clock, ttl_s=settings.homing_cache_ttl)
    stores.notices.subscribe(opt_outs.hear)
    accepting = Accepting(
        routes,
        workspaces.recipient,
        admissions,
        keyed,
        stores.outbox,
        entropy,
        opt_outs,
        secret=settings.message_id_secret,
        keep_s=keep_s,
        max_age_s=settings.homing_outbox_max_age,
        media=media,
    )
    recorder = Recorder(stores.messages, clock)
    bulk = Bulk(stores.outbox, routes, media, clock, entropy, secret=settings.message_id_secret)
    turns = ChatTurns(settings.homing_send_deadline)
    endpoint = SendEndpoint(
        keyring=keyring,
        rate_limits=rate_limits,
        workspaces=workspaces,
        accepting=accepting,
        bulk=bulk,
        sending=sending,
        turns=turns,
        recorder=recorder,
        clock=clock,
        metrics=metrics,
        media=media,
    )
    lanes = Lanes(stores.outbox, sending, routes, turns, clock, entropy)
    stores.notices.subscribe(lanes.hear)
    duty = Duty(handler=lanes.work, policy=PATIENCE, at_once=settings.homing_outbox_lanes, lease_s=10.0, fair=True)
    dispatcher = Worker(stores.work, clock, entropy, KIND, duty, owner=entropy.uuid())
    looking = looking_into_chats(stores, routes, fleet, sending, said, clock, entropy)
    return Taking(accepting, keyed, opt_outs, recorder, endpoint, lanes, dispatcher, looking)


def looking_into_chats(
    stores: Stores, routes: RouteCache, fleet: Fleet, sending: Sending, said: Said, clock: Clock, entropy: Entropy
) -> Worker:
    """What looks for messages of unknown outcome in their chats."""
    histories = ChatHistories(stores.messages, stores.outbox, routes, fleet, sending.numbers, said, clock)
    patience, at_once = chat_history.PATIENCE, chat_history.AT_ONCE
    duty = Duty(handler=histories.look, policy=patience, at_once=at_once, poll_s=3.0, fair=True)
    return Worker(stores.work, clock, entropy, history.KIND, duty, owner=entropy.uuid())
