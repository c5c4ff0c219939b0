"""The records of sends that did not simply succeed, and of idempotency keys."""

from collections.abc import Collection
from typing import Protocol

from homing.model.fleet import WorkspaceId
from homing.model.sends.messages import Claimed, InUse, MessageRecord, StoredAnswer


class Messages(Protocol):
    """Records of sends, and the idempotency keys. Raises StoreUnavailable. Leases are judged by the store's clock."""

    async def record(self, message: MessageRecord) -> None:
        """Insert, or replace what stands under the same uuid."""
        ...

    async def message(self, workspace: WorkspaceId | None, uuid: str) -> MessageRecord | None: ...

    async def messages(self, workspace: WorkspaceId | None, *, before: str | None, limit: int) -> list[MessageRecord]:
        """Newest first; `before` is the uuid below which to go on."""
        ...

    async def claim_key(
        self,
        workspace: WorkspaceId,
        key: str,
        *,
        fingerprint: str,
        message_uuid: str,
        owner: str,
        lease_s: float,
        keep_s: float,
    ) -> Claimed | InUse:
        """Take the key if it is new, expired, or its holder's lease ran out with the same fingerprint; one transaction.

        A taken-over row keeps its first `message_uuid`.
        """
        ...

    async def renew_keys(self, owner: str, keys: Collection[tuple[WorkspaceId, str]], lease_s: float) -> None: ...

    async def answer_key(self, workspace: WorkspaceId, key: str, owner: str, answer: StoredAnswer) -> bool:
        """Store the answer; False if another owner has the key by now."""
        ...

    async def release_key(self, workspace: WorkspaceId, key: str, owner: str, message_uuid: str) -> None:
        """Forget the key, so that the client's next try is a fresh one; unless it is another message's by now."""
        ...

    async def forget_expired_keys(self, *, limit: int = 1000) -> int:
        """Delete answered keys whose time is over, at most so many at once; returns how many."""
        ...

    async def release_owner(self, owner_prefix: str) -> None:
        """End the leases of every owner whose name begins so: they are known to be dead."""
        ...
