"""What can be done with a deaf session where it is, and how far Homing may go."""

from collections.abc import Awaitable, Callable

from homing.decide.fleet import leases
from homing.decide.fleet.leases import NotFenced
from homing.decide.hearing.ladder import Able
from homing.model.fleet import Capabilities, DeafPolicy, InstanceMode, InstanceUrl, SessionId
from homing.model.sessions.hearing import HearingCase
from homing.ports import Fleet, Grants

ASK_WITHIN_S = 2.0


async def _never(_: InstanceUrl, __: SessionId) -> bool:
    return False


class HearingAbilities:
    """Asks capabilities, fences and policies for the ladder."""

    def __init__(
        self,
        fleet: Fleet,
        grants: Grants,
        *,
        default: DeafPolicy | None = None,
        resubscribes: Callable[[InstanceUrl, SessionId], Awaitable[bool]] = _never,
        recycles: Callable[[InstanceUrl], bool] = lambda _: False,
    ) -> None:
        """`default` is the settings' policy; None: `full` for gateways that hold leases, `observe` for all others."""
        self._fleet, self._grants, self._default = fleet, grants, default
        self._resubscribes, self._recycles = resubscribes, recycles
        self._held_leases: dict[InstanceUrl, bool] = {}

    async def of(self, case: HearingCase) -> Able:
        url = case.instance_url
        can = await self._fleet.capabilities(url, timeout_s=ASK_WITHIN_S)
        instance = self._fleet.roster.instances.get(url)
        able = Able(
            mode=instance.mode if instance is not None else InstanceMode.OBSERVE,
            takeover=case.takeover,
            status=case.status,
            recycles=self._recycles(url),
            resubscribes=await self._resubscribes(url, case.session_id),
        )
        if not isinstance(can, Capabilities):
            return able
        self._held_leases[url] = can.hold_lease and can.honour_epoch
        reconnects = self._fleet.traits(url).reconnects
        return Able(
            mode=able.mode,
            takeover=able.takeover,
            status=able.status,
            recycles=able.recycles,
            resubscribes=able.resubscribes,
            reconnects=reconnects,
            restarts=can.stop_keeps_login and not reconnects,
            fenced=can.share_credentials and await self._is_fenced(case),
        )

    def policy(self, case: HearingCase) -> DeafPolicy:
        """The account's own, else its workspace's, else the settings', else that of its family."""
        if case.policy is not None:
            return case.policy
        if self._default is not None:
            return self._default
        return DeafPolicy.FULL if self._held_leases.get(case.instance_url) else DeafPolicy.OBSERVE

    async def _is_fenced(self, case: HearingCase) -> bool:
        """Whether its holder can be kept from acting: it stops on request, or the vault refuses it."""
        holding = (await self._grants.fenced([case.session_id])).get(case.session_id)
        return holding is not None and holding.has_login and not isinstance(leases.fence(holding), NotFenced)
