"""Holding what instances claim against the vault, and letting it be known who claims what is not so."""

from collections.abc import Collection

from homing.decide.knowledge import claims
from homing.decide.knowledge.reconcile import Observations
from homing.flows.background.alerts import AlertBook
from homing.model.alerts import FLEET, AlertKind, Subject
from homing.model.fleet import Placement, SessionId, SessionList
from homing.ports import Directory


async def borne_out(
    observed: Observations,
    placements: Collection[Placement],
    directory: Directory,
    book: AlertBook | None,
    *,
    all_asked: bool,
) -> Observations:
    """What was observed without the claims that the vault refutes; each is an alert, if there is a book for it.

    The vault is read after the lists: no honest instance can be ahead of it then, unless the store lost commits.
    `all_asked`: whether every instance was asked for its list, so that an alert of before may be seen to have passed.
    """
    checked = claims.to_be_checked(observed, placements)
    vouched = await directory.vouched(checked) if checked else {}
    borne, false = claims.borne_out(observed, vouched, placements)
    if book is not None:
        if not _may_have_lost_commits(book):
            for claim in false:
                book.raised(AlertKind.FALSE_CLAIM, Subject.session(claim.session_id), claim.reason, url=claim.url)
        if all_asked and book.any_stands:
            _resolve(book, observed, {each.session_id for each in placements} - {each.session_id for each in false})
    return borne


def _resolve(book: AlertBook, observed: Observations, sessions: Collection[SessionId]) -> None:
    if all(isinstance(listing, SessionList) for listing in observed.listings.values()):
        for session in sessions:
            book.resolved(AlertKind.FALSE_CLAIM, Subject.session(session))


def _may_have_lost_commits(book: AlertBook) -> bool:
    return any(alert.kind is AlertKind.COMMITS_LOST for alert in book.of(FLEET))
