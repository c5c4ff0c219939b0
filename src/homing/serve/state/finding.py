"""Finding sessions among very many: which match, in which order, without keeping anybody waiting."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from homing.decide.knowledge.standing import GROUPS, Group, Standing
from homing.model.fleet import Account, AccountUuid, SessionId
from homing.serve.state.book import Scope, SessionBook

_ORDERS_KEPT = 32


class Sign(StrEnum):
    """What is told of a session besides how it stands."""

    DEAF = "deaf"
    """Connected, and not well."""
    DUPLICATE = "duplicate"
    """Held by more than one instance."""
    UNPAIRED = "unpaired"
    """Its phone has to be linked."""


@dataclass(frozen=True, slots=True)
class SessionSearch:
    """What is looked for; an empty text or None excludes nothing."""

    scope: Scope = None
    text: str = ""
    standing: str | None = None
    instance_url: str | None = None
    sign: Sign | None = None
    driver: str | None = None


def in_order(book: SessionBook, scope: Scope, matches: Callable[[SessionId], bool] | None = None) -> list[SessionId]:
    """All that match, worst first, then by phone."""
    buckets: dict[Standing, list[SessionId]] = {each: [] for each in Standing}
    for session in book.by_phone():
        if (scope is None or book.workspace(session) == scope) and (matches is None or matches(session)):
            buckets[book.standing(session)].append(session)
    return [session for each in Standing for session in buckets[each]]


class Finder:
    """Remembers the newest orders, so that whoever reads on reads on in the same one."""

    def __init__(
        self,
        book: SessionBook,
        signed: Callable[[Sign], Collection[SessionId]],
        drivers: Callable[[], Mapping[str, str]],
    ) -> None:
        self._book, self._signed, self._drivers = book, signed, drivers
        self._orders: dict[SessionSearch, tuple[int, list[SessionId]]] = {}

    def found(self, wanted: SessionSearch, version: int) -> list[SessionId]:
        """The sessions that match at this version of the state."""
        known = self._orders.get(wanted)
        if known is not None and known[0] == version:
            return known[1]
        order = in_order(self._book, wanted.scope, self._matcher(wanted))
        self._orders.pop(wanted, None)
        self._orders[wanted] = (version, order)
        while len(self._orders) > _ORDERS_KEPT:
            self._orders.pop(next(iter(self._orders)))
        return order

    def of_standing(self, scope: Scope, standing: Standing) -> list[SessionId]:
        """The caller's sessions that stand so, by phone."""
        book = self._book
        found = [each for each in book.of(standing) if scope is None or book.workspace(each) == scope]
        return sorted(found, key=lambda each: (account.phone if (account := book.account(each)) else "", each))

    def named(self, scope: Scope, ref: str) -> list[SessionId]:
        """The session of the account with this number, uuid or session, if it is the caller's."""
        if ref.isdecimal() and len(ref) < 18:
            session = self._book.session_numbered(int(ref))
        else:
            session = self._book.session_of(AccountUuid(ref.lower())) or SessionId(ref)
        its = self._book.account(session) if session is not None else None
        return [its.session_id] if its is not None and scope in (None, its.workspace_id) else []

    def of_group(self, scope: Scope, group: Group) -> list[SessionId]:
        return [each for word in Standing if GROUPS[word] is group for each in self.of_standing(scope, word)]

    def with_sign(self, scope: Scope, sign: Sign) -> list[SessionId]:
        """The caller's sessions of which this is told."""
        return [each for each in self._signed(sign) if scope is None or self._book.workspace(each) == scope]

    def _matcher(self, wanted: SessionSearch) -> Callable[[SessionId], bool] | None:
        if not (wanted.text.split() or wanted.standing or wanted.instance_url or wanted.sign or wanted.driver):
            return None
        book, says = self._book, _text_matcher(wanted.text)
        signed = frozenset(self._signed(wanted.sign)) if wanted.sign is not None else None
        drivers = self._drivers() if wanted.driver else {}

        def matches(session: SessionId) -> bool:
            account = book.account(session)
            if account is None or (wanted.standing and book.standing(session).value != wanted.standing):
                return False
            if signed is not None and session not in signed:
                return False
            url = account.placement.instance_url
            if (wanted.instance_url and url != wanted.instance_url) or (
                wanted.driver and (url is None or drivers.get(url) != wanted.driver)
            ):
                return False
            return says is None or says(account)

        return matches


def _text_matcher(text: str) -> Callable[[Account], bool] | None:
    words = text.casefold().split()
    digits = "".join(each for each in text if each.isdigit())
    if not words:
        return None

    def says(account: Account) -> bool:
        told = f"{account.name} {account.uuid} {account.session_id} {account.id} {account.placement.instance_url}"
        told = told.casefold()
        return all(word in told for word in words) or (
            len(digits) >= 3 and digits in f"{account.phone} {account.person}"
        )

    return says
