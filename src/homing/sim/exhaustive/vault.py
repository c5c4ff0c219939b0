"""The vault's rules on the model row: who may open, reserve and write, and under which epoch."""

from dataclasses import dataclass

from homing.sim.exhaustive.nouns import NOBODY, Boot, MessageId, Own, Reserved, Vault
from homing.sim.exhaustive.rules import Setting

LEAP = 10
"""How far epochs leap with each timeline of the database: past all that can have been granted on an earlier one."""


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The world that is searched, and the rules that are out."""

    setting: Setting
    without: frozenset[str] = frozenset()

    def keeps(self, rule: str) -> bool:
        return rule not in self.without


def granted(vault: Vault, holder: Boot, timeline: int, book: Rulebook) -> Vault:
    """The session's next epoch, for this holder."""
    if not book.keeps("raise-epoch"):
        return vault._replace(holder=holder)
    floor = timeline * LEAP if book.keeps("leap") else 0
    return vault._replace(epoch=max(vault.epoch, floor) + 1, holder=holder)


def opened(vault: Vault, epoch: int, by: Boot, book: Rulebook) -> Vault | None:
    """The row once this boot has opened the session under this epoch; None if it may not."""
    if epoch == vault.epoch:
        allowed = vault.holder == by or not book.keeps("open-for-holder")
    else:
        allowed = epoch > vault.epoch or not book.keeps("open-forward")
    if not allowed:
        return None
    last = vault.last_counter
    if not book.keeps("counters-go-on"):
        last = max((each.counter for each in vault.reserved if not each.unfinished), default=0)
    return vault._replace(epoch=epoch, holder=by, last_counter=last)


def unfinished(vault: Vault) -> tuple[Own, ...]:
    """What a new holder repeats."""
    return tuple(Own(each.counter, each.id, waiting=True) for each in vault.reserved if each.unfinished)


def reserved(vault: Vault, epoch: int, by: Boot, message: MessageId, book: Rulebook) -> tuple[Vault, Reserved] | None:
    """The row with the message in it, and its reservation; None if the grant is over."""
    if (vault.epoch, vault.holder) != (epoch, by) and book.keeps("reserve-under-epoch"):
        return None
    known = next((each for each in vault.reserved if each.id == message), None)
    if known is not None and not known.dropped:
        return vault, known
    others = tuple(each for each in vault.reserved if each is not known)
    fresh = Reserved(vault.last_counter + 1, message)
    return vault._replace(last_counter=fresh.counter, reserved=(*others, fresh)), fresh


def settled(vault: Vault, epoch: int, by: Boot, message: MessageId, *, acknowledged: bool) -> Vault | None:
    """The row once the message is acknowledged, or dropped; None if the grant is over."""
    if (vault.epoch, vault.holder) != (epoch, by):
        return None
    rows = tuple(
        each._replace(acknowledged=acknowledged, dropped=not acknowledged) if each.id == message else each
        for each in vault.reserved
    )
    return vault._replace(reserved=rows)


def redeclared(vault: Vault, epoch: int, by: Boot) -> Vault | None:
    """The row once this boot has said again what it holds; None if another one holds the session since."""
    if epoch > vault.epoch:
        return vault._replace(epoch=epoch, holder=by)
    return vault if epoch == vault.epoch and vault.holder in (by, NOBODY) else None
