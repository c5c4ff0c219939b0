"""The sessions as they were last known, counted by workspace, and in the order in which people look for them."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping

from homing.decide.knowledge.standing import GROUPS, Counts, Group, Standing
from homing.model.fleet import Account, AccountUuid, InstanceUrl, SessionId, SessionStatus, WorkspaceId
from homing.serve.state.rows import SessionRow, session_row
from homing.serve.state.shelves import Shelves

Scope = WorkspaceId | None
"""Whose state it is: one workspace's, or all there is."""
Shelved = tuple[str, SessionId]
"""A session by its phone."""


class SessionBook:
    """What is known of every session. Every count is kept as it changes, never counted anew."""

    def __init__(self) -> None:
        self._accounts: dict[SessionId, Account] = {}
        self._known: dict[SessionId, tuple[SessionStatus, Standing]] = {}
        self._by_uuid: dict[AccountUuid, SessionId] = {}
        self._by_number: dict[int, SessionId] = {}
        self._texts: dict[SessionId, str] = {}
        self._shelves: defaultdict[tuple[Scope, Standing], Shelves[Shelved]] = defaultdict(Shelves)
        self._on: defaultdict[InstanceUrl, set[SessionId]] = defaultdict(set)
        self._touched: set[InstanceUrl] = set()
        self._standings: Counter[tuple[Scope, Standing]] = Counter()
        self._placed: Counter[tuple[Scope, InstanceUrl]] = Counter()
        self._can_send: Counter[tuple[Scope, InstanceUrl]] = Counter()

    def __len__(self) -> int:
        return len(self._accounts)

    def put(self, account: Account, status: SessionStatus, standing: Standing) -> bool:
        """This is how it is now. Whether anything that is told of it is new."""
        session, before = account.session_id, self._accounts.get(account.session_id)
        if before is not None and self._is_told_so(before, account, status, standing):
            self._accounts[session] = account
            return False
        place = (account.phone, account.workspace_id, standing)
        stays = before is not None and (before.phone, before.workspace_id, self._known[session][1]) == place
        if before is not None:
            self._leave(before, shelved=not stays)
        self._accounts[session] = account
        self._known[session] = (status, standing)
        self._by_uuid[account.uuid] = self._by_number[account.id] = session
        self._texts[session] = _text_of(account)
        self._count(account, standing, 1)
        if not stays:
            for scope in (None, account.workspace_id):
                self._shelves[scope, standing].add((account.phone, session))
        return True

    def _is_told_so(self, before: Account, account: Account, status: SessionStatus, standing: Standing) -> bool:
        """Whether the same is told already. Most of what is read is as it was, and rows are dear."""
        if self._known[before.session_id] != (status, standing):
            return False
        return before == account or self._row(before) == session_row(account, status, standing)

    def known(self, session: SessionId) -> tuple[SessionStatus, Standing] | None:
        """How it is, and how it stands."""
        return self._known.get(session)

    def drop(self, session: SessionId) -> Account | None:
        """Forget it; returns what was known."""
        account = self._accounts.get(session)
        if account is not None:
            self._leave(account, shelved=True)
            del self._accounts[session], self._known[session], self._texts[session]
        return account

    def sessions(self) -> Iterable[SessionId]:
        return self._accounts.keys()

    def account(self, session: SessionId) -> Account | None:
        return self._accounts.get(session)

    def session_of(self, uuid: AccountUuid) -> SessionId | None:
        return self._by_uuid.get(uuid)

    def session_numbered(self, number: int) -> SessionId | None:
        return self._by_number.get(number)

    def row(self, session: SessionId) -> SessionRow | None:
        account = self._accounts.get(session)
        return self._row(account) if account is not None else None

    def workspace(self, session: SessionId) -> WorkspaceId:
        return self._accounts[session].workspace_id

    def standing(self, session: SessionId) -> Standing:
        return self._known[session][1]

    def shelved(self, scope: Scope, standing: Standing) -> Shelves[Shelved]:
        """The sessions that stand so, by phone."""
        return self._shelves[scope, standing]

    @property
    def texts(self) -> Mapping[SessionId, str]:
        """What each session can be found by besides its phone, in lower case."""
        return self._texts

    def on(self, url: InstanceUrl) -> Collection[SessionId]:
        """The sessions placed on an instance."""
        return frozenset(self._on.get(url, ()))

    def touched(self) -> set[InstanceUrl]:
        """The instances of which a session came, went or changed since this was asked last."""
        touched, self._touched = self._touched, set()
        return touched

    # --- counts -------------------------------------------------------------------------------------------------

    def by_standing(self, scope: Scope) -> dict[Standing, int]:
        return {standing: self._standings[scope, standing] for standing in Standing}

    def counts(self, scope: Scope) -> Counts:
        groups: Counter[Group] = Counter()
        for standing, number in self.by_standing(scope).items():
            groups[GROUPS[standing]] += number
        return Counts(sum(groups.values()), dict(groups))

    def unlinked(self, scope: Scope) -> int:
        """How many sessions wait for somebody to link their phones."""
        return sum(scope in (None, self.workspace(each)) for each in self.to_link())

    def to_link(self) -> list[SessionId]:
        """The sessions whose phones have to be linked."""
        waiting = [each for _, each in self._shelves[None, Standing.WAITS]]
        pairing = [each for each in waiting if self._known[each][0] is SessionStatus.PAIRING]
        return [*(each for _, each in self._shelves[None, Standing.LOGGED_OUT]), *pairing]

    def by_workspace(self) -> dict[WorkspaceId, int]:
        """How many sessions each workspace has."""
        found: Counter[WorkspaceId] = Counter()
        for (workspace, _), number in self._standings.items():
            if workspace is not None:
                found[workspace] += number
        return {workspace: number for workspace, number in sorted(found.items()) if number}

    def placed_on(self, scope: Scope, url: InstanceUrl) -> int:
        return self._placed[scope, url]

    def can_send_on(self, scope: Scope, url: InstanceUrl) -> int:
        return self._can_send[scope, url]

    def _row(self, account: Account) -> SessionRow:
        return session_row(account, *self._known[account.session_id])

    def _leave(self, account: Account, *, shelved: bool) -> None:
        session, standing = account.session_id, self._known[account.session_id][1]
        self._count(account, standing, -1)
        del self._by_uuid[account.uuid], self._by_number[account.id]
        if shelved:
            for scope in (None, account.workspace_id):
                self._shelves[scope, standing].remove((account.phone, session))

    def _count(self, account: Account, standing: Standing, by: int) -> None:
        url, session = account.placement.instance_url, account.session_id
        if url is not None:
            self._touched.add(url)
            (self._on[url].add if by > 0 else self._on[url].discard)(session)
        for scope in (None, account.workspace_id):
            self._standings[scope, standing] += by
            if url is not None:
                self._placed[scope, url] += by
                self._can_send[scope, url] += by if standing is Standing.CONNECTED else 0


def _text_of(account: Account) -> str:
    told = f"{account.name} {account.uuid} {account.session_id} {account.id} {account.placement.instance_url}"
    return told.casefold()
