"""The vault's rules on the model row: who may open, reserve and write, and under which epoch."""

from dataclasses import dataclass, replace
from typing import Self

from homing.lab.sim.exhaustive import judgments as judge
from homing.lab.sim.exhaustive.nouns import Boot, MessageId, Own, SmallReservation, Vault
from homing.lab.sim.exhaustive.rules import Setting


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The world that is searched, and the rules that are out."""

    setting: Setting
    without: frozenset[str] = frozenset()

    @classmethod
    def of(cls, setting: Setting, without: str | None) -> Self:
        """The rules of this world but one."""
        if without == "fence-before-expiry":
            setting = replace(setting, expiry=setting.self_fence - 1)
        return cls(setting, frozenset({without} if without else ()))

    def keeps(self, rule: str) -> bool:
        return rule not in self.without

    @property
    def judges_order(self) -> bool:
        """What a database lost nobody can order: across a failover older epochs speak until they hear of newer ones."""
        return not self.setting.luck.failovers


def granted(vault: Vault, holder: Boot, book: Rulebook) -> Vault:
    """The session's next epoch, for this holder."""
    return vault._replace(epoch=vault.epoch + book.keeps("raise-epoch"), holder=holder)


def opened(vault: Vault, epoch: int, by: Boot, book: Rulebook) -> Vault | None:
    """The row once this boot has opened the session under this epoch; None if it may not."""
    if judge.may_open(epoch, vault.epoch, vault.holder == by):
        pass
    elif (epoch == vault.epoch and book.keeps("open-for-holder")) or (
        epoch < vault.epoch and book.keeps("open-forward")
    ):
        return None
    last = vault.last_counter
    if not book.keeps("counters-go-on"):
        last = max((each.counter for each in vault.reserved if not each.unfinished), default=0)
    return vault._replace(epoch=epoch, holder=by, last_counter=last)


def unfinished(vault: Vault) -> tuple[Own, ...]:
    """What a new holder repeats."""
    return tuple(Own(each.counter, each.id, waiting=True) for each in vault.reserved if each.unfinished)


def reserved(
    vault: Vault, epoch: int, by: Boot, message: MessageId, past: int, book: Rulebook
) -> tuple[Vault, SmallReservation] | None:
    """The row with the message in it, and its reservation, past every counter that its holder was given before.

    None if the grant is over.
    """
    if (vault.epoch, vault.holder) != (epoch, by) and book.keeps("reserve-under-epoch"):
        return None
    known = next((each for each in vault.reserved if each.id == message), None)
    if known is not None and not known.dropped:
        return vault, known
    others = tuple(each for each in vault.reserved if each is not known)
    last = max(vault.last_counter, past if book.keeps("counters-of-holder") else 0)
    fresh = SmallReservation(last + 1, message)
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


def redeclared(vault: Vault, epoch: int, by: Boot, counter: int) -> Vault | None:
    """The row once this boot has said again what it holds; None if another one holds the session since."""
    if epoch < vault.epoch or (epoch == vault.epoch and vault.holder != by):
        return None
    return vault._replace(epoch=epoch, holder=by, last_counter=max(vault.last_counter, counter))
