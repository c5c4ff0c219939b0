"""Where devices of GOWA report: one address each, `/devices/{id}/webhook`, set by PATCH and told by GET.

By its source (v9, src/ui/rest/device.go and infrastructure/whatsapp/webhook_forward.go), without recorded traffic. A
device without an address of its own reports to those of its process, which no call tells: ours takes their place, and
gives it back when it is taken away.
"""

from collections.abc import Mapping
from typing import Any

from homing.drivers import reading
from homing.drivers.calling import now_s, quoted
from homing.drivers.webhook_calls import GatewayWebhooks, is_ours
from homing.model.fleet import InstanceUrl, SessionId
from homing.model.instances.webhooks import WebhookFound, WebhookWanted
from homing.model.sends.faults import Fault

_EVENTS = ("message", "message.ack", "message.reaction", "message.revoked", "message.edited")
_SET = ("webhook_url", "webhook_secret", "webhook_events", "webhook_insecure_skip_verify")
"""What its GET tells is what its PATCH takes. It takes the events as one text, and refuses a list."""


class GowaWebhooks(GatewayWebhooks):
    """It signs with the secret that it is told beside its address."""

    async def found(
        self, instance: InstanceUrl, session_id: SessionId, wanted: WebhookWanted, *, timeout_s: float
    ) -> WebhookFound | Fault:
        reply = await self.driver.ask(instance, _path(session_id), now_s() + timeout_s)
        if isinstance(reply, Fault):
            return reply
        said = reading.part(reading.said_by(reply.body), "results")
        url = reading.part(said, "webhook_url")
        if not isinstance(url, str) or not url:
            return WebhookFound(False)
        if is_ours(url, wanted):
            events = {each.strip() for each in str(reading.part(said, "webhook_events") or "").split(",")}
            return WebhookFound(url == wanted.url and (set(_EVENTS) <= events or events == {""}))
        return WebhookFound(False, (url,), {name: said[name] for name in _SET if name in said})

    async def connect(
        self, instance: InstanceUrl, session_id: SessionId, wanted: WebhookWanted, *, timeout_s: float
    ) -> Fault | None:
        told = {"webhook_url": wanted.url, "webhook_secret": wanted.secret, "webhook_events": ",".join(_EVENTS)}
        return await self._set(instance, session_id, told, timeout_s)

    async def restore(
        self,
        instance: InstanceUrl,
        session_id: SessionId,
        wanted: WebhookWanted,  # noqa: ARG002
        kept: Mapping[str, Any] | None,
        *,
        timeout_s: float,
    ) -> Fault | None:
        return await self._set(instance, session_id, kept or {"webhook_url": ""}, timeout_s)

    async def _set(
        self, instance: InstanceUrl, session_id: SessionId, told: Mapping[str, Any], timeout_s: float
    ) -> Fault | None:
        reply = await self.driver.tell("PATCH", instance, _path(session_id), told, now_s() + timeout_s)
        return reply if isinstance(reply, Fault) else None


def _path(session_id: SessionId) -> str:
    return f"/devices/{quoted(session_id)}/webhook"
