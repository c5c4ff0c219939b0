"""Where sessions of Evolution report: one address each, set by `/webhook/set` (201) and told by `/webhook/find` (200)
as the row that its database has, or null. By the source of 2.3.6 (src/api/integrations/event/webhook; routes as of
03c32de), as its `create` was recorded to take it.

Its list tells the token of each session, where the server does not hide those.
"""

from collections.abc import Collection, Mapping
from typing import Any

from homing.drivers import reading
from homing.drivers.calling import now_s, quoted
from homing.drivers.evolution.reports import EVENTS, REPORT_HEADER
from homing.drivers.webhook_calls import GatewayWebhooks, is_ours
from homing.model.fleet import InstanceUrl, SessionId
from homing.model.instances.webhooks import WebhookFound, WebhookWanted
from homing.model.sends.faults import Fault, Phase

_HEADER = REPORT_HEADER.title()


class EvolutionWebhooks(GatewayWebhooks):
    """One address each, which can be asked for."""

    async def found(
        self, instance: InstanceUrl, session_id: SessionId, wanted: WebhookWanted, *, timeout_s: float
    ) -> WebhookFound | Fault:
        path = f"/webhook/find/{quoted(session_id)}"
        reply = await self.driver.ask(instance, path, now_s() + timeout_s)
        if isinstance(reply, Fault):
            return WebhookFound(False) if _has_none(reply) else reply
        said = reading.said_by(reply.body)
        set_now = said if isinstance(said, dict) else {}
        url = set_now.get("url")
        if not isinstance(url, str) or not url or set_now.get("enabled") is False:
            return WebhookFound(False)
        if is_ours(url, wanted):
            return WebhookFound(url == wanted.url and set(EVENTS) <= _words(set_now.get("events")))
        return WebhookFound(False, (url,), _as_set(set_now))

    async def connect(
        self, instance: InstanceUrl, session_id: SessionId, wanted: WebhookWanted, *, timeout_s: float
    ) -> Fault | None:
        told = {
            "enabled": True,
            "url": wanted.url,
            "byEvents": False,
            "base64": False,
            "headers": {_HEADER: wanted.secret},
            "events": list(EVENTS),
        }
        return await self._set(instance, session_id, told, timeout_s)

    async def restore(
        self,
        instance: InstanceUrl,
        session_id: SessionId,
        wanted: WebhookWanted,
        kept: Mapping[str, Any] | None,
        *,
        timeout_s: float,
    ) -> Fault | None:
        nothing = {"enabled": False, "url": wanted.url, "byEvents": False, "base64": False, "headers": {}, "events": []}
        return await self._set(instance, session_id, kept or nothing, timeout_s)

    async def tokens(
        self, instance: InstanceUrl, session_id: SessionId, *, timeout_s: float
    ) -> Collection[str] | Fault:
        path = f"/instance/fetchInstances?instanceName={quoted(session_id)}"
        reply = await self.driver.ask(instance, path, now_s() + timeout_s)
        if isinstance(reply, Fault):
            return () if reply.phase is Phase.SESSION_NOT_FOUND else reply
        said = reading.said_by(reply.body)
        rows = said if isinstance(said, list) else []
        named = [each for each in rows if reading.part(each, "name") == session_id]
        return tuple(token for each in named if (token := reading.name_in(reading.part(each, "token"))))

    async def _set(
        self, instance: InstanceUrl, session_id: SessionId, told: Mapping[str, Any], timeout_s: float
    ) -> Fault | None:
        path = f"/webhook/set/{quoted(session_id)}"
        reply = await self.driver.tell("POST", instance, path, {"webhook": told}, now_s() + timeout_s)
        return reply if isinstance(reply, Fault) else None


def _has_none(fault: Fault) -> bool:
    """A session that never had one is answered 404, in words of its own, or null."""
    return fault.status == 404 and fault.phase is not Phase.SESSION_NOT_FOUND


def _words(given: object) -> set[str]:
    return {each for each in given if isinstance(each, str)} if isinstance(given, list) else set()


def _as_set(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was found, as it is set."""
    return {
        "enabled": True,
        "url": found["url"],
        "byEvents": found.get("webhookByEvents") is True or found.get("byEvents") is True,
        "base64": found.get("webhookBase64") is True or found.get("base64") is True,
        "headers": found.get("headers") if isinstance(found.get("headers"), dict) else {},
        "events": sorted(_words(found.get("events"))),
    }
