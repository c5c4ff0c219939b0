"""What do the instances' lists say about where a session is, and what should change in the directory?

A list is a hint to look, and here is the look: the claim of an instance that can send stands against the record and
against every other list. A list that could not be read proves nothing. Two claims of equal right are reported and
never settled by luck. An epoch that a gateway reports is adopted if it is higher than ours, never if it is lower;
a gateway that knows of no epochs is adopted only as the sole claimant.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from homing.decide.starting import linking
from homing.model.fleet import (
    CLAIMED_EPOCH_MAX,
    Epoch,
    InstanceUrl,
    Linking,
    ListedSession,
    Listing,
    MoveKind,
    NoList,
    Placement,
    PlacementState,
    Rebinding,
    SessionId,
    SessionList,
    SessionStatus,
    WorkspaceId,
)

_PRESENT = {SessionStatus.CONNECTED, SessionStatus.STARTING, SessionStatus.UNKNOWN}
_UNHEARD = Linking()


@dataclass(frozen=True, slots=True)
class AtHome:
    """The instance of the record holds it. `rivals`: others that claim it can send there too, to be reported."""

    row: ListedSession
    rivals: tuple[InstanceUrl, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class PlacedElsewhere:
    """The record is wrong, and this is the change that corrects it."""

    change: Rebinding
    rivals: tuple[InstanceUrl, ...] = ()

    @property
    def reason(self) -> str:
        return self.change.reason


@dataclass(frozen=True, slots=True)
class ComingUp:
    """Some instance has it, and it cannot send yet (or any more)."""

    url: InstanceUrl
    status: SessionStatus
    reason: str


@dataclass(frozen=True, slots=True)
class Unlinked:
    """Its link with WhatsApp is gone (`logged_out`), or a code waits to be scanned (`pairing`): it takes a person."""

    url: InstanceUrl
    reason: str
    status: SessionStatus = SessionStatus.PAIRING
    never_linked: bool = False
    """It is new: nothing was lost."""


@dataclass(frozen=True, slots=True)
class Contested:
    """Several instances claim that they can send for it, and none has the better right."""

    claimants: tuple[InstanceUrl, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Absent:
    """No list that could be read names it. `silent`: the instances whose lists could not be read."""

    silent: tuple[InstanceUrl, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """It is in quarantine: wherever it is seen, nothing follows, until an operator starts it."""

    reason: str


Judgement = AtHome | PlacedElsewhere | ComingUp | Unlinked | Contested | Absent | SetAside

Claims = Mapping[InstanceUrl, ListedSession]


@dataclass(frozen=True, slots=True)
class Observations:
    """What the instances answered, as far as it concerns some sessions."""

    listings: Mapping[InstanceUrl, Listing]
    claims: Mapping[SessionId, Claims]
    silent: tuple[InstanceUrl, ...]
    absence: str
    """What is said of a session that no list names."""


def observe(listings: Mapping[InstanceUrl, Listing], sessions: Collection[SessionId]) -> Observations:
    """The lists, turned round: for each of these sessions, who claims it under an epoch that can be."""
    wanted = frozenset(sessions)
    claims: dict[SessionId, dict[InstanceUrl, ListedSession]] = {}
    for url, listing in listings.items():
        if isinstance(listing, SessionList):
            for session in wanted & listing.sessions.keys():
                if (listing.sessions[session].epoch or 0) <= CLAIMED_EPOCH_MAX:
                    claims.setdefault(session, {})[url] = listing.sessions[session]
    silent = tuple(url for url, listing in listings.items() if isinstance(listing, NoList))
    return Observations(listings, claims, silent, _absence(listings, silent))


def judge(
    placement: Placement,
    observed: Observations,
    *,
    quarantined: bool = False,
    known: Linking = _UNHEARD,
    owner: WorkspaceId | None = None,
) -> Judgement:
    """Where one session is, by the record and by the lists of all instances asked.

    `known`: what its holder reported of its link with its phone. One that has no place yet is found only where it is
    not listed as another workspace's than `owner`: an account may have been made for the session of somebody else.
    """
    if quarantined:
        return SetAside("it is in quarantine: a stranger uses its login, and an operator has to start it again")
    home = placement.instance_url
    claims = observed.claims.get(placement.session_id, {})
    if home is None and owner is not None:
        claims = {url: row for url, row in claims.items() if row.workspace_id in (None, owner)}
    holders = {url: row for url, row in claims.items() if row.can_send}
    if home in holders:
        return _at_home(placement, home, holders)
    if holders:
        return _elsewhere(placement, _as_meant(placement, claims, known), holders, observed.listings)
    return _not_sending(placement, claims, observed, known)


def denied_by(placement: Placement, observed: Observations) -> frozenset[InstanceUrl]:
    """The instances that answered and do not have the session."""
    claimants = observed.claims.get(placement.session_id, {}).keys()
    return frozenset(
        url for url, listing in observed.listings.items() if isinstance(listing, SessionList) and url not in claimants
    )


def _at_home(placement: Placement, home: InstanceUrl, holders: Claims) -> Judgement:
    row = holders[home]
    rivals = tuple(sorted(url for url in holders if url != home))
    if row.epoch is not None and row.epoch > placement.epoch:
        reason = f"{home} opened it again, under epoch {row.epoch}"
        return PlacedElsewhere(_change(placement, home, row.epoch, reason), rivals)
    if placement.state is PlacementState.MOVING and row.epoch == placement.epoch:
        # Whoever brought it here did not stay to see it arrive.
        reason = f"it has arrived on {home}, under epoch {row.epoch}"
        return PlacedElsewhere(_change(placement, home, row.epoch, reason), rivals)
    return AtHome(row, rivals, f"{home} has it, and it can send")


def _elsewhere(
    placement: Placement, claims: Claims, holders: Claims, listings: Mapping[InstanceUrl, Listing]
) -> Judgement:
    best = _rightful(holders)
    if best is None:
        names = tuple(sorted(holders))
        return Contested(names, f"{' and '.join(names)} both say that they can send for it")
    url, row = best
    if row.epoch is not None and row.epoch < placement.epoch:
        reason = f"{url} has it under epoch {row.epoch}, which is older than ours ({placement.epoch})"
        return ComingUp(url, SessionStatus.UNKNOWN, reason)
    others_present = [other for other, claim in claims.items() if other != url and claim.status in _PRESENT]
    outranks = row.epoch is not None and row.epoch > placement.epoch
    if others_present and not outranks:
        names = tuple(sorted([url, *others_present]))
        return ComingUp(url, row.status, f"{url} can send, but {' and '.join(others_present)} may have it too")
    reason = f"found on {url}; {_what_home_says(placement, listings)}"
    rivals = tuple(sorted(other for other in holders if other != url))
    return PlacedElsewhere(_change(placement, url, _next_epoch(placement, row), reason), rivals)


def _rightful(holders: Claims) -> tuple[InstanceUrl, ListedSession] | None:
    """The only holder, or the one with the highest epoch if all have epochs and one is above the others."""
    if len(holders) == 1:
        return next(iter(holders.items()))
    ranked = sorted(
        ((row.epoch, url) for url, row in holders.items() if row.epoch is not None), key=lambda pair: pair[0]
    )
    if len(ranked) < len(holders) or ranked[-1][0] == ranked[-2][0]:
        return None
    url = ranked[-1][1]
    return url, holders[url]


def _as_meant(placement: Placement, claims: Claims, known: Linking) -> Claims:
    """The claims, the holder's with the status that it means: what others report of the session does not count."""
    home = placement.instance_url
    return {url: replace(row, status=linking.meant(row, known)) if url == home else row for url, row in claims.items()}


