"""Where sessions of WPPConnect report: one address each, which is told at a start and cannot be asked for (2.10.4)."""

from collections.abc import Mapping
from typing import Any

from homing.drivers.calling import GatewayDriver, left_s, now_s
from homing.drivers.webhook_calls import GatewayWebhooks
from homing.model.fleet import NEVER_GRANTED, InstanceUrl, SessionId, WorkspaceId
from homing.model.instances.webhooks import WebhookFound, WebhookWanted
from homing.model.sends.faults import Fault
from homing.ports import SessionStart

_SESSIONS = 100_000


class WppconnectWebhooks(GatewayWebhooks):
    """A session that runs is closed and started again, with our address; every later start tells it, too."""

    restarts, readable = True, False

    def __init__(self, driver: GatewayDriver) -> None:
        super().__init__(driver)
        self._known: dict[tuple[InstanceUrl, SessionId], str] = {}
        self._told: set[tuple[InstanceUrl, SessionId, str]] = set()

    def at_start(self, instance: InstanceUrl, session_id: SessionId) -> Mapping[str, Any]:
        """What a start tells of it."""
        url = self._known.get((instance, session_id))
        if url is None:
            return {}
        self._told.add((instance, session_id, url))
        return {"webhook": url}

    def know(self, instance: InstanceUrl, wanted: Mapping[SessionId, WebhookWanted]) -> None:
        if len(self._known) + len(wanted) > _SESSIONS:
            self._known.clear()
            self._told.clear()
        self._known = {key: url for key, url in self._known.items() if key[0] != instance}
        self._known |= {(instance, session): each.url for session, each in wanted.items()}

    async def found(
        self,
        instance: InstanceUrl,
        session_id: SessionId,
        wanted: WebhookWanted,
        *,
        timeout_s: float,  # noqa: ARG002
    ) -> WebhookFound | Fault:
        """As far as this gateway has started it."""
        return WebhookFound((instance, session_id, wanted.url) in self._told)

    async def connect(
        self, instance: InstanceUrl, session_id: SessionId, wanted: WebhookWanted, *, timeout_s: float
    ) -> Fault | None:
        self._known[instance, session_id] = wanted.url
        return await self._again(instance, session_id, wanted, timeout_s)

    async def restore(
        self,
        instance: InstanceUrl,
        session_id: SessionId,
        wanted: WebhookWanted,
        kept: Mapping[str, Any] | None,  # noqa: ARG002 - it could not be asked for
        *,
        timeout_s: float,
    ) -> Fault | None:
        self._known.pop((instance, session_id), None)
        self._told.discard((instance, session_id, wanted.url))
        return await self._again(instance, session_id, wanted, timeout_s)

    async def _again(
        self, instance: InstanceUrl, session_id: SessionId, wanted: WebhookWanted, timeout_s: float
    ) -> Fault | None:
        until = now_s() + timeout_s
        session = SessionStart(session_id, WorkspaceId(0), 0, NEVER_GRANTED, wanted.proxy)
        row = await self.driver.restart(instance, session, timeout_s=left_s(until))
        return row if isinstance(row, Fault) else None
