"""What comes of each session, counted in memory and written down every few seconds.

A message that came is a sign of life if it is of now: gateways tell later what they could not tell then. A message that
went out is remembered until something that went out is acknowledged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from homing.decide.hearing import baseline, freshness, outgoing
from homing.decide.hearing.freshness import Lateness
from homing.decide.reports import settling
from homing.decide.reports.meanings import message_id_of, message_of
from homing.model.fleet import InstanceUrl, SessionId
from homing.model.instances.events import Event
from homing.model.sessions.hearing import HeardNews
from homing.ports import Clock, StoreUnavailable
from homing.ports.sessions.hearing import Hearings

log = structlog.get_logger("homing")

WRITE_EVERY_S = 5.0
SESSIONS_MAX = 100_000
"""Sessions of which something is remembered. Beyond, what is heard of others is not counted until there is room."""
RECENT_IDS = 64
GAP_MAX_S = 3_600.0
_CAME = "message_received"
_SENT = "message_sent"
_ACKNOWLEDGED = frozenset({"message_status_updated", "message_ack", "message_delivered", "message_read"})


@dataclass(slots=True)
class _Heard:
    """What was heard of a session: since it was last written down, and what the next message needs."""

    newest: datetime | None = None
    came: dict[int, tuple[int, float]] = field(default_factory=dict)
    sent: int = 0
    acknowledged: int = 0
    unacknowledged: tuple[datetime, ...] = ()
    acknowledged_at: datetime | None = None
    ids: dict[str, None] = field(default_factory=dict)
    changed: bool = False


class Ears:
    """Hears of events that are news, and of messages that went out."""

    def __init__(self, store: Hearings, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._heard: dict[SessionId, _Heard] = {}
        self._lateness: dict[InstanceUrl | None, Lateness] = {}

    def heard(self, event: Event) -> None:
        """An event was stored that is news. Costs no waiting, and raises nothing."""
        session = event.session_id
        if session is None or event.account_uuid is None:
            return
        if event.kind == _CAME and not _is_own(event.payload):
            if self._is_of_now(event):
                self._message(session, event.received_at)
        elif _acknowledges(event) and settling.sign_of(event.kind, session, event.payload) is not None:
            self._acknowledgement(session, event.received_at, message_id_of(event.payload))

    def sent(self, session: SessionId) -> None:
        """A message went out through the session, as far as its gateway says."""
        known = self._of(session)
        if known is not None:
            known.sent, known.changed = known.sent + 1, True
            known.unacknowledged = outgoing.with_sent(known.unacknowledged, self._clock.now())

    async def run(self) -> None:
        """Write down what was heard, until cancelled."""
        while True:
            await self._clock.sleep(WRITE_EVERY_S)
            try:
                await self.write()
            except StoreUnavailable as error:
                log.warning("What was heard of sessions waits for the store", error=str(error))

    async def write(self) -> None:
        """Write down what is new. Raises StoreUnavailable, and then keeps it."""
        news = [_news(session, known) for session, known in self._heard.items() if known.changed]
        taken = {each.session_id: each for each in news}
        if not news:
            return
        await self._store.note(news)
        for session, each in taken.items():
            _subtract(self._heard[session], each)

    def _message(self, session: SessionId, at: datetime) -> None:
        known = self._of(session)
        if known is None:
            return
        gap_s = (at - known.newest).total_seconds() if known.newest is not None else 0.0
        hour = baseline.hour_of(at)
        came, longest = known.came.get(hour, (0, 0.0))
        known.came[hour] = came + 1, max(longest, gap_s if 0 < gap_s <= GAP_MAX_S else 0.0)
        known.newest, known.changed = max(at, known.newest or at), True

    def _acknowledgement(self, session: SessionId, at: datetime, message_id: str | None) -> None:
        """Of one message several are told: that it was sent, delivered, read."""
        known = self._of(session)
        if known is None:
            return
        known.acknowledged_at, known.changed = max(at, known.acknowledged_at or at), True
        known.unacknowledged = tuple(each for each in known.unacknowledged if each > at)
        if message_id is None or message_id not in known.ids:
            known.acknowledged += 1
        if message_id is not None:
            known.ids[message_id] = None
            if len(known.ids) > RECENT_IDS:
                del known.ids[next(iter(known.ids))]

    def _is_of_now(self, event: Event) -> bool:
        if event.occurred_at is None:
            return True
        late_s = (event.received_at - event.occurred_at).total_seconds()
        known = self._lateness.get(event.instance_url, Lateness())
        self._lateness[event.instance_url], is_of_now = freshness.take(known, late_s)
        return is_of_now

    def _of(self, session: SessionId) -> _Heard | None:
        known = self._heard.get(session)
        if known is None and len(self._heard) < SESSIONS_MAX:
            known = self._heard[session] = _Heard()
        return known


def _acknowledges(event: Event) -> bool:
    """Our own instance says that a message was sent once WhatsApp took it; the Node service, when it has made it, and
    then with the whole message."""
    return event.kind in _ACKNOWLEDGED or (event.kind == _SENT and event.payload.get("status") == "sent")


def _is_own(payload: Mapping[str, Any]) -> bool:
    message = message_of(payload)
    return (message.get("from_me") or message.get("fromMe")) is True


def _news(session: SessionId, known: _Heard) -> HeardNews:
    return HeardNews(
        session,
        last_at=known.newest if known.came else None,
        came=dict(known.came),
        sent=known.sent,
        acknowledged=known.acknowledged,
        unacknowledged=known.unacknowledged,
        acknowledged_at=known.acknowledged_at,
    )


def _subtract(known: _Heard, written: HeardNews) -> None:
    """What was written is not written again; what came meanwhile stays."""
    for hour, (came, _) in written.came.items():
        left = known.came[hour][0] - came
        if left:
            known.came[hour] = left, known.came[hour][1]
        else:
            del known.came[hour]
    known.sent -= written.sent
    known.acknowledged -= written.acknowledged
    known.changed = bool(known.came or known.sent or known.acknowledged)
