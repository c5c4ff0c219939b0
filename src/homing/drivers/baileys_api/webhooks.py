"""Where sessions of baileys-api report: what they are started with, which cannot be asked for. Recorded from 1.0.0.

To start a session that runs tells it anew where to report, and has it connect again.
"""

from collections.abc import Mapping
from typing import Any

from homing.drivers import reading
from homing.drivers.calling import now_s, quoted
from homing.drivers.webhook_calls import GatewayWebhooks
from homing.model.fleet import InstanceUrl, SessionId
from homing.model.instances.webhooks import WebhookFound, WebhookWanted
from homing.model.sends.faults import Fault, Phase


class BaileysApiWebhooks(GatewayWebhooks):
    """What was there before cannot be put back: whoever started the session does so again."""

    restarts, readable = True, False

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
        phone = reading.phone_of(session_id.removeprefix("+"))
        if phone is None:
            return Fault(Phase.SESSION_NOT_FOUND, "its sessions are phones, and this is none; nothing was sent")
        told = {"webhookUrl": wanted.url, "webhookVerifyToken": wanted.secret, "includeMedia": False}
        path = f"/connections/{quoted('+' + phone)}"
        reply = await self.driver.tell("POST", instance, path, told, now_s() + timeout_s)
        return reply if isinstance(reply, Fault) else None

    async def restore(
        self,
        instance: InstanceUrl,  # noqa: ARG002
        session_id: SessionId,  # noqa: ARG002
        wanted: WebhookWanted,  # noqa: ARG002
        kept: Mapping[str, Any] | None,  # noqa: ARG002
        *,
        timeout_s: float,  # noqa: ARG002
    ) -> Fault | None:
        words = "what it reported to before is not known; whoever started the session tells it so by starting it again"
        return Fault(Phase.REQUEST_REJECTED, words)
