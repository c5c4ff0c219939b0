"""The word of a supervisor that an instance exited: it fences, and its sessions are to live elsewhere at once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from homing.decide.moves import movable
from homing.decide.moves.next_step import MoveCause, MoveRequest
from homing.flows.moves.requests import MoveRequests
from homing.flows.operations.accounts import instance_fault
from homing.model.errors import Code, Problem
from homing.model.fleet import Instance, InstanceUrl, Placed
from homing.model.instances.leases import Ended, IncarnationId
from homing.model.instances.vault import AskedLately, SessionHolding
from homing.model.sends.faults import Fault, Phase
from homing.ports import Directory, Fleet, Grants, Leases

log = structlog.get_logger("homing")


PROBE_TIMEOUT_S = 3.0
QUIET_S = 10.0
"""A process that asked for its sessions so lately runs, whatever was said: it may be about to restore them."""

_NOBODY_THERE = frozenset({Phase.CONNECT_TIMED_OUT, Phase.CONNECT_BROKEN, Phase.NAME_NOT_RESOLVED})
"""Nobody answered, and nobody refused: the host may be off, or only out of our reach."""


@dataclass(frozen=True, slots=True)
class Exited:
    """What came of the word: how many boots ended by it, how many new moves there are, and which sessions stay."""

    url: InstanceUrl
    boots: int
    sessions: int
    wanted: int
    staying: Mapping[str, int]
    """How many sessions do not move, by the reason for it."""
    note: str = ""
    """What whoever said so should know."""


class Exits:
    """Takes the word of those who supervise instances."""

    def __init__(
        self, directory: Directory, grants: Grants, boots: Leases, wishes: MoveRequests, fleet: Fleet | None = None
    ) -> None:
        """Without a fleet, nobody can be asked whether he still answers; then what holds no lease is refused."""
        self._directory, self._grants, self._boots, self._wishes = directory, grants, boots, wishes
        self._fleet = fleet

    async def exited(self, url: InstanceUrl, incarnation: IncarnationId | None = None) -> Exited:
        """No process of the instance (of that boot) runs any more. Raises Problem.

        To be said only by whoever supervises the whole process group: a session opened elsewhere while its old holder
        still runs would be held twice.
        """
        instance = next((each for each in await self._directory.instances() if each.url == url), None)
        if instance is None:
            raise Problem(Code.INSTANCE_NOT_FOUND, f"There is no instance {url}")
        leased = any(boot.instance_url == url for boot in await self._boots.incarnations())
        doubt = None if leased else await self._still_answers(url)
        boots = await self._boots.end(url, Ended.EXITED, incarnation=incarnation)
        placed = await self._directory.placed_on(url)
        holdings = await self._grants.fenced([each.session_id for each in placed])
        own = [each for each in placed if leased or each.session_id in holdings]
        staying = Counter(why for each in own if (why := _stays(holdings.get(each.session_id))))
        wishes = [_lost_with(url, each) for each in own if _stays(holdings.get(each.session_id)) is None]
        note = ""
        if len(own) < len(placed) or not (leased or placed):
            taken, staying_too, note = await self._unleased(instance, len(placed) - len(own), doubt)
            wishes, staying = wishes + taken, staying + staying_too
        wanted = await self._wishes.want(wishes) if wishes else 0
        log.warning("Instance exited", url=url, boots=boots, sessions=len(placed), new_jobs=wanted)
        return Exited(url, boots, len(placed), wanted, staying, note)

    # --- instances that hold no lease ---------------------------------------------------------------------------

    async def _still_answers(self, url: InstanceUrl) -> str | None:
        """What is in doubt, though nobody answers there. Raises Problem if somebody does."""
        if self._fleet is None:
            return None
        health = await self._fleet.driver(url).health(url, timeout_s=PROBE_TIMEOUT_S)
        if isinstance(health, Fault) and health.phase is Phase.REFUSED:
            return None
        if isinstance(health, Fault) and health.phase is Phase.NOT_ATTEMPTED:
            raise instance_fault(url, health)
        if isinstance(health, Fault) and health.phase in _NOBODY_THERE:
            return f"nobody answers at {url}, and nobody refuses either ({health}): your word counts that none runs"
        met = f"it was connected to, and then: {health}" if isinstance(health, Fault) else "it is well"
        detail = (
            f"{url} still answers ({met}). End all of its processes first, the browsers too: Chrome can outlive a"
            " killed node; then say so again"
        )
        raise Problem(Code.STILL_ANSWERS, detail)

    async def _unleased(
        self, instance: Instance, count: int, doubt: str | None
    ) -> tuple[list[MoveRequest], Counter[str], str]:
        """What follows for sessions whose logins lie on a disk."""
        url = instance.url
        left = await self._grants.leave_all(url, quiet_s=QUIET_S, shared=instance.storage is not None)
        if isinstance(left, AskedLately):
            detail = f"a process of {url} asked for its sessions {left.ago_s:.0f} s ago, so one runs; end it first"
            raise Problem(Code.STILL_ANSWERS, detail, retry_after_s=QUIET_S)
        if instance.storage is None:
            return [], Counter({_alone(url): count} if count else {}), doubt or ""
        staying = Counter[str]()
        if left.forbidden:
            staying["its takeover is set to never"] = left.forbidden
        if count > len(left.marked) + left.forbidden:
            staying["it waits for its phone to be linked"] = count - len(left.marked) - left.forbidden
        # Not from where it is: it is under way already, by the word that was given, whoever may take it over.
        reason = f"{url} exited, and another instance has its storage {instance.storage!r}"
        wishes = [MoveRequest(each.session_id, MoveCause.EXITED, reason, None, each.epoch) for each in left.marked]
        browsers = f"make sure that the browsers of {url} are gone too: Chrome can outlive a killed node"
        return wishes, staying, "; ".join(part for part in (browsers, doubt) if part)

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
        return "the vault does not know it: it was never opened there"
    if not holding.has_login:
        return "no phone is linked to it"
    if holding.holder is not None and not holding.holder_ended:
        return "another boot holds it, which was not said to have exited"
    return None


def _alone(url: InstanceUrl) -> str:
    why = f"its login is on the disk of {url} alone, so that this family cannot open it elsewhere"
    return f"{why}; {movable.alone(url)}"


def _lost_with(url: InstanceUrl, placed: Placed) -> MoveRequest:
    return MoveRequest(placed.session_id, MoveCause.EXITED, f"{url} exited", url, placed.epoch)
