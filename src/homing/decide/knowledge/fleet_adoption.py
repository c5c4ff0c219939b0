"""Which of the sessions that gateways list may be taken up as they are, under which id, and which not, and why?

A session keeps its own name as its id where that is free. Where the family's names are local to a gateway, name and
phone together say which session it is; one whose name another session has is named by its instance too.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from homing.decide.knowledge.identity import phone_of
from homing.decide.knowledge.native_names import meant
from homing.decide.phones.aliases import person
from homing.model.fleet import Account, InstanceUrl, ListedSession, SessionId, WorkspaceId
from homing.model.instances.native_names import NativeName, names_are_local, qualified

NAME_MAX = 200
"""A session's id stands in the addresses of the API and of its gateway."""


class AdoptionResult(StrEnum):
    """What becomes of one session that a gateway lists."""

    ADOPT = "adopted"
    """An account is made for it, placed where it is."""
    PLACE = "placed"
    """Its account is there, and was nowhere: it is placed now."""
    KNOWN = "known"
    """It is recorded there already."""
    ELSEWHERE = "elsewhere"
    """Its account is recorded on another instance: the next sync finds out who has it."""
    HELD_TWICE = "held_twice"
    """Two of these gateways list it. Nobody chooses between them."""
    PHONE_TAKEN = "phone_taken"
    """Another session has the account of its phone."""
    NO_PHONE = "no_phone"
    """Its gateway tells no phone of it: it is not paired, or not up."""
    REFUSED = "refused"
    """Its name cannot be an id, or belongs to somebody else's account."""


@dataclass(frozen=True, slots=True)
class ListedThere:
    """One gateway's list under its own names. `place` is the instance in the ids of sessions whose names are taken."""

    url: InstanceUrl
    place: str
    family: str
    rows: Sequence[ListedSession]


@dataclass(frozen=True, slots=True)
class JudgedSession:
    """One listed session, and what becomes of it. `account_id` is the account that has it, or stands in its way."""

    url: InstanceUrl
    row: ListedSession
    result: AdoptionResult
    reason: str
    session_id: SessionId
    workspace_id: WorkspaceId
    phone: str | None = None
    account_id: int | None = None

    @property
    def person(self) -> str | None:
        return person(self.phone) if self.phone is not None else None


@dataclass(frozen=True, slots=True)
class OnRecord:
    """What the directory knows: accounts by session, by workspace and person, and the names that are local."""

    owners: Mapping[SessionId, Account] = field(default_factory=dict)
    persons: Mapping[tuple[WorkspaceId, str], Account] = field(default_factory=dict)
    named: Mapping[str, Sequence[NativeName]] = field(default_factory=dict)


def candidates(lists: Sequence[ListedThere], named: Mapping[str, Sequence[NativeName]]) -> set[SessionId]:
    """The ids whose owners have to be known before these lists can be judged."""
    wanted: set[SessionId] = set()
    for there in lists:
        for row in there.rows:
            wanted |= {row.session_id, qualified(there.place, row.session_id)}
            wanted |= {each.session_id for each in named.get(row.session_id, ())}
    return wanted


def persons_of(lists: Sequence[ListedThere]) -> set[str]:
    """Whose phones these lists tell."""
    return {person(phone) for there in lists for row in there.rows if (phone := _digits(row)) is not None}


def judge(
    lists: Sequence[ListedThere], record: OnRecord, workspace: WorkspaceId, *, named_by_caller: bool
) -> list[JudgedSession]:
    """What becomes of each listed session, in the lists' order.

    They become `workspace`'s; where the caller did not name it, a session that its gateway says is another's stays so.
    """
    held = Counter(_identity(there, row) for there in lists for row in there.rows)
    judging = _Judging(record, workspace, named_by_caller, frozenset(each for each, times in held.items() if times > 1))
    return [judging.judged(there, row) for there in lists for row in there.rows]


def _identity(there: ListedThere, row: ListedSession) -> tuple[str, str | None]:
    phone = _digits(row)
    local = names_are_local(there.family)
    return row.session_id, (person(phone) if phone is not None else f"none, at {there.url}") if local else None


def _digits(row: ListedSession) -> str | None:
    return phone_of(row.phone) if row.phone else None


