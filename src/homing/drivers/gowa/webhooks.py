"""Where devices of GOWA report: one address each, `PATCH /devices/{id}/webhook`, which cannot be asked for.

By its OpenAPI document (v9, 51f7b19), without recorded traffic.
"""

from collections.abc import Mapping
from typing import Any

from homing.drivers.calling import now_s, quoted
from homing.drivers.webhook_calls import GatewayWebhooks
from homing.model.fleet import InstanceUrl, SessionId
from homing.model.instances.webhooks import WebhookFound, WebhookWanted
from homing.model.sends.faults import Fault

_EVENTS = ("message", "message.ack", "message.reaction", "message.revoked", "message.edited")


class GowaWebhooks(GatewayWebhooks):
    """It signs with the secret that it is told beside its address."""

    readable = False

    async def found(
        self,
        instance: InstanceUrl,  # noqa: ARG002
        session_id: SessionId,  # noqa: ARG002
        wanted: WebhookWanted,  # noqa: ARG002
        *,
        timeout_s: float,  # noqa: ARG002
    ) -> WebhookFound | Fault:
        return WebhookFound(False)

    async def connect(
        self, instance: InstanceUrl, session_id: SessionId, wanted: WebhookWanted, *, timeout_s: float
    ) -> Fault | None:
        told = {"webhook_url": wanted.url, "webhook_secret": wanted.secret, "webhook_events": list(_EVENTS)}
        return await self._set(instance, session_id, told, timeout_s)

    async def restore(
        self,
        instance: InstanceUrl,
        session_id: SessionId,
        wanted: WebhookWanted,  # noqa: ARG002
        kept: Mapping[str, Any] | None,  # noqa: ARG002
        *,
        timeout_s: float,
    ) -> Fault | None:
        return await self._set(instance, session_id, {"webhook_url": ""}, timeout_s)

    async def _set(
        self, instance: InstanceUrl, session_id: SessionId, told: Mapping[str, Any], timeout_s: float
    ) -> Fault | None:
        path = f"/devices/{quoted(session_id)}/webhook"
        reply = await self.driver.tell("PATCH", instance, path, told, now_s() + timeout_s)
        return reply if isinstance(reply, Fault) else None
