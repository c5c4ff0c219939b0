"""Sending doubtful sessions a message to themselves: off unless the settings say how many a day."""

from collections.abc import Sequence

import structlog

from homing.decide.hearing import probing
from homing.decide.sending.idempotency import message_id
from homing.model.fleet import InstanceMode
from homing.model.sends.calls import OutgoingText
from homing.model.sends.faults import Fault
from homing.model.sessions.hearing import HearingCase, HearingRecord
from homing.ports import Clock, Entropy, Fleet
from homing.ports.sessions.hearing import Hearings

log = structlog.get_logger("homing")

SEND_TIMEOUT_S = 15.0
AT_ONCE = 20
TEXT = "Connection check"


class Probing:
    """Probes those that are due, a few in each round."""

    def __init__(self, store: Hearings, fleet: Fleet, clock: Clock, entropy: Entropy, *, per_day: int) -> None:
        self._store, self._fleet, self._clock, self._entropy = store, fleet, clock, entropy
        self._per_day = per_day

    async def probe(self, judged: Sequence[tuple[HearingCase, HearingRecord]]) -> int:
        """How many were sent one. What fails is no probe. Raises StoreUnavailable."""
        if self._per_day == 0:
            return 0
        due = [case for case, record in judged if self._is_due(case, record)][:AT_ONCE]
        return sum([await self._one(case) for case in due])

    def _is_due(self, case: HearingCase, record: HearingRecord) -> bool:
        instance = self._fleet.roster.instances.get(case.instance_url)
        mode = instance.mode if instance is not None else InstanceMode.OBSERVE
        now = self._clock.now()
        return probing.is_due(record.hearing, case.probes, now, mode=mode, per_day=self._per_day)

    async def _one(self, case: HearingCase) -> bool:
        """It is written down before it leaves: a gateway that is killed in between sends no second one."""
        at = self._clock.now()
        await self._store.keep_probes(case.session_id, probing.with_probe(case.probes, at))
        message = OutgoingText(
            case.session_id,
            case.workspace_id,
            case.phone.removeprefix("+"),
            TEXT,
            message_id(self._entropy.uuid().encode()),
            case.placement.epoch,
        )
        sent = await self._fleet.driver(case.instance_url).send(case.instance_url, message, timeout_s=SEND_TIMEOUT_S)
        if isinstance(sent, Fault):
            log.info("A message to itself could not be sent", session_id=case.session_id, reason=str(sent))
            await self._store.keep_probes(case.session_id, case.probes)
            return False
        return True
