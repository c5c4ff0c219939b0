"""Customers' servers: what each is told is seen by the world, and each has a manner of its own."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from homing.lab.sim.egress import SimulatedEgress, SimulatedMail
from homing.lab.sim.trial.judging.history import OutsideHistory
from homing.model.deliveries.egress import CallAnswer, CallFailed, CallFailure
from homing.ports.deliveries.receivers import WaysOut


@dataclass(frozen=True, slots=True)
class Manner:
    """How a customer's server behaves: how often it fails, or takes an event and is not heard to, and how long it
    takes."""

    fails: float = 0.0
    unheard: float = 0.0
    takes_s: float = 0.05


MANNERS = (Manner(), Manner(fails=0.1, unheard=0.05), Manner(takes_s=1.5, unheard=0.1))


class SimulatedReceiver:
    """One customer's server. While `away` is above zero nobody is there."""

    def __init__(self, host: str, manner: Manner, history: OutsideHistory, chance: random.Random) -> None:
        self._host, self._manner, self._history, self._chance = host, manner, history, chance
        self.away = 0

    async def __call__(self, body: bytes, headers: Mapping[str, str]) -> CallAnswer | CallFailed:
        await asyncio.sleep(self._chance.uniform(0.001, 0.02))
        if self.away:
            return CallFailed(CallFailure.UNREACHED, "nobody listens there")
        await asyncio.sleep(self._manner.takes_s * self._chance.random())
        status = 503 if self._chance.random() < self._manner.fails else 204
        self._heard(msgspec.json.decode(body), headers["webhook-id"], status)
        if self._chance.random() < self._manner.unheard:
            return CallFailed(CallFailure.BROKEN, "the connection was cut before its answer")
        await asyncio.sleep(self._chance.uniform(0.001, 0.02))
        return CallAnswer(status)

    def _heard(self, told: Mapping[str, Any], webhook_id: str, status: int) -> None:
        data = told["data"]
        self._history.add(
            "told",
            where=self._host,
            id=webhook_id,
            type=told["type"],
            session=data.get("session_id"),
            chat=data.get("chat"),
            number=data.get("chat_sequence"),
            status=status,
        )


def ways_to(receivers: Mapping[str, SimulatedReceiver]) -> WaysOut:
    """To these servers, and to nobody else."""
    customers = SimulatedEgress()
    customers.receivers.update(receivers)
    return WaysOut(customers, SimulatedEgress(), SimulatedMail())
