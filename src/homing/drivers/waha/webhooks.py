"""Where sessions of WAHA report: `config.webhooks` of each, a list. Recorded from 2024.10.8.

Core before 2026.6 keeps that in memory alone, so that it is gone once its process was started anew; it takes a key to
sign with, and does not sign. A change of the configuration of a session that runs restarts it (waha-docs 1a6f1c4).
"""

from collections.abc import Mapping
from typing import Any

from homing.drivers import reading
from homing.drivers.calling import now_s, quoted
from homing.drivers.waha.reports import EVENTS
from homing.drivers.webhook_calls import GatewayWebhooks, is_ours
from homing.model.fleet import InstanceUrl, SessionId
from homing.model.instances.webhooks import WebhookFound, WebhookWanted
from homing.model.sends.faults import Fault

_RETRIES = {"policy": "exponential", "delaySeconds": 2, "attempts": 15}


class WahaWebhooks(GatewayWebhooks):
    """Ours is one more of the list, and what is there stays as it is."""

    several, restarts = True, True

    async def found(
        self, instance: InstanceUrl, session_id: SessionId, wanted: WebhookWanted, *, timeout_s: float
    ) -> WebhookFound | Fault:
        config = await self._config(instance, session_id, now_s() + timeout_s)
        if isinstance(config, Fault):
            return config
        listed = _listed(config)
        others = tuple(url for each in listed if (url := _url(each)) and not is_ours(_url(each), wanted))
        return WebhookFound(any(_is_right(each, wanted) for each in listed), others)

    async def connect(
        self, instance: InstanceUrl, session_id: SessionId, wanted: WebhookWanted, *, timeout_s: float
    ) -> Fault | None:
        return await self._put(instance, session_id, wanted, [_ours(wanted)], now_s() + timeout_s)

    async def restore(
        self,
        instance: InstanceUrl,
        session_id: SessionId,
        wanted: WebhookWanted,
        kept: Mapping[str, Any] | None,  # noqa: ARG002 - what was there was never touched
        *,
        timeout_s: float,
    ) -> Fault | None:
        return await self._put(instance, session_id, wanted, [], now_s() + timeout_s)

    async def _config(self, instance: InstanceUrl, session_id: SessionId, until: float) -> Mapping[str, Any] | Fault:
        reply = await self.driver.ask(instance, _path(session_id), until)
        if isinstance(reply, Fault):
            return reply
        config = reading.part(reading.said_by(reply.body), "config")
        return config if isinstance(config, dict) else {}

    async def _put(
        self, instance: InstanceUrl, session_id: SessionId, wanted: WebhookWanted, ours: list[Any], until: float
    ) -> Fault | None:
        """The configuration with ours in place of what is ours already, and nothing else changed."""
        config = await self._config(instance, session_id, until)
        if isinstance(config, Fault):
            return config
        kept = [each for each in _listed(config) if not is_ours(_url(each), wanted)]
        told = {"name": session_id, "config": {**config, "webhooks": [*kept, *ours]}}
        reply = await self.driver.tell("PUT", instance, _path(session_id), told, until)
        return reply if isinstance(reply, Fault) else None


def _path(session_id: SessionId) -> str:
    return f"/api/sessions/{quoted(session_id)}"


def _ours(wanted: WebhookWanted) -> Mapping[str, Any]:
    hmac = {"key": wanted.secret}
    return {"url": wanted.url, "events": list(EVENTS), "hmac": hmac, "retries": _RETRIES}


def _listed(config: Mapping[str, Any]) -> list[Any]:
    listed = config.get("webhooks")
    return listed if isinstance(listed, list) else []


def _url(webhook: object) -> str | None:
    url = reading.part(webhook, "url")
    return url if isinstance(url, str) else None


def _is_right(webhook: object, wanted: WebhookWanted) -> bool:
    events = reading.part(webhook, "events")
    told = set(events) if isinstance(events, list) and all(isinstance(each, str) for each in events) else set()
    return _url(webhook) == wanted.url and (set(EVENTS) <= told or "*" in told)
