"""What customers do with their endpoints: make and change them, rotate secrets, try them, have events told again."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime

from homing.decide.deliveries import shapes, signing
from homing.decide.deliveries.filters import unknown_words
from homing.flows.background.alerts import AlertBook
from homing.flows.deliveries.telling import BODY_KEPT
from homing.flows.deliveries.writing import encoded
from homing.model.alerts import About, Subject
from homing.model.deliveries.deliveries import DeliveryId, DeliveryState, ToldEvent
from homing.model.deliveries.egress import CallAnswer, UrlRefused
from homing.model.deliveries.endpoints import (
    EndpointId,
    EndpointRecord,
    EndpointSettings,
    EndpointState,
    EventType,
    SealedSecret,
)
from homing.model.errors import Code, Problem
from homing.model.fleet import WorkspaceId
from homing.model.urls import leads_under
from homing.ports import Clock, Entropy
from homing.ports.deliveries.deliveries import Deliveries, Endpoints, SecretBox, SecretSealed
from homing.ports.deliveries.egress import Egress

REPLAYED_AT_ONCE = 2_000
_TEST_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Made:
    """An endpoint with a secret that is shown this once."""

    endpoint: EndpointRecord
    secret: str


@dataclass(frozen=True, slots=True)
class Tried:
    """How an endpoint took a trial: its answer's status and beginning, or why there was none."""

    webhook_id: str
    delivered: bool
    status: int | None
    latency_ms: int
    reason: str
    body: str


