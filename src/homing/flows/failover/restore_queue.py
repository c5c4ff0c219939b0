"""Whether the process that a session is to be started on was handed it to restore, and has not come to it yet."""

from homing.decide.starting import restoring
from homing.decide.starting.restoring import RestoringPolicy, Wait
from homing.flows.discovery.incarnations import Looking
from homing.model.fleet import Account, InstanceUrl
from homing.model.instances.restoring import Answered
from homing.ports import Directory


class RestoreQueue:
    """Asked before an operator's start of a session that its instance does not list."""

    def __init__(self, directory: Directory, looking: Looking, policy: RestoringPolicy) -> None:
        self._directory, self._looking, self._policy = directory, looking, policy

    async def turn_of(self, account: Account, url: InstanceUrl) -> Wait | None:
        """How long its turn may take to come; None if nothing waits for it there. Raises StoreUnavailable."""
        placed = await self._directory.recorded(sessions=[account.session_id], instances=[url])
        mine = next((each for each in placed if each.session_id == account.session_id), None)
        if mine is None or mine.offered is None or mine.in_vault:
            return None
        look = (await self._looking.look([url])).get(url)
        return restoring.turn_in_queue(mine, look, placed, self._policy) if isinstance(look, Answered) else None
