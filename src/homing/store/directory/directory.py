"""The directory on a SQL database: who exists, and where each session lives."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from homing.decide.knowledge.presence import KNOWN_FOR
from homing.model.directory.access import Key
from homing.model.directory.workspaces import Workspace
from homing.model.fleet import (
    Account,
    AccountUuid,
    Contact,
    ContactUuid,
    Instance,
    InstanceMode,
    InstanceState,
    InstanceUrl,
    Move,
    MoveKind,
    Placed,
    Placement,
    Rebinding,
    Route,
    SessionId,
    SessionStatus,
    WorkspaceId,
)
from homing.model.instances.restoring import Recorded
from homing.model.instances.vault import Vouched
from homing.model.tracing import trace_id_now
from homing.ports import (
    AccountChanged,
    AccountChanges,
    Clock,
    InstanceChanges,
    InstanceLoad,
    KeyChanges,
    KeysChanged,
    Lookup,
    NewAccount,
    NewNames,
    Notice,
    Page,
    RosterChanged,
    WorkspaceChanges,
    WorkspacesChanged,
)
from homing.store.db.database import Database
from homing.store.deliveries.moved import tell_moved
from homing.store.directory import (
    accounts,
    keys,
    linking,
    lookup,
    naming,
    placement_reads,
    placements,
    reported,
    workspaces,
)
from homing.store.directory import instances as roster
from homing.store.grants import handing_out, start_turns
from homing.store.notices.announce import Changes
from homing.store.notices.notices import StagedNotices
from homing.store.records.recording import record_difference, subject

T = TypeVar("T")

_LINES_PER_BATCH = 20

log = structlog.get_logger("homing")


class SqlDirectory:
    """`ports.Directory` on SQLite and PostgreSQL.

    `on_read` is called once for each SELECT that a send waits for. A change once begun is carried through and
    announced even if whoever asked for it has gone away.
    """

    def __init__(
        self,
        database: Database,
        notices: StagedNotices,
        clock: Clock,
        *,
        on_read: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._changes = Changes(database, notices)
        self._clock = clock
        self._on_read = on_read

    # --- routes and placements ---

    async def lookup(
        self, accounts: Collection[AccountUuid], contacts: Collection[ContactUuid], *, neighbours: int = 0
    ) -> Lookup:
        self._on_read()
        return await self._database.read(lambda c: lookup.lookup(c, accounts, contacts, neighbours=neighbours))

    async def route_of_session(self, session_id: SessionId) -> Route | None:
        self._on_read()
        return await self._database.read(lambda c: lookup.route_of_session(c, session_id))

    async def routes(
        self, *, sessions: Collection[SessionId] = (), instances: Collection[InstanceUrl] = ()
    ) -> list[Route]:
        self._on_read()
        return await self._database.read(lambda c: lookup.routes(c, asked_sessions=sessions, instances=instances))

    async def vouched(self, sessions: Collection[SessionId]) -> Mapping[SessionId, Vouched]:
        self._on_read()
        return await self._database.read(lambda c: placements.vouched(c, sessions))

    async def rebind(self, changes: Sequence[Rebinding], *, run_id: str | None = None) -> list[Rebinding]:
        at, trace_id = self._clock.now(), trace_id_now()

        def change(connection: Connection) -> tuple[list[placements.Rebound], list[Notice]]:
            applied = placements.rebind(connection, changes, at=at, run_id=run_id, trace_id=trace_id)
            return applied, [*(each.notice for each in applied), *tell_moved(connection, self._database, applied)]

        if not changes:
            return []
        applied = await self._changes.make(change)
        _log_rebound(applied)
        return [rebound.change for rebound in applied]

    async def placed_on(self, instance: InstanceUrl) -> list[Placed]:
        return await self._database.read_aside(lambda c: placement_reads.placed_on(c, instance))

    async def placed_elsewhere(self, instances: Collection[InstanceUrl]) -> list[Placed]:
        return await self._database.read_aside(lambda c: placement_reads.placed_elsewhere(c, instances))

    async def hand_out(self, instance: InstanceUrl) -> list[Account]:
        return await self._changes.make(lambda c: handing_out.hand_out(c, self._database, instance))

    async def came_back(self, instance: InstanceUrl) -> None:
        await self._changes.make(lambda c: (None, handing_out.came_back(c, instance)))

    async def recorded(
        self, *, instances: Collection[InstanceUrl] = (), sessions: Collection[SessionId] = ()
    ) -> list[Recorded]:
        return await self._database.read_aside(lambda c: handing_out.recorded(c, self._database, instances, sessions))

    async def adrift(self, *, for_s: float, limit: int) -> list[Placement]:
        return await self._database.read(lambda c: placement_reads.adrift(c, self._database, for_s, limit))

    async def placed_count(self) -> int:
        return await self._database.read(placement_reads.placed_count)

    async def mark_verified(
        self, sessions: Collection[SessionId], at: datetime, *, ready_ago_s: float | None = None
    ) -> None:
        if sessions:
            await self._database.write(lambda c: placements.mark_verified(c, self._database, sessions, at, ready_ago_s))

    async def note_start(self, session_id: SessionId, instance: InstanceUrl) -> None:
        await self._database.write(lambda c: linking.note_start(c, self._database, session_id, instance))

    async def claim_start(self, session_id: SessionId, instance: InstanceUrl, *, per_min: int) -> float:
        return await self._database.write(
            lambda c: start_turns.claim_start(c, self._database, session_id, instance, per_min)
        )

    async def claim_renewal(self, session_id: SessionId, *, every_s: float) -> float:
        return await self._database.write(lambda c: linking.claim_renewal(c, self._database, session_id, every_s))

    async def claim_restart(self, session_id: SessionId, *, every_s: float) -> bool:
        return await self._database.write(lambda c: linking.claim_restart(c, self._database, session_id, every_s))

    async def set_status(self, session_id: SessionId, status: SessionStatus, *, ready: bool = False) -> None:
        # Most reports repeat what is known; a read is cheaper than a transaction.
        if await self._database.read(lambda c: placements.status_of(c, session_id)) in (None, status):
            return
        at = self._clock.now()
        await self._changes.make(
            lambda c: (None, placements.set_status(c, self._database, session_id, status, at, ready=ready))
        )

    async def moves(
        self,
        workspace: WorkspaceId | None,
        page: Page,
        *,
        session_id: SessionId | None = None,
        kind: MoveKind | None = None,
    ) -> list[Move]:
        return await self._database.read(
            lambda c: placements.moves_page(c, workspace, page, session_id=session_id, kind=kind)
        )

    # --- accounts and contacts ---

    async def create_account(self, account: NewAccount) -> Account:
        at = self._clock.now()
        return await self._change(lambda c: accounts.create_account(c, account, at), AccountChanged(account.uuid))

    async def account(
        self,
        workspace: WorkspaceId | None,
        *,
        id: int | None = None,
        uuid: str | None = None,
        session_id: SessionId | None = None,
    ) -> Account | None:
        return await self._database.read(
            lambda c: accounts.account(c, workspace, id=id, uuid=uuid, session_id=session_id)
        )

    async def accounts(
        self,
        workspace: WorkspaceId | None,
        page: Page,
        *,
        instance_url: InstanceUrl | None = None,
        status: SessionStatus | None = None,
        away: Collection[InstanceUrl] = (),
    ) -> list[Account]:
        since = self._clock.now() - KNOWN_FOR
        return await self._database.read(
            lambda c: accounts.accounts_page(
                c, workspace, page, instance_url=instance_url, status=status, away=away, since=since
            )
        )

    async def accounts_of(self, sessions: Collection[SessionId]) -> list[Account]:
        return await self._database.read(lambda c: reported.accounts_of(c, sessions))

    async def accounts_of_persons(self, persons: Collection[str]) -> list[Account]:
        return await self._database.read(lambda c: reported.accounts_of_persons(c, persons))

    async def delete_account(self, account: Account) -> None:
        at = self._clock.now()
        await self._change(lambda c: accounts.delete_account(c, account, at), AccountChanged(account.uuid))

    async def rename_account(self, account: Account, names: NewNames, *, any_owner: bool = False) -> Account:
        at = self._clock.now()

        def change(connection: Connection) -> Account:
            naming.rename(connection, account.id, names, at, any_owner=any_owner)
            found = accounts.account(connection, None, id=names.id or account.id, uuid=None)
            assert found is not None
            record_difference(
                connection, "account.renamed", subject(account), accounts.named(account), accounts.named(found)
            )
            return found

        notices: list[Notice] = [AccountChanged(uuid) for uuid in (account.uuid, names.uuid) if uuid is not None]
        if names.native_id is not None:  # every gateway has to know what another family calls the session
            notices.append(RosterChanged())
        return await self._change(change, *notices)

    async def set_mismatch(self, account: Account, phone: str | None) -> None:
        changed = AccountChanged(account_uuid=account.uuid)
        await self._change(lambda c: naming.set_mismatch(c, account.session_id, phone), changed)

    async def mismatched(self, *, limit: int) -> list[SessionId]:
        return await self._database.read(lambda c: naming.mismatched(c, limit))

    async def accept_phone(self, account: Account, phone: str) -> bool:
        changed = AccountChanged(account_uuid=account.uuid)
        return await self._change(lambda c: naming.accept_phone(c, account, phone), changed)

    async def change_account(self, account: Account, changes: AccountChanges) -> None:
        await self._change(lambda c: accounts.change_account(c, account, changes), AccountChanged(account.uuid))

    async def create_contact(
        self,
        uuid: ContactUuid,
        workspace: WorkspaceId,
        phone: str,
        name: str,
        *,
        as_written: str | None = None,
        id: int | None = None,
    ) -> Contact:
        at = self._clock.now()
        return await self._change(
            lambda c: accounts.create_contact(c, uuid, workspace, phone, name, at, as_written=as_written, id=id),
            AccountChanged(contact_uuid=uuid),
        )

    async def contact(self, workspace: WorkspaceId | None, uuid: str) -> Contact | None:
        return await self._database.read(lambda c: accounts.contact(c, workspace, uuid))

    async def contacts(self, workspace: WorkspaceId | None, page: Page) -> list[Contact]:
        return await self._database.read(lambda c: accounts.contacts_page(c, workspace, page))

    async def delete_contact(self, contact: Contact) -> None:
        changed = AccountChanged(contact_uuid=contact.uuid)
        await self._change(lambda c: accounts.delete_contact(c, contact), changed)

    # --- workspaces ---

    async def workspaces(self) -> list[Workspace]:
        return await self._database.read(workspaces.all_workspaces)

    async def change_workspace(self, id: WorkspaceId, changes: WorkspaceChanges) -> Workspace | None:
        return await self._change(lambda c: workspaces.change_workspace(c, id, changes), WorkspacesChanged())

    async def recognise_accounts(self, default_region: str) -> int:
        return await self._database.write(lambda c: workspaces.recognise_accounts(c, default_region))

    # --- instances and keys ---

    async def instances(self) -> list[Instance]:
        return await self._database.read(roster.all_instances)

    async def create_instance(
        self,
        url: InstanceUrl,
        *,
        driver: str = "webjs",
        name: str = "",
        capacity: int | None = None,
        labels: Mapping[str, str] | None = None,
        memory_limit_mb: float | None = None,
        sends_limit_per_s: float | None = None,
        key_salt: str | None = None,
        mode: InstanceMode = InstanceMode.ROUTE,
        sealed_key: str | None = None,
    ) -> Instance:
        at = self._clock.now()
        return await self._change(
            lambda c: roster.create_instance(
                c,
                url,
                driver=driver,
                name=name,
                capacity=capacity,
                labels=labels,
                memory_limit_mb=memory_limit_mb,
                sends_limit_per_s=sends_limit_per_s,
                key_salt=key_salt,
                mode=mode,
                sealed_key=sealed_key,
                at=at,
            ),
            RosterChanged(),
        )

    async def set_instance_state(self, url: InstanceUrl, state: InstanceState) -> Instance | None:
        return await self._change(lambda c: roster.set_instance_state(c, url, state), RosterChanged())

    async def change_instance(self, url: InstanceUrl, changes: InstanceChanges) -> Instance | None:
        at = self._clock.now()
        return await self._change(lambda c: roster.change_instance(c, url, changes, at), RosterChanged())

    async def delete_instance(self, url: InstanceUrl) -> bool:
        return await self._change(lambda c: roster.delete_instance(c, url), RosterChanged())

    async def note_strays(self, strays: Mapping[InstanceUrl, int]) -> None:
        if strays:
            await self._database.write(lambda c: roster.note_strays(c, strays))

    async def loads(self, workspace: WorkspaceId | None = None) -> list[InstanceLoad]:
        since = self._clock.now() - KNOWN_FOR
        return await self._database.read_aside(lambda c: roster.loads(c, since, workspace))

    async def keys(self) -> list[Key]:
        return await self._database.read(keys.unrevoked_keys)

    async def add_key(self, key: Key) -> None:
        await self._change(lambda c: keys.add_key(c, key), KeysChanged())

    async def change_key(self, key_id: str, changes: KeyChanges) -> Key | None:
        return await self._change(lambda c: keys.change_key(c, key_id, changes), KeysChanged())

    async def rotate_key(self, key_id: str, secret_hash: str, previous_until: datetime) -> Key | None:
        return await self._change(lambda c: keys.rotate_key(c, key_id, secret_hash, previous_until), KeysChanged())

    async def revoke_key(self, key_id: str, at: datetime) -> Key | None:
        return await self._change(lambda c: keys.revoke_key(c, key_id, at), KeysChanged())

    async def note_key_uses(self, uses: Mapping[str, datetime]) -> None:
        await self._database.write(lambda c: keys.note_uses(c, uses))

    async def _change(self, fn: Callable[[Connection], T], *notices: Notice) -> T:
        return await self._changes.make(lambda c: (fn(c), notices))


def _log_rebound(applied: Sequence[placements.Rebound]) -> None:
    elsewhere = [each for each in applied if each.change.instance_url != each.change.expected.instance_url]
    for rebound in elsewhere[:_LINES_PER_BATCH]:
        log.info(
            "Cache invalidated due to instance URL change",
            account=rebound.account_id,
            uuid=rebound.account_uuid,
            old_url=rebound.change.expected.instance_url,
            new_url=rebound.change.instance_url,
        )
    if len(elsewhere) > _LINES_PER_BATCH:
        log.info("Cache invalidated due to instance URL change", further_accounts=len(elsewhere) - _LINES_PER_BATCH)
