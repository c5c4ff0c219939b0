"""DeliveryTurns one endpoint what is due for it, for a while; then the next endpoint has its turn.

A job of the work table is an endpoint's turn: whoever has it is the only one that tells this endpoint. Which deliveries
there are, and when each is due, is in their own table, so that a turn that a dying gateway loses loses nothing: what
was not written down is told again, under the same `webhook-id`.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from homing.decide.deliveries import attempts, shapes, signing
from homing.decide.deliveries.attempts import PatiencePolicy
from homing.flows.background.alerts import AlertBook
from homing.flows.deliveries.writing import encoded
from homing.model.alerts import About, AlertKind, Subject
from homing.model.deliveries.deliveries import (
    Attempted,
    Delivery,
    DeliveryAttempt,
    DeliveryId,
    DeliveryState,
    DueDelivery,
    ToldEvent,
)
from homing.model.deliveries.egress import CallAnswer, CallFailed
from homing.model.deliveries.endpoints import EndpointHealth, EndpointId, EndpointRecord, EndpointState
from homing.model.work import Done, Ending, Job, Retry
from homing.ports import Clock, Entropy
from homing.ports.deliveries.deliveries import Deliveries, Endpoints, SecretBox, SecretSealed
from homing.ports.deliveries.egress import Egress

log = structlog.get_logger("homing")

QUICK, SLOW = "deliver", "deliver_slow"
"""The kinds of turns: in the second are endpoints that fail or take long, so that the others need not wait for them."""
BODY_KEPT = 2_048
"""Bytes of an endpoint's answer that are kept."""
_SOON_S = 60.0
_UNTELLABLE = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What an event that is no such event raises when it is written down: it fails alone."""


@dataclass(frozen=True, slots=True)
class TellingPolicy:
    """How much one turn may do. `slice_s` is how long it begins new attempts, each of which may take `timeout_s`."""

    timeout_s: float = 15.0
    slice_s: float = 5.0
    batch: int = 100
    gather_s: float = 0.02
    patience: PatiencePolicy = field(default_factory=PatiencePolicy)


@dataclass(slots=True)
class _Turn:
    """One endpoint's turn: how it is, what is under way, and what has ended and is not written down yet."""

    endpoint: EndpointRecord
    secrets: list[bytes]
    health: EndpointHealth
    until_s: float
    next_at_s: float = 0.0
    under_way: dict[asyncio.Task[Attempted], Delivery] = field(default_factory=dict)
    queue: list[DueDelivery] = field(default_factory=list)
    ended: list[Attempted] = field(default_factory=list)
    was_failing: bool = False
    gone: str = ""

    @property
    def concurrency(self) -> int:
        """One that keeps failing is tried with one delivery at a time."""
        return 1 if self.health.failures >= attempts.SOME_FAILURES else self.endpoint.settings.concurrency

    @property
    def busy(self) -> set[DeliveryId]:
        return {each.id for each in self.under_way.values()} | {each.delivery.id for each in self.ended}


