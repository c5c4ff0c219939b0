"""Restarting doubtful sessions, paced for all gateways together."""

from typing import Protocol

from homing.model.fleet import SessionId


class RestartClaims(Protocol):
    """When sessions were last restarted because sends failed. Raises StoreUnavailable."""

    async def claim_restart(self, session_id: SessionId, *, every_s: float) -> bool:
        """Whether it may be restarted now: if so that is noted, and nobody else may for `every_s`, by the store's
        clock."""
        ...
