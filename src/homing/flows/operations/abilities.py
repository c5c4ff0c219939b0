"""What may be done for an account's session, as its instance and its family are known."""

from dataclasses import dataclass

from homing.decide.moves import abilities
from homing.decide.moves.abilities import Ability, Held
from homing.model.errors import Code, Problem
from homing.model.fleet import Account, Capabilities
from homing.model.sends.faults import Fault
from homing.ports import Fleet

ASK_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Abilities:
    """What holds for a session. `declared`: its instance said so itself; else only its family is known."""

    held: Held
    all: tuple[Ability, ...]
    declared: bool


class AbilitiesOf:
    """Answers what may be done, by the judgments that recovery itself asks."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def __call__(self, account: Account) -> Abilities:
        """Raises Problem ACCOUNT_NOT_PLACED for one that is on no instance: nothing is known of what it could do."""
        url = account.placement.instance_url
        known = url is not None and url in self._fleet.roster.instances
        can = await self._fleet.capabilities(url, timeout_s=ASK_TIMEOUT_S) if known and url is not None else None
        found = self.known(account, None if isinstance(can, Fault) else can)
        if found is None:
            at = "no instance" if url is None else f"{url}, which is no instance of ours any more"
            detail = f"Account {account.uuid} is on {at}; what can be done for it depends on where it is"
            raise Problem(Code.ACCOUNT_NOT_PLACED, detail)
        return found

    def known(self, account: Account, can: Capabilities | None) -> Abilities | None:
        """By what its instance declared; without that by its family. None for one that is on no instance of ours."""
        url = account.placement.instance_url
        instance = self._fleet.roster.instances.get(url) if url is not None else None
        if url is None or instance is None:
            return None
        held = Held(account, instance, can or self._fleet.driver(url).base, self._fleet.traits(url))
        return Abilities(held, abilities.of(held), can is not None)
