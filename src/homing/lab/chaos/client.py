"""A client that behaves well: what was not answered as sent is asked again, under the same key."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from random import SystemRandom
from typing import Any

from homing.demo.population import DemoAccount
from homing.drivers.http.wire import Wire, WireLimits
from homing.model.fleet import Contact
from homing.model.sends.faults import Fault

SEND = "/api/v1/messages/send"
ANSWER_WITHIN_S = 40.0
PATIENCE_S = 90.0
_PAUSE_S = 0.2
PAUSE_MAX_S = 3.0
_NEVER_AGAIN = frozenset(range(400, 500)) - {408, 409, 425, 429}


@dataclass(frozen=True, slots=True)
class AnswerMet:
    """One answer as it was met. Status 0: none came."""

    status: int
    document: dict[str, Any]
    took_s: float

    @property
    def is_sent(self) -> bool:
        return self.status == 200

    def __str__(self) -> str:
        code = self.document.get("code") or self.document.get("outcome") or ""
        why = self.document.get("detail") or self.document.get("reason") or ""
        return f"{self.status} {code} {why}".strip()


@dataclass(slots=True)
class AskedMessage:
    """One message and all the answers to it. Times are monotonic."""

    text: str
    session_id: str
    keyed: bool
    asked_s: float
    answers: list[AnswerMet] = field(default_factory=list)
    over_s: float | None = None

    @property
    def over(self) -> bool:
        """The sender does not ask again."""
        return self.over_s is not None

    @property
    def was_sent(self) -> bool:
        return bool(self.answers) and self.answers[-1].is_sent

    @property
    def is_unknown(self) -> bool:
        return bool(self.answers) and self.answers[-1].status == 202

    def shown(self, which: int) -> str:
        """One of its answers: the code, and the beginning of the reason."""
        return str(self.answers[which])[:160] if self.answers else "nothing yet"

    @property
    def is_settled(self) -> bool:
        """Somebody told the sender what became of it; who gave no key cannot ask again, and has to live with that."""
        return self.was_sent or self.is_unknown or not self.keyed

    @property
    def failed_at_first(self) -> bool:
        return bool(self.answers) and not self.answers[0].is_sent

    @property
    def took_s(self) -> float:
        """From the asking to the end of it."""
        assert self.over_s is not None
        return self.over_s - self.asked_s


class Client:
    """Sends through any of the gateways, in turn, and remembers every message."""

    def __init__(self, gateways: Sequence[str], token: str, contacts: Sequence[Contact]) -> None:
        self._gateways, self._token, self._contacts = gateways, token, contacts
        self._wire = Wire(WireLimits(connections=1_000, waiting=100_000, connect_timeout_s=5))
        self._turns, self._numbers = count(), count(1)
        self._chance = SystemRandom()
        self.messages: list[AskedMessage] = []

    async def close(self) -> None:
        await self._wire.close()

    async def say(
        self,
        sender: DemoAccount,
        about: str,
        *,
        keyed: bool = True,
        patience_s: float = PATIENCE_S,
        pause_max_s: float = PAUSE_MAX_S,
    ) -> AskedMessage:
        """Say one thing, asking again until it is answered as sent or refused for good, or patience ends."""
        now_s = time.monotonic()
        message = AskedMessage(f"{about}, message {next(self._numbers)}", sender.session_id, keyed, now_s)
        self.messages.append(message)
        pause_s = _PAUSE_S
        while True:
            answer = await self.send(sender, message.text, key=message.text if keyed else None)
            message.answers.append(answer)
            last = answer.status in (200, 202) or answer.status in _NEVER_AGAIN or not keyed
            if last or time.monotonic() - now_s > patience_s:
                message.over_s = time.monotonic()
                return message
            await asyncio.sleep(pause_s * (0.5 + self._chance.random()))
            pause_s = min(pause_s * 2, pause_max_s)

    async def send(self, sender: DemoAccount, text: str, *, key: str | None = None) -> AnswerMet:
        """One request, whatever comes of it."""
        number = next(self._turns)
        body = {
            "workspace_id": sender.workspace_id,
            "account_uuid": sender.uuid,
            "contact_uuid": self._contacts[number % len(self._contacts)].uuid,
            "message": text,
        }
        if key is not None:
            body["contact_uuid"] = self._contacts[hash(key) % len(self._contacts)].uuid
        return await self.ask("POST", SEND, body, key=key, gateway=number)

    async def ask(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, gateway: int = 0
    ) -> AnswerMet:
        """One request to a gateway, by an operator's key."""
        raw = None if body is None else json.dumps(body).encode()
        return await self._asked(method, path, raw, "application/json", key, gateway)

    async def post(self, path: str, raw: bytes, media_type: str, *, key: str, gateway: int) -> AnswerMet:
        """The same with a body of any kind."""
        return await self._asked("POST", path, raw, media_type, key, gateway)

    async def _asked(
        self, method: str, path: str, raw: bytes | None, media_type: str, key: str | None, gateway: int
    ) -> AnswerMet:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": media_type}
        if key is not None:
            headers["Idempotency-Key"] = key
        url = self._gateways[gateway % len(self._gateways)]
        began_s = time.monotonic()
        reply = await self._wire.call(method, url, path, body=raw, headers=headers, timeout_s=ANSWER_WITHIN_S)
        took_s = time.monotonic() - began_s
        if isinstance(reply, Fault):
            return AnswerMet(0, {"detail": str(reply)}, took_s)
        try:
            document = json.loads(reply.body or b"{}")
        except ValueError:
            document = {"detail": reply.body[:200].decode(errors="replace")}
        return AnswerMet(reply.status, document, took_s)