def _not_sending(placement: Placement, claims: Claims, observed: Observations, known: Linking) -> Judgement:
    home = placement.instance_url
    at_home = linking.at_holder(observed.listings.get(home), placement.session_id, known) if home is not None else None
    if home is not None and at_home is not None:
        if at_home in linking.UNLINKED:
            never_linked = linking.was_never_linked(known)
            return Unlinked(home, _needs_a_person(home, at_home, never_linked), at_home, never_linked)
        if home in claims:
            return _coming_up(home, claims[home], at_home)
    elsewhere = {url: linking.meant(row, _UNHEARD) for url, row in claims.items()}
    for url, status in elsewhere.items():
        if status not in linking.UNLINKED:
            return _coming_up(url, claims[url], status)
    if claims and not observed.silent:
        url, status = next(iter(elsewhere.items()))
        return Unlinked(url, _needs_a_person(url, status, False), status)
    return Absent(observed.silent, observed.absence)


def _coming_up(url: InstanceUrl, row: ListedSession, status: SessionStatus) -> ComingUp:
    said = "; it has reported no code to scan since" if row.status is SessionStatus.PAIRING else ""
    return ComingUp(url, status, f"{url} has it, but it cannot send yet: its status is {status.value}{said}")


def _needs_a_person(url: InstanceUrl, status: SessionStatus, never_linked: bool) -> str:
    if status is SessionStatus.LOGGED_OUT:
        return f"{url} says that its link with WhatsApp has ended: it has to be started and paired again"
    if never_linked:
        return f"{url} has it, and its phone was never linked: `homing accounts qr` shows the code to scan"
    return f"{url} has it waiting to be paired: somebody has to scan its code"


def _absence(listings: Mapping[InstanceUrl, Listing], silent: tuple[InstanceUrl, ...]) -> str:
    if not listings:
        return "there is no instance to ask"
    answered = len(listings) - len(silent)
    said = f"asked {len(listings)} instances: {answered} answered without it"
    unread = [
        f"{url} gave no list ({listing.category})" for url in silent if isinstance(listing := listings[url], NoList)
    ]
    return "; ".join([said, *unread])


def _what_home_says(placement: Placement, listings: Mapping[InstanceUrl, Listing]) -> str:
    home = placement.instance_url
    if home is None:
        return "it had no place before"
    listing = listings.get(home)
    match listing:
        case None:
            return f"{home} is not an instance any more"
        case NoList():
            return f"{home} gave no list ({listing.category})"
        case SessionList(sessions=sessions):
            row = sessions.get(placement.session_id)
            return f"{home} does not have it" if row is None else f"{home} says {row.status.value}"


def _next_epoch(placement: Placement, row: ListedSession) -> Epoch:
    """A gateway without epochs opened the credentials unseen: that was a grant, and takes a number."""
    return row.epoch if row.epoch is not None else Epoch(placement.epoch + 1)


def _change(placement: Placement, url: InstanceUrl, epoch: Epoch, reason: str) -> Rebinding:
    return Rebinding(placement, url, epoch, MoveKind.REDISCOVERY, reason, claimed=True)
