"""Taking sessions out of a vault and into one."""

from dataclasses import dataclass
from typing import Protocol

from homing.model.instances.vault import Grant, Holder, StaleEpoch
from homing.model.sessions.carried import CarriedSession


@dataclass(frozen=True, slots=True)
class HasLogin:
    """There is a login of this session already, and nothing was changed."""


class CarriesSessions(Protocol):
    """A vault, as those see it who carry sessions. Raises StoreUnavailable; VaultSealed for what does not open."""

    async def take_out(self, session_id: str, *, holder: Holder) -> tuple[Grant, CarriedSession] | None:
        """Take the session under the next epoch, and all that is kept of it; None, and no change, if it has no login.

        Whoever held it until now can write nothing more.
        """
        ...

    async def forget(self, grant: Grant) -> StaleEpoch | None:
        """It was taken out: nothing of it stays but its epoch. Refused, somebody opened it meanwhile, and it stays."""
        ...

    async def put_back(self, grant: Grant) -> None:
        """It was not taken out after all: held by nobody, as it is."""
        ...

    async def take_in(self, carried: CarriedSession, *, replace: bool) -> HasLogin | None:
        """Keep it, held by nobody; with `replace` in place of a login that is there. Nothing of that one stays."""
        ...
