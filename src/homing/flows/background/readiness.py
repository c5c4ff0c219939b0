"""Whether this gateway can do its work: judged by a write, which all who ask at about the same time share."""

import asyncio

from homing.ports import Clock, StoreUnavailable, WriteProof

PROVE_EVERY_S = 1.0
PROVED_WITHIN_S = 2.0
ANSWERS_WITHIN_S = 1.0


class Readiness:
    """At most one write a second, however many probes there are."""

    def __init__(self, proof: WriteProof, clock: Clock) -> None:
        self._proof, self._clock = proof, clock
        self._lacking: str | None = None
        self._known_until_s = float("-inf")
        self._proving: asyncio.Task[None] | None = None

    async def lacking(self) -> str | None:
        """What keeps this gateway from its work, in one sentence; None if nothing does. Answers within a second."""
        if self._clock.monotonic() >= self._known_until_s:
            if self._proving is None:
                self._proving = asyncio.ensure_future(self._prove())
            done, _ = await asyncio.wait([self._proving], timeout=ANSWERS_WITHIN_S)
            if not done:
                return "the database did not take a write in time"
        return self._lacking

    async def _prove(self) -> None:
        try:
            async with asyncio.timeout(PROVED_WITHIN_S):
                await self._proof.prove()
            self._lacking = None
        except TimeoutError:
            self._lacking = "the database did not take a write in time"
        except StoreUnavailable as error:
            self._lacking = str(error)
        finally:
            self._known_until_s = self._clock.monotonic() + PROVE_EVERY_S
            self._proving = None
