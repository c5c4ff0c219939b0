"""People who use the gateways: each chat asks for one message after the other, and asks again as a good client does."""

import asyncio
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from homing.lab.sim.trial.judging.history import OutsideHistory
from homing.lab.sim.trial.scenario import Scenario
from homing.lab.sim.trial.world.network import SimulatedNetwork, SimulatedRequest
from homing.model.sends.faults import Fault

PLACE = "client"
PATIENCE_S = 40.0
ATTEMPTS = 4
ASK_AGAIN_S = 1.0
KEYED = 0.6


@dataclass(frozen=True, slots=True)
class Chat:
    """One account writing to one person."""

    session: str
    account: str
    phone: str


class Clients:
    """All chats. Texts are unlike, so that the ledger tells them apart."""

    def __init__(
        self, scenario: Scenario, network: SimulatedNetwork, history: OutsideHistory, chance: random.Random, token: str
    ) -> None:
        self._scenario, self._network, self._history = scenario, network, history
        self._chance, self._token = chance, token

    async def talk(self, chats: list[Chat]) -> None:
        """Until it is time to be quiet."""
        async with asyncio.TaskGroup() as group:
            for chat in chats:
                group.create_task(self._converse(chat))

    async def _converse(self, chat: Chat) -> None:
        pause_s = self._scenario.sessions / self._scenario.messages_per_s
        loop = self._network.loop
        number = 0
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / pause_s))
            if loop.time() > self._scenario.talk_until_s:
                return
            number += 1
            await self._say(chat, number)

    async def _say(self, chat: Chat, number: int) -> None:
        text = f"{chat.session} #{number}"
        key = f"key {text}" if self._chance.random() < KEYED else None
        for attempt, gateway in enumerate(self._gateways(), start=1):
            told = {"message": text, "attempt": attempt}
            self._history.add(
                "asked", **told, session=chat.session, number=number, gateway=gateway, key=key, recipient=chat.phone
            )
            reply = await self._network.ask(PLACE, gateway, self._request(chat, text, key), timeout_s=PATIENCE_S)
            if isinstance(reply, Fault):
                self._history.add("unanswered", **told, why=reply.phase.value)
                again = key is not None or reply.phase.value == "refused"
            else:
                said = msgspec.json.decode(reply.body)
                self._history.add("answered", **told, status=reply.status, **_gist(said))
                again = key is not None and (reply.status == 409 or reply.status >= 500)
            if not again or attempt >= ATTEMPTS:
                return
            await asyncio.sleep(ASK_AGAIN_S * (0.5 + self._chance.random()))

    def _gateways(self) -> Iterator[str]:
        """As a load balancer gives them out."""
        names = self._scenario.gateway_names
        while True:
            yield self._chance.choice(names)

    def _request(self, chat: Chat, text: str, key: str | None) -> SimulatedRequest:
        body = {"workspace_id": 1, "account_uuid": chat.account, "phone": chat.phone, "message": text}
        headers = {"authorization": f"Bearer {self._token}"}
        if key is not None:
            headers["idempotency-key"] = key
        return SimulatedRequest("POST", "/api/v1/messages/send", headers, msgspec.json.encode(body))


def _gist(said: Mapping[str, Any]) -> dict[str, Any]:
    """What of an answer matters afterwards."""
    data = said.get("data") or {}
    return {
        "success": said.get("success"),
        "code": said.get("code"),
        "outcome": said.get("outcome"),
        "id": data.get("message_id"),
        "uuid": said.get("message_uuid"),
        "attempts": said.get("attempts"),
        "url": said.get("instance_url"),
        "detail": said.get("detail"),
    }
