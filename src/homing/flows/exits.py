"""The word of a supervisor that an instance exited: it fences, and its sessions are to live elsewhere at once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from homing.decide.rehome import Cause, Wish
from homing.flows.keeper import Wishes
from homing.model.errors import Code, Problem
from homing.model.fleet import InstanceUrl, Placed
from homing.model.leases import Ended, IncarnationId
from homing.model.vault import SessionHolding
from homing.ports import Directory, Grants, Leases

log = structlog.get_logger("homing")


@dataclass(frozen=True, slots=True)
class Exited:
    """What came of the word: how many boots ended by it, how many new moves there are, and which sessions stay."""

    url: InstanceUrl
    boots: int
    sessions: int
    wanted: int
    staying: Mapping[str, int]
    """How many sessions do not move, by the reason for it."""


class Exits:
    """Takes the word of those who supervise instances."""

    def __init__(self, directory: Directory, grants: Grants, boots: Leases, wishes: Wishes) -> None:
        self._directory, self._grants, self._boots, self._wishes = directory, grants, boots, wishes

    async def exited(self, url: InstanceUrl, incarnation: IncarnationId | None = None) -> Exited:
        """No process of the instance (of that boot) runs any more. Raises Problem.

        To be said only by whoever supervises the whole process group: a session opened elsewhere while its old holder
        still runs would be held twice.
        """
        if all(instance.url != url for instance in await self._directory.instances()):
            raise Problem(Code.INSTANCE_NOT_FOUND, f"There is no instance {url}")
        boots = await self._boots.end(url, Ended.EXITED, incarnation=incarnation)
        placed = await self._directory.placed_on(url)
        holdings = await self._grants.fenced([each.session_id for each in placed])
        staying = {each.session_id: why for each in placed if (why := _stays(holdings.get(each.session_id)))}
        wishes = [_lost_with(url, each) for each in placed if each.session_id not in staying]
        wanted = await self._wishes.want(wishes) if wishes else 0
        log.warning("Instance exited", url=url, boots=boots, sessions=len(placed), new_jobs=wanted)
        return Exited(url, boots, len(placed), wanted, Counter(staying.values()))

    async def process_ended(self, mark: str) -> Exited | None:
        """The same of the boot whose name ends with this mark of its process, which was ended for certain.

        None if no lease is held under such a name. Raises StoreUnavailable.
        """
        for boot in await self._boots.incarnations():
            if boot.holds_lease and boot.id.endswith(f"-{mark}"):
                return await self.exited(boot.instance_url, boot.id)
        return None


def _stays(holding: SessionHolding | None) -> str | None:
    """Why a session is not to leave an instance that is said to have exited."""
    if holding is None:
        return "the vault does not know it: its login is on that machine, and it can be started only there"
    if not holding.has_login:
        return "no phone is linked to it"
    if holding.holder is not None and not holding.holder_ended:
        return "another boot holds it, which was not said to have exited"
    return None


def _lost_with(url: InstanceUrl, placed: Placed) -> Wish:
    return Wish(placed.session_id, Cause.EXITED, f"{url} exited", url, placed.epoch)
