"""Speaking to the demo's gateway and instances, as a client and as an operator would."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from homing.demo.plan import WORKSPACE, Unworkable

CALL_TIMEOUT_S = 60.0
CONNECTIONS = 200

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SendAnswer:
    """What the gateway answered to one send. `status` 0: it gave no answer at all, and `document` says why."""

    text: str
    status: int
    document: Document
    took_s: float

    @property
    def failover(self) -> bool:
        return bool(self.document.get("failover"))

    @property
    def instance_url(self) -> str | None:
        return self.document.get("instance_url")


def open_http() -> aiohttp.ClientSession:
    """A session that speaks to many at once. Where the environment has a proxy, it is not for this machine."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S),
        connector=aiohttp.TCPConnector(limit=CONNECTIONS),
        trust_env=False,
    )


class DemoCaller:
    """A client of one gateway, with the demo's key."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str) -> None:
        self._http, self.url = http, url
        self._headers = {"Authorization": f"Bearer {token}"}

    async def ready(self) -> bool:
        """Whether the gateway can do its work."""
        try:
            async with self._http.get(f"{self.url}/ready") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def get(self, path: str, **query: str) -> Document:
        return await self._ask("GET", path, params=query)

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Document:
        return await self._ask("POST", path, json=body)

    async def patch(self, path: str, body: Mapping[str, Any]) -> Document:
        return await self._ask("PATCH", path, json=body)

    async def send(self, account_uuid: str, contact_uuid: str, text: str) -> SendAnswer:
        """One message, and how long its answer took."""
        body = {
            "workspace_id": WORKSPACE,
            "account_uuid": account_uuid,
            "contact_uuid": contact_uuid,
            "message": text,
        }
        began_s = time.monotonic()
        try:
            status, document = await self._exchange("POST", "/messages/send", json=body)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            status, document = 0, {"detail": f"{type(error).__name__}: {error}"}
        return SendAnswer(text, status, document, time.monotonic() - began_s)

    async def metric(self, name: str) -> float:
        """A figure of /metrics that has no labels."""
        async with self._http.get(f"{self.url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0.0)

    async def _ask(self, method: str, path: str, **more: Any) -> Document:
        status, document = await self._exchange(method, path, **more)
        if status >= 300:
            raise Unworkable(f"{method} {path} was answered {status}: {document.get('detail', document)}")
        return document

    async def _exchange(self, method: str, path: str, **more: Any) -> tuple[int, Document]:
        url = f"{self.url}/api/v1{path}"
        async with self._http.request(method, url, headers=self._headers, **more) as answer:
            document: Document = await answer.json(content_type=None)
            return answer.status, document


class InstanceClient:
    """The instances' own API, in an operator's hands: the gateway is not told of what is done here."""

    def __init__(self, http: aiohttp.ClientSession, api_key: str) -> None:
        self._http, self._api_key = http, api_key

    async def start(self, instance_url: str, session_id: str, *, epoch: int | None = None) -> Document:
        """Open a session there: under `epoch`, or (an operator's start) under the next one."""
        headers = {} if epoch is None else {"X-Homing-Epoch": str(epoch)}
        body = {"api_key": self._api_key, "session_id": session_id, "workspace_id": WORKSPACE}
        async with self._http.post(f"{instance_url}/api/sessions", json=body, headers=headers) as answer:
            started: Document = await answer.json()
        if started.get("status") != "connected":
            raise Unworkable(f"{instance_url} did not start session {session_id}: {started}")
        return started

    async def sessions(self, instance_url: str) -> set[str]:
        """The sessions that are connected there."""
        async with self._http.get(f"{instance_url}/api/sessions", params={"api_key": self._api_key}) as answer:
            listed: Document = await answer.json()
        return {row["session_id"] for row in listed["sessions"] if row["status"] == "connected"}
