"""The sessions as they were last known, counted by workspace, and in the order in which people look for them."""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from homing.decide.knowledge.standing import GROUPS, Counts, Group, Standing
from homing.model.fleet import Account, AccountUuid, InstanceUrl, SessionId, SessionStatus, WorkspaceId
from homing.serve.state.rows import SessionRow, session_row

Scope = WorkspaceId | None
"""Whose state it is: one workspace's, or all there is."""
_Place = tuple[str, SessionId]


class SessionBook:
    """What is known of every session. Every count is kept as it changes, never counted anew."""

    def __init__(self) -> None:
        self._accounts: dict[SessionId, Account] = {}
        self._known: dict[SessionId, tuple[SessionStatus, Standing]] = {}
        self._by_uuid: dict[AccountUuid, SessionId] = {}
        self._by_number: dict[int, SessionId] = {}
        self._by_phone: list[_Place] = []
        self._of: dict[Standing, set[SessionId]] = {each: set() for each in Standing}
        self._standings: Counter[tuple[Scope, Standing]] = Counter()
        self._placed: Counter[tuple[Scope, InstanceUrl]] = Counter()
        self._can_send: Counter[tuple[Scope, InstanceUrl]] = Counter()

    def __len__(self) -> int:
        return len(self._accounts)

    def put(self, account: Account, status: SessionStatus, standing: Standing) -> bool:
        """This is how it is now. Whether anything that is told of it is new."""
        session, before = account.session_id, self._accounts.get(account.session_id)
        if before is not None and self._row(before) == session_row(account, status, standing):
            self._accounts[session] = account
            return False
        if before is not None and before.phone == account.phone:
            self._count(before, self._known[session][1], -1)
            del self._by_uuid[before.uuid], self._by_number[before.id]
        else:
            self.drop(session)
            insort(self._by_phone, (account.phone, session))
        self._accounts[session] = account
        self._known[session] = (status, standing)
        self._by_uuid[account.uuid] = self._by_number[account.id] = session
        self._count(account, standing, 1)
        return True

    def known(self, session: SessionId) -> tuple[SessionStatus, Standing] | None:
        """How it is, and how it stands."""
        return self._known.get(session)

    def drop(self, session: SessionId) -> Account | None:
        """Forget it; returns what was known."""
        account = self._accounts.pop(session, None)
        if account is not None:
            self._count(account, self._known.pop(session)[1], -1)
            del self._by_uuid[account.uuid], self._by_number[account.id]
            del self._by_phone[bisect_left(self._by_phone, (account.phone, session))]
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

    def of(self, standing: Standing) -> Collection[SessionId]:
        """The sessions that stand so."""
        return self._of[standing]

    def on(self, url: InstanceUrl) -> list[SessionId]:
        """The sessions placed on an instance. Looks through all."""
        return [session for session, account in self._accounts.items() if account.placement.instance_url == url]

    def by_phone(self) -> Iterator[SessionId]:
        """All sessions, by their phones."""
        return (session for _, session in self._by_phone)

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
        waiting = [each for each in self._of[Standing.WAITS] if self._known[each][0] is SessionStatus.PAIRING]
        return [*self._of[Standing.LOGGED_OUT], *waiting]

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

    def _count(self, account: Account, standing: Standing, by: int) -> None:
        url = account.placement.instance_url
        (self._of[standing].add if by > 0 else self._of[standing].discard)(account.session_id)
        for scope in (None, account.workspace_id):
            self._standings[scope, standing] += by
            if url is not None:
                self._placed[scope, url] += by
                self._can_send[scope, url] += by if standing is Standing.CONNECTED else 0
