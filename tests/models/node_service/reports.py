"""What the service tells its backend (utils/webhookNotifier.js): signed, repeated only after 429 or no connection."""

import asyncio
import hashlib
import hmac
import json
import time
from typing import Any

import aiohttp

RETRIES = 3
TIMEOUT_S = 10.0


class Reports:
    """Posts events to `{backend}/api/whatsapp/webhooks/webjs`. It always calls itself localhost."""

    def __init__(self, backend: str, secret: str, port: int, http: aiohttp.ClientSession) -> None:
        self._url = f"{backend}/api/whatsapp/webhooks/webjs"
        self._secret, self._name, self._http = secret.encode(), f"http://localhost:{port}", http
        self._posting: set[asyncio.Task[None]] = set()

    def post(self, event: str, **data: Any) -> None:
        """Posts by itself, beside all others: the order in which they arrive is open."""
        raw = json.dumps({"event": event, "data": data}, separators=(",", ":"), ensure_ascii=False).encode()
        task = asyncio.create_task(self._delivered(event, raw, data))
        self._posting.add(task)
        task.add_done_callback(self._posting.discard)

    async def _delivered(self, event: str, raw: bytes, data: dict[str, Any]) -> None:
        for attempt in range(RETRIES + 1):
            status = await self._once(raw)
            if status is not None and status != 429:
                break
            if attempt < RETRIES:
                await asyncio.sleep(2**attempt if status == 429 else 2 ** (attempt + 1))
        else:
            return
        if status >= 400 and event == "session_ready":
            words = f"Failed to send session_ready: Request failed with status code {status}"
            about = {name: data[name] for name in ("workspace_id", "session_id")}
            failed = {"error": "webhook_send_failed", "message": words, "phone_number": data["phone_number"]}
            self.post("session_error", **about, **failed)

    async def _once(self, raw: bytes) -> int | None:
        """The status that came back; None if no connection came about or no answer in time."""
        stamp = str(int(time.time()))
        headers = {
            "Accept": "application/json, text/plain, */*",
            "Content-Type": "application/json",
            "X-HMAC-Signature": hmac.new(self._secret, stamp.encode() + raw, hashlib.sha256).hexdigest(),
            "X-Timestamp": stamp,
            "X-Instance-Url": self._name,
            "User-Agent": "WhatsApp-WebJS-Service/1.0",
            "Connection": "close",
        }
        limit = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._http.post(self._url, data=raw, headers=headers, timeout=limit) as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return None
