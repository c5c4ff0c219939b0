"""What readiness stands on."""

from typing import Protocol


class WriteProof(Protocol):
    """Makes a write that means nothing else."""

    async def prove(self) -> None:
        """Returns once a write is committed. Raises StoreUnavailable."""
        ...