class DeliveryTurns:
    """Does the turns. `look` sees to later ones; `counted` hears what came of each attempt, and how many s it took."""

    def __init__(
        self,
        endpoints: Endpoints,
        deliveries: Deliveries,
        egress: Egress,
        secrets: SecretBox,
        clock: Clock,
        entropy: Entropy,
        alerts: AlertBook,
        policy: TellingPolicy | None = None,
        look: Callable[[], None] = lambda: None,
        counted: Callable[[str, float], None] = lambda _outcome, _s: None,
        reached: Callable[[str], None] = lambda _: None,
        file_of: Callable[[ToldEvent], Mapping[str, Any] | None] = lambda _: None,
    ) -> None:
        self._endpoints, self._deliveries, self._egress, self._secrets = endpoints, deliveries, egress, secrets
        self._clock, self._entropy, self._alerts = clock, entropy, alerts
        self._policy, self._look, self._counted, self._reached = policy or TellingPolicy(), look, counted, reached
        self._file_of = file_of

    async def do(self, job: Job) -> Ending:
        """One turn of the endpoint that the job names. Raises StoreUnavailable."""
        turn = await self._begin(EndpointId(str(job.payload["endpoint"])))
        if turn is None:
            return Done("it is not told anything")
        try:
            await self._go_on(turn)
        finally:
            for task in turn.under_way:
                task.cancel()
        return await self._ending(turn, job.kind)

    async def _begin(self, id: EndpointId) -> _Turn | None:
        endpoint, sealed = await self._endpoints.find(id), await self._endpoints.secrets(id)
        if endpoint is None or sealed is None or endpoint.state is not EndpointState.ENABLED:
            return None
        both = [sealed.newest] + ([sealed.previous] if sealed.previous is not None else [])
        try:
            opened = [self._secrets.unseal(f"endpoint {id}", each) for each in both]
        except SecretSealed as error:
            self._alerts.raised(AlertKind.ENDPOINT_DISABLED, Subject(About.ENDPOINT, id), str(error))
            return None
        until_s = self._clock.monotonic() + self._policy.slice_s
        health = replace(endpoint.health, retry_at=None)  # it has passed, by the store's clock
        return _Turn(endpoint, opened, health, until_s, was_failing=endpoint.health.failures > 0)

    async def _go_on(self, turn: _Turn) -> None:
        while True:
            await self._start(turn)
            if not turn.under_way:
                await self._write_down(turn)
                if not self._may_start(turn) or not await self._fetch(turn):
                    return
                continue
            await asyncio.wait(turn.under_way, return_when=asyncio.FIRST_COMPLETED)
            self._take_ended(turn)
            if len(turn.ended) >= self._policy.batch or self._should_write(turn):
                await self._write_down(turn)

    def _should_write(self, turn: _Turn) -> bool:
        """As soon as something waits for it: the next of an ordered lane, or what is not fetched yet."""
        return bool(turn.ended) and (turn.endpoint.settings.ordered or not turn.queue)

    async def _start(self, turn: _Turn) -> None:
        """Begin as many attempts as may be under way at once, and as the endpoint's rate allows."""
        while self._may_start(turn) and len(turn.under_way) < turn.concurrency:
            if not turn.queue and not await self._fetch(turn):
                return
            wait_s = turn.next_at_s - self._clock.monotonic()
            if wait_s > 0:
                if turn.under_way:
                    return
                await self._clock.sleep(wait_s)
            due = turn.queue.pop(0)
            task = asyncio.get_running_loop().create_task(self._attempt(turn, due))
            turn.under_way[task] = due.delivery
            if turn.endpoint.settings.rate_per_s:
                turn.next_at_s = max(turn.next_at_s, self._clock.monotonic()) + 1 / turn.endpoint.settings.rate_per_s

    def _may_start(self, turn: _Turn) -> bool:
        if turn.gone or self._clock.monotonic() >= turn.until_s:
            return False
        let_be = turn.health.retry_at
        return let_be is None or self._clock.now() >= let_be

    async def _fetch(self, turn: _Turn) -> bool:
        """Look for what is due; whether there is any."""
        limit = self._policy.batch if turn.concurrency > 1 else 1
        found = await self._deliveries.due(turn.endpoint, limit=limit, busy=turn.busy)
        turn.queue.extend(found)
        return bool(found)

    async def _attempt(self, turn: _Turn, due: DueDelivery) -> Attempted:
        if due.event is None:
            return self._dead(due.delivery, "the event was forgotten before it was told")
        try:
            body = encoded(shapes.body(due.event, self._file_of(due.event)))
        except _UNTELLABLE as error:
            return self._dead(due.delivery, f"the event cannot be told: {str(error) or type(error).__name__}")
        return await self._tried(turn, due.delivery, body)

    async def _tried(self, turn: _Turn, delivery: Delivery, body: bytes) -> Attempted:
        began, began_s = self._clock.now(), self._clock.monotonic()
        answer = await self._call(turn, delivery.event_id, body)
        took_s, now = self._clock.monotonic() - began_s, self._clock.now()
        nth, schedule = delivery.round_attempts + 1, turn.endpoint.settings.schedule
        step = attempts.next_step(answer, attempt=nth, schedule=schedule, now=now, chance=self._entropy.random())
        if step.gone:
            turn.gone = step.reason
        self._counted(_outcome(answer), took_s)
        status, said = (answer.status, answer.body) if isinstance(answer, CallAnswer) else (None, b"")
        shown, took_ms = said.decode("utf-8", "replace"), round(took_s * 1000)
        attempt = DeliveryAttempt(delivery.attempts + 1, began, took_ms, status, step.reason, shown)
        return Attempted(delivery, attempt, step.state, step.after_s)

    def _dead(self, delivery: Delivery, reason: str) -> Attempted:
        """One that cannot be told to anybody: it fails alone, and says nothing of its endpoint."""
        now = self._clock.now()
        attempt = DeliveryAttempt(delivery.attempts + 1, now, 0, None, reason, "")
        return Attempted(delivery, attempt, DeliveryState.DEAD, called=False)

    async def _call(self, turn: _Turn, webhook_id: str, body: bytes) -> CallAnswer | CallFailed:
        headers = {"content-type": "application/json", **self._signed(turn, webhook_id, body)}
        return await self._egress.post(
            turn.endpoint.settings.url, body, headers, timeout_s=self._policy.timeout_s, keep_bytes=BODY_KEPT
        )

    def _signed(self, turn: _Turn, webhook_id: str, body: bytes) -> Mapping[str, str]:
        return signing.headers(turn.secrets, webhook_id, self._clock.now(), body)

    def _take_ended(self, turn: _Turn) -> None:
        for task in [task for task in turn.under_way if task.done()]:
            del turn.under_way[task]
            ended = task.result()
            turn.ended.append(ended)
            if not ended.called:
                continue
            turn.health = attempts.health_after(
                turn.health,
                succeeded=ended.state is DeliveryState.DELIVERED,
                latency_ms=ended.attempt.latency_ms,
                schedule=turn.endpoint.settings.schedule,
                now=self._clock.now(),
            )
        if turn.concurrency == 1:
            turn.queue.clear()  # what was fetched for many at once is fetched again, one by one

    async def _write_down(self, turn: _Turn) -> None:
        if not turn.ended:
            return
        self._reached("delivery answered")
        recovered = turn.was_failing and any(each.state is DeliveryState.DELIVERED for each in turn.ended)
        await self._deliveries.record(
            turn.endpoint.id, turn.ended, turn.health, recovered=recovered, as_of=self._clock.now()
        )
        self._reached("delivery recorded")
        turn.was_failing = turn.health.failures > 0
        turn.ended = []

    async def _ending(self, turn: _Turn, line: str) -> Ending:
        await self._judge(turn)
        if turn.gone:
            return Done(turn.gone)
        due_s = await self._deliveries.next_due_s(turn.endpoint)
        if turn.health.retry_at is not None and due_s is not None:
            due_s = max(due_s, (turn.health.retry_at - self._clock.now()).total_seconds())
        right_line = SLOW if attempts.is_slow(turn.health, self._policy.patience) else QUICK
        if due_s is None or due_s > _SOON_S or line != right_line:
            self._look()  # perhaps there is something by now, and if not, it is known when there will be
            return Done("nothing is due for it")
        return Retry(max(due_s, 0.0), "its turn is over", counts=False)

    async def _judge(self, turn: _Turn) -> None:
        """Disable an endpoint that wants nothing more, or has failed for days."""
        state, reason = attempts.state_after(turn.health, now=self._clock.now(), policy=self._policy.patience)
        turn.gone = turn.gone or ("" if state is EndpointState.ENABLED else reason)
        subject = Subject(About.ENDPOINT, turn.endpoint.id)
        if turn.gone:
            dead = await self._deliveries.disable(turn.endpoint.id, turn.gone)
            self._alerts.raised(AlertKind.ENDPOINT_DISABLED, subject, turn.gone, dead_letters=dead)
        elif not turn.health.failures:
            self._alerts.resolved(AlertKind.ENDPOINT_DISABLED, subject)


def _outcome(answer: CallAnswer | CallFailed) -> str:
    if isinstance(answer, CallFailed):
        return answer.failure.value
    return f"{answer.status // 100}xx"
