"""What setting webhooks has in common in most gateway families: each session has one address, and no token."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from homing.drivers.calling import GatewayDriver
from homing.model.fleet import InstanceUrl, SessionId
from homing.model.instances.webhooks import WebhookFound, WebhookWanted
from homing.model.sends.faults import Fault


class GatewayWebhooks(ABC):
    """`ports.reports.WebhookCalls` for one family, over its driver. Sessions have their gateways' own names here."""

    several: ClassVar[bool] = False
    restarts: ClassVar[bool] = False
    readable: ClassVar[bool] = True

    def __init__(self, driver: GatewayDriver) -> None:
        self.driver = driver

    @abstractmethod
    async def found(
        self, instance: InstanceUrl, session_id: SessionId, wanted: WebhookWanted, *, timeout_s: float
    ) -> WebhookFound | Fault: ...

    @abstractmethod
    async def connect(
        self, instance: InstanceUrl, session_id: SessionId, wanted: WebhookWanted, *, timeout_s: float
    ) -> Fault | None: ...

    @abstractmethod
    async def restore(
        self,
        instance: InstanceUrl,
        session_id: SessionId,
        wanted: WebhookWanted,
        kept: Mapping[str, Any] | None,
        *,
        timeout_s: float,
    ) -> Fault | None: ...

    def know(self, instance: InstanceUrl, wanted: Mapping[SessionId, WebhookWanted]) -> None:  # noqa: B027
        """Most are told by a call, and need not know before."""

    async def tokens(
        self,
        instance: InstanceUrl,  # noqa: ARG002
        session_id: SessionId,  # noqa: ARG002
        *,
        timeout_s: float,  # noqa: ARG002
    ) -> Collection[str] | Fault:
        return ()


def is_ours(url: object, wanted: WebhookWanted) -> bool:
    """Also one of before our secret changed: by all of its address but that."""
    return isinstance(url, str) and url.partition("/secret/")[0] == wanted.url.partition("/secret/")[0]
