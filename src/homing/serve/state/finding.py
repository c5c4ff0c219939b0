"""Finding sessions among very many: which match, in which order, without keeping anybody waiting."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from homing.decide.knowledge.standing import GROUPS, Group, Standing
from homing.model.fleet import AccountUuid, InstanceUrl, SessionId
from homing.ports import Clock
from homing.ports.aside import Slices
from homing.serve.state.book import Scope, SessionBook, Shelved

LOOKED_AT_ONCE = 5_000
"""Sessions looked through before others have their turn: a millisecond or two."""
DIGITS_MIN, DIGITS_MAX = 3, 24
"""So many digits are looked for in phones; more are a name's."""
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


@dataclass(frozen=True, slots=True)
class FoundSessions:
    """Some of those that match, worst first, then by phone; and how many match."""

    sessions: Sequence[SessionId]
    total: int


def worst_first(
    book: SessionBook, scope: Scope, begin: int, number: int, standings: Iterable[Standing]
) -> list[SessionId]:
    """So many from this place on of those that stand so."""
    found: list[SessionId] = []
    for standing in standings:
        shelves = book.shelved(scope, standing)
        if begin < len(shelves):
            found += [session for _, session in shelves.part(begin, number - len(found))]
            if len(found) >= number:
                break
        begin = max(0, begin - len(shelves))
    return found


class Finder:
    """What nothing but a standing narrows is read where it stands in order. What has to be looked for is remembered,
    so that whoever reads on reads on in the same order."""

    def __init__(
        self,
        book: SessionBook,
        signed: Callable[[Sign], Collection[SessionId]],
        drivers: Callable[[], Mapping[str, str]],
        clock: Clock,
    ) -> None:
        self._book, self._signed, self._drivers, self._clock = book, signed, drivers, clock
        self._orders: dict[SessionSearch, tuple[int, list[SessionId]]] = {}

    async def found(self, wanted: SessionSearch, version: int, begin: int, number: int) -> FoundSessions:
        """Those that match at this version of the state, from this place on."""
        if not (wanted.text.split() or wanted.instance_url or wanted.sign or wanted.driver):
            standings, scope = _standings(wanted), wanted.scope
            total = sum(len(self._book.shelved(scope, each)) for each in standings)
            return FoundSessions(worst_first(self._book, scope, begin, number, standings), total)
        order = await self._order(wanted, version)
        return FoundSessions(order[begin : begin + number], len(order))

    async def _order(self, wanted: SessionSearch, version: int) -> list[SessionId]:
        known = self._orders.get(wanted)
        if known is not None and known[0] == version:
            return known[1]
        order: list[SessionId] = []
        slices, words, drivers = Slices(self._clock, LOOKED_AT_ONCE), _Words.of(wanted.text), self._drivers()
        for shelf in self._candidates(wanted):
            order += words.among(self._book, self._placed_so(shelf, wanted, drivers))
            await slices.after(len(shelf))
        self._orders.pop(wanted, None)
        self._orders[wanted] = (version, order)
        while len(self._orders) > _ORDERS_KEPT:
            self._orders.pop(next(iter(self._orders)))
        return order

    def _candidates(self, wanted: SessionSearch) -> list[Sequence[Shelved]]:
        """In order, a shelf at a time: of all, or of the few that are on one instance or have the sign."""
        book, standings = self._book, _standings(wanted)
        if wanted.sign is None and wanted.instance_url is None:
            return [shelf for each in standings for shelf in book.shelved(wanted.scope, each).shelves()]
        few = set(self._signed(wanted.sign)) if wanted.sign is not None else None
        if wanted.instance_url is not None:
            there = set(book.on(InstanceUrl(wanted.instance_url)))
            few = there if few is None else few & there
        shelves: dict[Standing, list[Shelved]] = {each: [] for each in standings}
        for session in few or ():
            account = book.account(session)
            if account is not None and wanted.scope in (None, account.workspace_id):
                shelves.get(book.standing(session), []).append((account.phone, session))
        return [sorted(shelf) for shelf in shelves.values()]

    def _placed_so(
        self, shelf: Sequence[Shelved], wanted: SessionSearch, drivers: Mapping[str, str]
    ) -> Sequence[Shelved]:
        """Those on instances of the driver."""
        if not wanted.driver:
            return shelf
        urls = {url for url, driver in drivers.items() if driver == wanted.driver}
        account = self._book.account
        return [each for each in shelf if (of := account(each[1])) and of.placement.instance_url in urls]

    def of_standing(self, scope: Scope, standing: Standing) -> list[SessionId]:
        """The caller's sessions that stand so, by phone."""
        return [session for _, session in self._book.shelved(scope, standing)]

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


def _standings(wanted: SessionSearch) -> list[Standing]:
    return [each for each in Standing if wanted.standing in (None, "", each.value)]


@dataclass(frozen=True, slots=True)
class _Words:
    """What somebody typed: all words are in what is told of a session, or the digits in its phone."""

    words: Sequence[str]
    digits: str

    @classmethod
    def of(cls, text: str) -> "_Words":
        return cls(text.casefold().split(), "".join(each for each in text if each.isdigit()))

    def among(self, book: SessionBook, shelf: Sequence[Shelved]) -> Sequence[SessionId]:
        """Those that are meant, in the same order."""
        named, text = [session for _, session in shelf], book.texts.get
        for word in self.words:
            named = [session for session in named if word in text(session, "")]
        if not self.words or not DIGITS_MIN <= len(self.digits) <= DIGITS_MAX:
            return named
        meant, account = set(named), book.account
        return [
            session
            for phone, session in shelf
            if session in meant
            or self.digits in phone
            or ((of := account(session)) is not None and self.digits in (of.person or ""))
        ]
