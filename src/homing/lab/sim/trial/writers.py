"""People who hand messages in and do not wait: one after the other for each chat, in batches, and changing their minds.

Each handing-in is asked again under its key until it is answered; what has no key is asked once.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import msgspec

from homing.drivers.http.connection import Reply
from homing.lab.sim.trial.clients import Chat
from homing.lab.sim.trial.judging.history import OutsideHistory
from homing.lab.sim.trial.scenario import Scenario
from homing.lab.sim.trial.world.network import SimulatedNetwork, SimulatedRequest

PLACE = "client"
PATIENCE_S = 20.0
ATTEMPTS = 8
ASK_AGAIN_S = 1.0
KEYED = 0.8
CHATS_OF_A_SESSION = 3
TAKEN_BACK = 0.15


class Writers:
    """All of them. Texts are unlike, so that the ledger tells them apart."""

    def __init__(
        self, scenario: Scenario, network: SimulatedNetwork, history: OutsideHistory, chance: random.Random, token: str
    ) -> None:
        self._scenario, self._network, self._history = scenario, network, history
        self._chance, self._token = chance, token

    async def write(self, chats: Sequence[Chat]) -> None:
        """Until it is time to be quiet."""
        async with asyncio.TaskGroup() as group:
            for chat in chats:
                for number in range(CHATS_OF_A_SESSION):
                    group.create_task(self._go_on(chat, f"62816{number}{chat.phone[-6:]}"))
            for number in range(self._scenario.batches):
                group.create_task(self._campaign(number, chats))

    # --- one message after the other ----------------------------------------------------------------------------------

    async def _go_on(self, chat: Chat, phone: str) -> None:
        pause_s = self._scenario.sessions * CHATS_OF_A_SESSION / self._scenario.accepted_per_s
        for number in count(1):
            await asyncio.sleep(self._chance.expovariate(1 / pause_s))
            if self._network.loop.time() > self._scenario.talk_until_s:
                return
            await self._hand_in(chat, phone, number)

    async def _hand_in(self, chat: Chat, phone: str, number: int) -> None:
        text = f"{chat.session} to {phone} #{number}"
        body = {"workspace_id": 1, "account_uuid": chat.account, "phone": phone, "message": text, "wait": False}
        key = f"outbox {text}" if self._chance.random() < KEYED else None
        told = await self._asked("/api/v1/messages/send", msgspec.json.encode(body), key)
        if told is None:
            self._history.add("not_accepted", message=text)
            return
        uuid = told["message_uuid"]
        self._history.add("accepted", message=text, uuid=uuid, session=chat.session, recipient=phone, number=number)
        if self._chance.random() < TAKEN_BACK:
            await asyncio.sleep(self._chance.choice((0.0, 0.02, 1.0)))
            back = await self._asked(f"/api/v1/messages/{uuid}/cancel", b"", None)
            if back is not None:
                self._history.add("taken_back", message=text, uuid=uuid)

    # --- many at once -------------------------------------------------------------------------------------------------

    async def _campaign(self, number: int, chats: Sequence[Chat]) -> None:
        last_s = max(self._scenario.talk_until_s - 10.0, self._scenario.calm_until_s)
        await asyncio.sleep(self._chance.uniform(0.0, last_s - self._scenario.calm_until_s))
        lines = [self._line(number, line, chats) for line in range(self._scenario.batch_lines)]
        texts = [line["message"] for line in lines]
        told = await self._asked("/api/v1/messages/bulk", b"\n".join(map(msgspec.json.encode, lines)), f"bulk {number}")
        if told is None or told["state"] == "rejected":
            self._history.add("not_accepted", message=f"batch {number}")
            return
        self._history.add("batch_accepted", batch=told["batch_id"], messages=texts)
        await self._change_minds(told["batch_id"])

    def _line(self, number: int, line: int, chats: Sequence[Chat]) -> dict[str, str]:
        chat = self._chance.choice(chats)
        phone = f"62817{self._chance.randrange(3)}{chat.phone[-6:]}"
        return {"phone": phone, "account_uuid": chat.account, "message": f"batch {number} line {line} to {phone}"}

    async def _change_minds(self, batch: str) -> None:
        """Some are paused for a while, and some taken back."""
        mind = self._chance.random()
        await asyncio.sleep(self._chance.choice((0.0, 0.1, 2.0)))
        if mind < 0.4:
            await self._asked(f"/api/v1/batches/{batch}/pause", b"", None, again=True)
            await asyncio.sleep(self._chance.expovariate(0.5))
            await self._asked(f"/api/v1/batches/{batch}/resume", b"", None, again=True)
        elif mind < 0.6 and await self._asked(f"/api/v1/batches/{batch}/cancel", b"", None, again=True) is not None:
            self._history.add("batch_taken_back", batch=batch)

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _asked(self, path: str, body: bytes, key: str | None, *, again: bool = False) -> Mapping[str, Any] | None:
        """What was answered, where that was yes."""
        headers = {"authorization": f"Bearer {self._token}"} | ({"idempotency-key": key} if key is not None else {})
        for _ in range(ATTEMPTS if key is not None or again else 1):
            gateway = self._chance.choice(self._scenario.gateway_names)
            request = SimulatedRequest("POST", path, headers, body)
            reply = await self._network.ask(PLACE, gateway, request, timeout_s=PATIENCE_S)
            if isinstance(reply, Reply) and reply.status in (200, 202):
                told: Mapping[str, Any] = msgspec.json.decode(reply.body)
                return told
            if isinstance(reply, Reply) and reply.status < 500 and reply.status != 409:
                return None
            await asyncio.sleep(ASK_AGAIN_S * (0.5 + self._chance.random()))
        return None