class _Judging:
    """One pass over the lists; what an earlier row takes, a later one cannot."""

    def __init__(
        self, record: OnRecord, workspace: WorkspaceId, named: bool, twice: frozenset[tuple[str, str | None]]
    ) -> None:
        self._record, self._workspace, self._named, self._twice = record, workspace, named, twice
        self._ids: set[SessionId] = set()
        self._persons: dict[tuple[WorkspaceId, str], JudgedSession] = {}

    def judged(self, there: ListedThere, row: ListedSession) -> JudgedSession:
        owner = self._owner(there, row)
        if owner is not None:
            return self._of_owner(there, row, owner)
        if (why := _unfit(row.session_id)) is not None:
            return self._not(there, row, AdoptionResult.REFUSED, why)
        phone = _digits(row)
        if phone is None:
            why = f"its status is {row.status.value}, and its gateway tells no phone of it"
            return self._not(there, row, AdoptionResult.NO_PHONE, why)
        if _identity(there, row) in self._twice:
            why = "another of these gateways lists it too, by the same name and phone; stop it on all but one"
            return self._not(there, row, AdoptionResult.HELD_TWICE, why)
        return self._taken_up(there, row, phone)

    def _owner(self, there: ListedThere, row: ListedSession) -> Account | None:
        """The account whose session the gateway means."""
        if not names_are_local(there.family):
            return self._record.owners.get(row.session_id)
        found = meant(self._record.named.get(row.session_id, ()), row.phone, there.url)
        if found is not None:
            return self._record.owners.get(found.session_id)
        plain = self._record.owners.get(row.session_id)
        return plain if plain is not None and plain.native_id is None and _is_its(plain, there, row) else None

    def _of_owner(self, there: ListedThere, row: ListedSession, owner: Account) -> JudgedSession:
        at, who = owner.placement.instance_url, f"account {owner.id}"
        if at == there.url:
            result, why = AdoptionResult.KNOWN, f"it is the session of {who}, and recorded here already"
        elif at is None:
            result, why = AdoptionResult.PLACE, f"it is the session of {who}, which was nowhere"
        else:
            why = f"it is the session of {who}, which is recorded on {at}; a sync finds out which of the two has it"
            result = AdoptionResult.ELSEWHERE
        phone = _digits(row)
        return JudgedSession(
            there.url, row, result, why, owner.session_id, owner.workspace_id, phone, account_id=owner.id
        )

    def _taken_up(self, there: ListedThere, row: ListedSession, phone: str) -> JudgedSession:
        workspace = self._whose(row)
        whose = workspace, person(phone)
        if (other := self._record.persons.get(whose)) is not None:
            why = f"its phone is that of account {other.id}, which has the session {other.session_id}"
            return self._not(there, row, AdoptionResult.PHONE_TAKEN, why, other.id)
        if (before := self._persons.get(whose)) is not None:
            why = f"its phone is that of the session {before.session_id} on {before.url}, which is adopted"
            return self._not(there, row, AdoptionResult.PHONE_TAKEN, why)
        session_id = self._free_id(there, row)
        if session_id is None:
            why = f"its name, {row.session_id}, and {qualified(there.place, row.session_id)} too, are other accounts'"
            return self._not(there, row, AdoptionResult.REFUSED, why)
        why = (
            "an account is made for it"
            if session_id == row.session_id
            else f"its name alone is another's: {session_id}"
        )
        taken = JudgedSession(there.url, row, AdoptionResult.ADOPT, why, session_id, workspace, phone)
        self._ids.add(session_id)
        self._persons[whose] = taken
        return taken

    def _free_id(self, there: ListedThere, row: ListedSession) -> SessionId | None:
        """The name itself, else the name with its instance's before it, where the family's names are local."""
        local = names_are_local(there.family)
        choices = [row.session_id, qualified(there.place, row.session_id)] if local else [row.session_id]
        return next((each for each in choices if each not in self._record.owners and each not in self._ids), None)

    def _whose(self, row: ListedSession) -> WorkspaceId:
        return self._workspace if self._named or row.workspace_id is None else row.workspace_id

    def _not(
        self, there: ListedThere, row: ListedSession, result: AdoptionResult, why: str, account_id: int | None = None
    ) -> JudgedSession:
        phone = _digits(row)
        return JudgedSession(there.url, row, result, why, row.session_id, self._whose(row), phone, account_id)


def _is_its(owner: Account, there: ListedThere, row: ListedSession) -> bool:
    phone = _digits(row)
    return owner.placement.instance_url == there.url or (phone is not None and owner.person == person(phone))


def _unfit(name: str) -> str | None:
    if name in (".", ".."):
        return f"{name!r} cannot stand in an address"
    if len(name) > NAME_MAX or not name.isprintable():
        return f"its name is longer than {NAME_MAX} characters, or has some that cannot be printed"
    return None
