"""Taking up what gateways run already: accounts for many sessions at once, and the gateways' own names for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from homing.model.fleet import Account, InstanceUrl, ListedSession, SessionId
from homing.model.instances.native_names import NativeName
from homing.ports import NewAccount


@dataclass(frozen=True, slots=True)
class NewlyListed:
    """A session that an account is to be made for, as its instance lists it."""

    account: NewAccount
    url: InstanceUrl
    row: ListedSession


@dataclass(frozen=True, slots=True)
class NotMade:
    """No account came to be, and this is why."""

    reason: str


class Adoptions(Protocol):
    """Raises StoreUnavailable from every method."""

    async def take_up(self, listed: Sequence[NewlyListed]) -> list[Account | NotMade]:
        """An account for each, placed where it is listed, in one transaction; one that cannot be harms no other.

        Every gateway hears of it.
        """
        ...

    async def place(
        self, listed: Sequence[tuple[SessionId, InstanceUrl, ListedSession]], names: Mapping[SessionId, str]
    ) -> set[SessionId]:
        """The sessions of accounts that were nowhere are where they are listed; `names` are their gateways' own names.

        Returns those that were placed: of the others the record says something else by now.
        """
        ...

    async def native_names(self) -> list[NativeName]:
        """The gateways' own names of all sessions that have one."""
        ...
