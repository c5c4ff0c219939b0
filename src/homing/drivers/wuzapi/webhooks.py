"""Where users of wuzapi report: one address each, `/webhook`. By its source (79ee4cd), without recorded traffic.

A GET answers `{"webhook", "subscribe"}`. What is told is read without regard to the case of its names; newer versions
write `webhookurl`, and take `events` beside it, which are left as they are.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from homing.drivers import reading
from homing.drivers.calling import GatewayDriver, now_s
from homing.drivers.http.wire import Reply
from homing.drivers.webhook_calls import GatewayWebhooks, is_ours
from homing.drivers.wuzapi import answers
from homing.model.fleet import InstanceUrl, SessionId
from homing.model.instances.webhooks import WebhookFound, WebhookWanted
from homing.model.sends.faults import Fault

_PATH = "/webhook"
AsUser = Callable[[InstanceUrl, SessionId, str, str, Mapping[str, Any] | None, float], Awaitable[Reply | Fault]]
"""A call in the name of the session's user: method, path, what is told, until when."""


class WuzapiWebhooks(GatewayWebhooks):
    """It signs with a key only if its process was given one (WUZAPI_GLOBAL_HMAC_KEY); the address proves it always."""

    def __init__(self, driver: GatewayDriver, as_user: AsUser) -> None:
        super().__init__(driver)
        self._as_user = as_user

    async def found(
        self, instance: InstanceUrl, session_id: SessionId, wanted: WebhookWanted, *, timeout_s: float
    ) -> WebhookFound | Fault:
        reply = await self._as_user(instance, session_id, "GET", _PATH, None, now_s() + timeout_s)
        if isinstance(reply, Fault):
            return reply
        url = reading.part(answers.data_of(reply), "webhook")
        if not isinstance(url, str) or not url:
            return WebhookFound(False)
        if is_ours(url, wanted):
            return WebhookFound(url == wanted.url)
        return WebhookFound(False, (url,), {"webhookURL": url})

    async def connect(
        self, instance: InstanceUrl, session_id: SessionId, wanted: WebhookWanted, *, timeout_s: float
    ) -> Fault | None:
        return await self._set(instance, session_id, {"webhookURL": wanted.url}, timeout_s)

    async def restore(
        self,
        instance: InstanceUrl,
        session_id: SessionId,
        wanted: WebhookWanted,  # noqa: ARG002
        kept: Mapping[str, Any] | None,
        *,
        timeout_s: float,
    ) -> Fault | None:
        return await self._set(instance, session_id, kept or {"webhookURL": ""}, timeout_s)

    async def _set(
        self, instance: InstanceUrl, session_id: SessionId, told: Mapping[str, Any], timeout_s: float
    ) -> Fault | None:
        reply = await self._as_user(instance, session_id, "POST", _PATH, told, now_s() + timeout_s)
        return reply if isinstance(reply, Fault) else None
