"""Looking for messages of unknown outcome in their chats, where a gateway shows those.

A job stands for each such message, so that one gateway looks, whichever lives: at most three times within the time that
its chat waits for it. It is never sent again here, and never called failed.
"""

from datetime import datetime

import structlog

from homing.decide.phones import spellings
from homing.decide.sending.history import LOOKED_FOR_AFTER_S, Undecided, judged
from homing.decide.work.attempts import RetryPolicy
from homing.flows.sending.number_checks import NumberChecks
from homing.flows.sending.own_messages import Said
from homing.model.fleet import Capabilities, InstanceUrl, PlacementState, Route, SessionId
from homing.model.instances.events import DeliveryEvidence, Settlement
from homing.model.sends.addresses import Address
from homing.model.sends.faults import Fault
from homing.model.sends.history import Alike, ChatHistory, HandOver
from homing.model.sends.messages import MessageRecord, MessageState
from homing.model.work import Ending, Job, Retry
from homing.ports import Clock, Fleet, Messages, Outbox, Routes

log = structlog.get_logger("homing")

PATIENCE = RetryPolicy(waits_s=(5.0,) * 6)
"""With a store that is away."""
ASK_WITHIN_S = 5.0
AT_ONCE = 4
"""So many chats are looked at at the same time, of all workspaces alike."""


class ChatHistories:
    """The handler of the jobs that look."""

    def __init__(
        self, messages: Messages, outbox: Outbox, routes: Routes, fleet: Fleet, numbers: NumberChecks, said: Said,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._messages, self._outbox, self._routes, self._fleet = messages, outbox, routes, fleet
        self._numbers, self._said, self._clock = numbers, said, clock

    async def look(self, job: Job) -> str | Ending:
        """Look once; again later, as long as another look may find more. Raises StoreUnavailable."""
        record = await self._messages.message(None, job.payload["message"])
        if record is None or record.state is not MessageState.UNKNOWN:
            return "it is not unknown any more"
        given = HandOver(*(datetime.fromisoformat(job.payload[name]) for name in ("since", "until")))
        came = await self._looked(record, given)
        if came is None:
            return "the gateway of its session shows no chats"
        if isinstance(came, Settlement):
            return await self._settled(came)
        if not came.final and job.attempts < len(LOOKED_FOR_AFTER_S):
            return Retry(LOOKED_FOR_AFTER_S[max(job.attempts, 1)], came.reason)
        await self._outbox.remark(record.uuid, came.reason)
        log.info("A message stays unknown", message_uuid=record.uuid, reason=came.reason)
        return came.reason

    async def _settled(self, came: Settlement) -> str:
        if not await self._outbox.found(came):
            return "it was settled otherwise"
        log.info("A message was sent after all", message_uuid=came.message_uuid, reason=came.reason)
        return came.reason

    async def _looked(self, record: MessageRecord, given: HandOver) -> Settlement | Undecided | None:
        """None where there is nobody to ask."""
        route, _ = await self._routes.route(record.workspace_id, record.account_uuid, None)
        if route is None:
            return None
        url = route.placement.instance_url or self._fleet.default_url
        if url is None or route.placement.state is PlacementState.MOVING:
            return Undecided("its session was nowhere, and its chat could not be looked at")
        can = await self._fleet.capabilities(url, timeout_s=ASK_WITHIN_S)
        if isinstance(can, Capabilities) and not can.read_history:
            return None
        shown = can if isinstance(can, Fault) else await self._shown(route, url, record)
        if isinstance(shown, Fault):
            return Undecided(f"its chat could not be looked at: {shown}")
        alike = await self._alike(route.session_id, record, shown)
        return judged(record, given, shown, alike, self._clock.now())

    async def _shown(self, route: Route, url: InstanceUrl, record: MessageRecord) -> ChatHistory | Fault:
        to = record.recipient_phone
        if spellings.has_two(to):
            to = await self._numbers.recipient(route.session_id, url, to)
        driver, chat = self._fleet.driver(url), Address.of(to)
        return await driver.history(url, route.session_id, chat, timeout_s=ASK_WITHIN_S)

    async def _alike(self, session: SessionId, record: MessageRecord, shown: ChatHistory) -> Alike:
        """Ours are those of the store, and those that simply went from here, of which the store has none."""
        ids = [each.message_id for each in shown.messages if each.from_me]
        known = await self._outbox.alike(record, ids)
        hidden = "@" in record.recipient_phone
        phone = None if hidden else record.recipient_phone
        signs = [DeliveryEvidence("message_sent", session, each, phone, record.text, hidden) for each in ids]
        explained = {sign.message_id for sign in signs if sign.message_id and self._said.explains(sign)}
        return Alike({*known.ids, *explained}, known.open)
