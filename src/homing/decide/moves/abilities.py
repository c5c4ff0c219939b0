"""What may be done for this session, what not, and what would change that? In words for people.

Each answer comes from the judgment that the deed itself asks, so that what is said and what is done cannot differ.
"""

from dataclasses import dataclass
from enum import StrEnum

from homing.decide.knowledge import doubt
from homing.decide.moves import movable, rules
from homing.model.fleet import Account, Capabilities, Instance, InstanceMode, Takeover
from homing.model.instances.gateways import Traits


class Deed(StrEnum):
    """What recovery does. The words are stable, and read as the subject of a sentence."""

    REDISCOVERED = "rediscovered"
    """Somebody moved it by hand: it is found by the lists of the instances, and the record follows."""
    RESTARTED = "restarted_where_it_is"
    """Its instance calls it connected and sends through it fail: it is closed and opened there."""
    BROUGHT_BACK = "brought_back_by_itself"
    """Its instance is lost: it is opened on another one, without anybody asking."""
    TAKEN_OVER = "brought_back_on_request"
    """The same, once an operator has said that the instance exited."""
    MOVED = "moved_while_alive"
    """A drain, a migration, an even load: it is opened elsewhere while its instance is well."""
    STOPPED = "stopped_without_logout"
    REPEATED = "message_repeated"
    """A message that may have left is sent again, under the same id."""


@dataclass(frozen=True, slots=True)
class Ability:
    """One deed, whether it may be done, why (not), and what would help where it may not."""

    deed: Deed
    can: bool
    because: str
    would_help: str | None = None

    @property
    def words(self) -> str:
        """The whole, as one line: `brought back by itself: no, because …; what would help: …`."""
        told = f"{self.deed.value.replace('_', ' ')}: {'yes' if self.can else 'no'}, because {self.because}"
        return told if self.would_help is None else f"{told}; what would help: {self.would_help}"


@dataclass(frozen=True, slots=True)
class Held:
    """A session where it is: its account, the instance, what that can do, and what is true of its family."""

    account: Account
    instance: Instance
    can: Capabilities
    traits: Traits

    @property
    def takeover(self) -> Takeover:
        """The one that counts: no more than its family has."""
        return movable.takeover(self.account.takeover, self.traits)

    @property
    def leaves(self) -> str | None:
        """Why its login cannot be opened elsewhere while its instance is well; None: it can."""
        return movable.cannot_leave(self.can)

    @property
    def shares(self) -> str | None:
        return movable.cannot_share(self.traits, self.instance.storage, self.can)


def of(held: Held) -> tuple[Ability, ...]:
    """Every deed, in the order in which recovery thinks of them."""
    return (
        _rediscovered(held),
        _restarted(held),
        _brought_back(held),
        _taken_over(held),
        _moved(held),
        _stopped(held),
        _repeated(held),
    )


def _rediscovered(held: Held) -> Ability:
    if not held.traits.lists:
        why = f"{held.traits.title} gives no list of its sessions"
        return Ability(Deed.REDISCOVERED, False, why, "send through the instance that has it: homing accounts show")
    return Ability(Deed.REDISCOVERED, True, "every instance is asked for its list, and the record follows")


def _restarted(held: Held) -> Ability:
    why = doubt.cannot_restart(held.account, held.can, held.instance.mode)
    if why is None:
        return Ability(Deed.RESTARTED, True, "a stop there keeps its login")
    helps = _routed(held) or (None if held.can.stop_keeps_login else f"restart the process of {held.instance.url}")
    return Ability(Deed.RESTARTED, False, why, helps)


def _brought_back(held: Held) -> Ability:
    why = _kept_back(held)
    if why is None and held.takeover is Takeover.AUTO:
        return Ability(Deed.BROUGHT_BACK, True, "its takeover is auto, and its login is in the vault")
    if why is None:
        why = f"its takeover is set to {held.takeover.value}"
    return Ability(Deed.BROUGHT_BACK, False, why, _would_help(held))


def _kept_back(held: Held) -> str | None:
    """Why nobody opens it elsewhere unasked, apart from its takeover."""
    if (observed := _observed(held)) is not None:
        return observed
    if (resting := movable.resting(held.account)) is not None:
        return resting.detail
    if held.leaves is None:
        return None
    if held.traits.takeover is Takeover.AUTO:
        return held.leaves
    return held.traits.logins


def _taken_over(held: Held) -> Ability:
    """By storage that is shared, or from the vault."""
    if (observed := _observed(held)) is not None:
        return Ability(Deed.TAKEN_OVER, False, observed, _would_help(held))
    if held.takeover is Takeover.NEVER:
        whose = rules.NEVER if held.account.takeover is Takeover.NEVER else held.traits.logins
        return Ability(Deed.TAKEN_OVER, False, whose, _would_help(held))
    if held.leaves is None:
        return Ability(
            Deed.TAKEN_OVER, True, "its login is in the vault, and homing exited says that the old one is gone"
        )
    if held.shares is not None:
        return Ability(Deed.TAKEN_OVER, False, held.shares, _would_help(held))
    shared = f"its login is on the storage {held.instance.storage!r}, which others of its family have"
    return Ability(Deed.TAKEN_OVER, True, f"{shared}, once homing exited {held.instance.url} vouches for a fence")


def _moved(held: Held) -> Ability:
    if (observed := _observed(held)) is not None:
        return Ability(Deed.MOVED, False, observed, _would_help(held))
    if held.leaves is None:
        return Ability(Deed.MOVED, True, "its login is in the vault, and a stop there keeps it")
    return Ability(Deed.MOVED, False, held.leaves)


def _stopped(held: Held) -> Ability:
    if (observed := _observed(held)) is not None:
        return Ability(Deed.STOPPED, False, observed, _would_help(held))
    if held.can.stop_keeps_login:
        return Ability(Deed.STOPPED, True, "a stop there keeps its login")
    why = f"{held.traits.title} cannot close a session without logging it out"
    return Ability(Deed.STOPPED, False, why, f"stop the process of {held.instance.url}")


def _repeated(held: Held) -> Ability:
    if held.can.choose_message_id:
        return Ability(Deed.REPEATED, True, "it takes our message ids, so that nobody gets one twice")
    why = f"{held.traits.title} chooses its own message ids; such a send is unknown until a report settles it"
    return Ability(Deed.REPEATED, False, why)


def _would_help(held: Held) -> str | None:
    if (routed := _routed(held)) is not None:
        return routed
    if held.account.takeover is Takeover.NEVER:
        return f"homing accounts set {held.account.id} --takeover manual"
    return held.traits.would_help or None


def _observed(held: Held) -> str | None:
    """Why nothing is done there, whoever asks; None where something may be."""
    return f"{held.instance.url} is only observed" if held.instance.mode is InstanceMode.OBSERVE else None


def _routed(held: Held) -> str | None:
    return f"homing instances set {held.instance.url} --mode route" if _observed(held) is not None else None