class EndpointOperations:
    """Each raises Problem for what cannot be done, and StoreUnavailable."""

    def __init__(
        self,
        endpoints: Endpoints,
        deliveries: Deliveries,
        egress: Egress,
        secrets: SecretBox,
        clock: Clock,
        entropy: Entropy,
        alerts: AlertBook,
        look: Callable[[], None],
        our_url: str = "",
    ) -> None:
        """`look`: something may be due that nobody had word of. `our_url`: where gateways of ours are reached."""
        self._our_url = our_url
        self._endpoints, self._deliveries, self._egress, self._secrets = endpoints, deliveries, egress, secrets
        self._clock, self._entropy, self._alerts, self._look = clock, entropy, alerts, look

    async def create(self, workspace: WorkspaceId, settings: EndpointSettings, secret: str | None = None) -> Made:
        """Make an endpoint, with a secret of its own or the one that its owner has already."""
        await self._checked(settings)
        fresh = EndpointId(f"ep_{self._entropy.token(12).hex()}")
        shown, sealed = self._sealed(fresh, secret)
        return Made(await self._endpoints.create(fresh, workspace, settings, sealed), shown)

    async def change(
        self, endpoint: EndpointRecord, settings: EndpointSettings, state: EndpointState
    ) -> EndpointRecord:
        """What is set of it from now on. Enabled again it begins with a clean slate; what is dead stays dead."""
        if settings.url != endpoint.settings.url:
            await self._checked(settings)
        else:
            _check_filter(settings)
        reason = "its owner disabled it" if state is EndpointState.DISABLED else ""
        if state is endpoint.state:
            reason = endpoint.state_reason
        changed = await self._endpoints.change(endpoint.id, settings, state, reason)
        if changed is None:
            raise _no_endpoint(endpoint.id)
        if state is EndpointState.ENABLED:
            self._alerts.forget(Subject(About.ENDPOINT, endpoint.id))
        self._look()
        return changed

    async def rotate(self, endpoint: EndpointRecord, secret: str | None, *, keep_s: float) -> Made:
        """Sign with a new secret; for so long each delivery is signed with the one before as well."""
        shown, sealed = self._sealed(endpoint.id, secret)
        until = await self._endpoints.rotate(endpoint.id, sealed, keep_s=keep_s)
        if until is None:
            raise _no_endpoint(endpoint.id)
        return Made(replace(endpoint, previous_secret_until=until), shown)

    async def remove(self, endpoint: EndpointRecord) -> None:
        """Forget it, with what waits for it."""
        await self._endpoints.remove(endpoint.id)
        self._alerts.forget(Subject(About.ENDPOINT, endpoint.id))

    async def trial(self, endpoint: EndpointRecord) -> Tried:
        """Call it now with an event that says that it is a trial, whatever its filter and state."""
        sealed = await self._endpoints.secrets(endpoint.id)
        if sealed is None:
            raise _no_endpoint(endpoint.id)
        both = [sealed.newest] + ([sealed.previous] if sealed.previous is not None else [])
        now, began_s = self._clock.now(), self._clock.monotonic()
        event = _trial(endpoint, self._entropy.uuid(), now)
        body = encoded(shapes.body(event))
        try:
            opened = [self._secrets.unseal(f"endpoint {endpoint.id}", each) for each in both]
        except SecretSealed as error:
            raise Problem(Code.NOT_SUPPORTED, str(error)) from error
        headers = {"content-type": "application/json", **signing.headers(opened, event.id, now, body)}
        answer = await self._egress.post(
            endpoint.settings.url, body, headers, timeout_s=_TEST_TIMEOUT_S, keep_bytes=BODY_KEPT
        )
        took_ms = round((self._clock.monotonic() - began_s) * 1000)
        if not isinstance(answer, CallAnswer):
            return Tried(event.id, False, None, took_ms, answer.reason, "")
        well, shown = 200 <= answer.status < 300, answer.body.decode("utf-8", "replace")
        return Tried(event.id, well, answer.status, took_ms, f"answered {answer.status}", shown)

    async def replay(self, ids: Collection[DeliveryId]) -> set[DeliveryId]:
        """Make these once more, under their own `webhook-id`. Those that wait already are not in the answer."""
        again = await self._deliveries.replay(ids)
        self._look()
        return again

    async def replay_events(
        self, endpoint: EndpointRecord, *, since: datetime, until: datetime | None, only: DeliveryState | None
    ) -> int:
        """Tell the endpoint all events of a time again (`only`: those whose delivery ended so); how many."""
        if endpoint.state is not EndpointState.ENABLED:
            raise Problem(Code.ENDPOINT_DISABLED, f"{endpoint.id} is disabled; enable it first")
        after, told, until = 0, 0, until or self._clock.now()
        while True:
            step = await self._deliveries.replay_events(
                endpoint, since=since, until=until, after=after, only=only, limit=REPLAYED_AT_ONCE
            )
            told, after = told + step.told, step.last
            self._look()
            if step.looked_at < REPLAYED_AT_ONCE:
                return told
            await self._clock.sleep(0)

    async def _checked(self, settings: EndpointSettings) -> None:
        """Raises Problem for a URL that must not or cannot be called, and a filter that names nothing."""
        _check_filter(settings)
        try:
            await self._egress.check(settings.url)
        except UrlRefused as error:
            raise Problem(Code.URL_REFUSED, f"This endpoint cannot be called: {error}", field="url") from error
        if self._our_url and leads_under(settings.url, self._our_url):
            detail = f"{settings.url} is this gateway itself: each event would be the cause of the next one"
            raise Problem(Code.URL_REFUSED, detail, field="url")

    def _sealed(self, id: EndpointId, given: str | None) -> tuple[str, SealedSecret]:
        try:
            secret = signing.read(given) if given is not None else self._entropy.token(signing.SECRET_BYTES)
        except ValueError as error:
            raise Problem(Code.INVALID_REQUEST, str(error), field="secret") from error
        try:
            return signing.written(secret), self._secrets.seal(f"endpoint {id}", secret)
        except SecretSealed as error:
            raise Problem(Code.NOT_SUPPORTED, str(error)) from error


def _check_filter(settings: EndpointSettings) -> None:
    if unknown := unknown_words(settings.events):
        known = ", ".join(each.value for each in EventType if each is not EventType.ENDPOINT_TEST)
        raise Problem(Code.INVALID_REQUEST, f"There is no event {unknown[0]!r}; there are {known}", field="events")


def _trial(endpoint: EndpointRecord, id: str, now: datetime) -> ToldEvent:
    return ToldEvent(
        id=id,
        sequence=0,
        type=EventType.ENDPOINT_TEST,
        kind="endpoint_test",
        at=now,
        payload={"endpoint_id": endpoint.id, "text": "A trial, asked for by a person."},
        workspace_id=endpoint.workspace_id,
        session_id=None,
        account_uuid=None,
        chat="",
        session_sequence=None,
        chat_sequence=None,
    )


def _no_endpoint(id: EndpointId) -> Problem:
    return Problem(Code.ENDPOINT_NOT_FOUND, f"There is no endpoint {id}")
