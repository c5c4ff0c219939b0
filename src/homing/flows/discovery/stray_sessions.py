"""The sessions that instances list and that are not placed there: how many, and which."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from homing.decide.knowledge import stray_sessions
from homing.decide.knowledge.stray_sessions import Owner, Stray
from homing.flows.discovery.listings import Lists
from homing.model.errors import Code, Problem
from homing.model.fleet import Account, InstanceUrl, ListedSession, NoList, SessionId
from homing.ports import Directory

NAMED_MAX = 100
"""Strays that are named; beyond, they are only counted."""
_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class StraysFound:
    """So many strays, of which the first ones are `named`. `by_url` counts them for each instance that gave a list."""

    count: int = 0
    named: tuple[Stray, ...] = ()
    by_url: Mapping[InstanceUrl, int] | None = None


class StraySessions:
    """Compares lists with the directory."""

    def __init__(self, directory: Directory, lists: Lists) -> None:
        self._directory, self._lists = directory, lists

    async def of(self, url: InstanceUrl) -> StraysFound:
        """Those of one instance, by its list as it is now. Raises Problem if it gives none."""
        listing = await self._lists.read(url)
        if isinstance(listing, NoList):
            detail = f"{url} gave no list of its sessions: {listing.category}"
            raise Problem(Code.INSTANCE_FAULT, detail, retry_after_s=5)
        rows = listing.sessions
        found = await self.among({url: list(rows.values())}, await self._owners(sorted(rows)))
        await self._directory.note_strays(found.by_url or {})
        return found

    async def among(
        self, rows: Mapping[InstanceUrl, Sequence[ListedSession]], owners: Mapping[SessionId, Owner]
    ) -> StraysFound:
        """Those among the rows of these instances."""
        each = {url: stray_sessions.strays(url, some, owners) for url, some in rows.items()}
        all_of_them = [stray for url in sorted(each) for stray in each[url]]
        named = all_of_them[:NAMED_MAX]
        by_person = await self._accounts(stray_sessions.persons(named))
        counts = Counter({url: len(some) for url, some in each.items()})
        return StraysFound(
            len(all_of_them), tuple(stray_sessions.recognised(stray, by_person) for stray in named), counts
        )

    async def _accounts(self, persons: Collection[str]) -> dict[str, int]:
        found = await self._directory.accounts_of_persons(persons) if persons else []
        return {account.person: account.id for account in reversed(found) if account.person is not None}

    async def _owners(self, sessions: Sequence[SessionId]) -> dict[SessionId, Owner]:
        owners: dict[SessionId, Owner] = {}
        for start in range(0, len(sessions), _AT_ONCE):
            for account in await self._directory.accounts_of(sessions[start : start + _AT_ONCE]):
                owners[account.session_id] = owner_of(account)
        return owners


def owner_of(account: Account) -> Owner:
    return Owner(account.id, account.session_id, account.placement)
