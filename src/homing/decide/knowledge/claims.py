"""Which of the instances' claims does the vault bear out?

An instance is believed only in what it can know. Of a session whose login is in the vault it can know no other epoch
than the vault's: a claim that says more is false, whoever makes it, and counts as if it had not been made. A claim
that says less is only behind.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from homing.decide.knowledge.reconcile import Claims, Observations
from homing.model.fleet import InstanceUrl, ListedSession, Placement, SessionId
from homing.model.instances.vault import Vouched


@dataclass(frozen=True, slots=True)
class FalseClaim:
    """An instance says that it has a session, and the vault knows better."""

    session_id: SessionId
    url: InstanceUrl
    reason: str


def to_be_checked(observed: Observations, placements: Collection[Placement]) -> list[SessionId]:
    """The sessions of which an instance says anything else than the record does."""
    return [
        placement.session_id
        for placement in placements
        if any(not _agrees(url, row, placement) for url, row in observed.claims.get(placement.session_id, {}).items())
    ]


def borne_out(
    observed: Observations, vouched: Mapping[SessionId, Vouched], placements: Collection[Placement]
) -> tuple[Observations, list[FalseClaim]]:
    """What was observed without the false claims, and those."""
    homes = {placement.session_id: placement.instance_url for placement in placements}
    claims, found = dict(observed.claims), list[FalseClaim]()
    for session, word in vouched.items():
        made = observed.claims.get(session, {})
        false = {url: why for url, row in made.items() if (why := _refuted(url, row, word, homes.get(session)))}
        if false:
            claims[session] = _without(made, false)
            found += [FalseClaim(session, url, why) for url, why in false.items() if made[url].can_send]
    return replace(observed, claims=claims), found


def _agrees(url: InstanceUrl, row: ListedSession, placement: Placement) -> bool:
    return url == placement.instance_url and (row.epoch is None or row.epoch == placement.epoch)


def _refuted(url: InstanceUrl, row: ListedSession, word: Vouched, home: InstanceUrl | None) -> str | None:
    """Why this claim is false; None if it may be true, or was once."""
    if row.epoch is None:
        return f"{url} claims it without an epoch; {_says(word)}" if url != home else None
    if row.epoch > word.epoch:
        return f"{url} claims it under epoch {row.epoch}; {_says(word)}"
    if row.epoch == word.epoch and word.holder_url not in (None, url):
        return f"{url} claims it under epoch {row.epoch}; {_says(word)}"
    return None


def _says(word: Vouched) -> str:
    granted = f"{word.holder_url} was granted it" if word.holder_url is not None else "nobody has it"
    return f"by the vault {granted}, under epoch {word.epoch}"


def _without(made: Claims, false: Collection[InstanceUrl]) -> Claims:
    return {url: row for url, row in made.items() if url not in false}
