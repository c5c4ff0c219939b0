"""What takes messages in."""

from dataclasses import dataclass

from homing.compose.media import MediaParts
from homing.config import Settings
from homing.flows.sending.accept import Accepting
from homing.flows.sending.admission import Admissions
from homing.flows.sending.idempotent_send import KeyedSends
from homing.flows.sending.send import Sending
from homing.flows.sending.send_records import Recorder
from homing.ports import Clock, Entropy
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
    recorder: Recorder
    endpoint: SendEndpoint

    @property
    def services(self) -> tuple[KeyedSends, Recorder]:
        """What has to run for as long as the gateway is at work."""
        return self.keyed, self.recorder


def taking_in(
    settings: Settings,
    stores: Stores,
    callers: Callers,
    routes: RouteCache,
    sending: Sending,
    metrics: Metrics,
    clock: Clock,
    entropy: Entropy,
    media: MediaParts,
) -> Taking:
    keyring, rate_limits, workspaces = callers
    keyed = KeyedSends(stores.messages, clock, owner=entropy.uuid(), keep_s=settings.homing_idempotency_hours * 3600)
    admissions = Admissions(settings.admission_policy, metrics.refused)
    metrics.sends_in_progress.set_function(lambda: admissions.sends)
    secret = settings.message_id_secret
    accepting = Accepting(routes, workspaces.recipient, admissions, keyed, entropy, secret=secret, media=media.intake)
    recorder = Recorder(stores.messages, clock)
    endpoint = SendEndpoint(
        keyring=keyring,
        rate_limits=rate_limits,
        workspaces=workspaces,
        accepting=accepting,
        sending=sending,
        recorder=recorder,
        clock=clock,
        metrics=metrics,
        media=media.intake,
        media_links=media.links,
    )
    return Taking(accepting, keyed, recorder, endpoint)
