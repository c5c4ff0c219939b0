"""Asking the database itself, where no gateway is needed. Answers look as the gateway's do."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypeVar

import msgspec
from sqlalchemy import URL

from homing.cli.sources.source import Document
from homing.cli.terminal.acting import act
from homing.cli.terminal.amounts import RateAmount
from homing.cli.terminal.stops import CannotStart, NeedsAttention, problem
from homing.compose import open_exits, open_stores
from homing.compose.waiting import until_there
from homing.config import Settings
from homing.decide.fleet.leases import BEYOND_A_BACKUP
from homing.flows.background.alerts import STANDING_MAX
from homing.flows.background.auditing import Auditing
from homing.flows.failover.exits import Exited
from homing.flows.moves.move_jobs import KIND as REHOME
from homing.model.access import Key, RateLimit, Scope
from homing.model.alerts import Alert, Subject
from homing.model.audit import ChainVerdict, Entry, carrying_out
from homing.model.errors import Problem
from homing.model.fleet import (
    Account,
    Capabilities,
    Contact,
    ContactUuid,
    InstanceLoad,
    InstanceUrl,
    MoveKind,
    SessionId,
    SessionStatus,
    WorkspaceId,
)
from homing.model.instances.leases import Incarnation, IncarnationId
from homing.model.phones import Bare
from homing.model.urls import normal
from homing.model.work import ScheduleRecord
from homing.model.workspaces import Workspace
from homing.ports import (
    Alerts,
    CacheCleared,
    Directory,
    InstanceHealth,
    KeyChanges,
    NameTaken,
    Page,
    StoreUnavailable,
    WorkspaceChanges,
)
from homing.serve import logs
from homing.serve.api.directory.account_shapes import account_view
from homing.serve.api.directory.contacts import contact_view
from homing.serve.api.directory.keys import key_view
from homing.serve.api.directory.workspaces import workspace_view
from homing.serve.api.fleet.instance_shapes import exited_view, instance_view, judge
from homing.serve.api.fleet.moves import move_view
from homing.serve.api.fleet.schedules import schedule_view
from homing.serve.api.listing import page_of
from homing.serve.api.watching.audit import entry_view, verdict_view
from homing.serve.callers.keyring import new_key, new_secret, to_come
from homing.serve.callers.workspaces import Workspaces, region_of
from homing.serve.http import problems
from homing.store.db.database import StoreMisconfigured
from homing.store.db.opening import parse, sqlite_path
from homing.store.vault.restored import Restored, declare
from homing.world import SystemClock, SystemEntropy

T = TypeVar("T")
_EXITED_WAITS_S = 10.0
"""Well below the 20 s that the shipped unit gives an instance to end, this command included."""
_NOT_ASKED = {"healthy": None, "detail": "not asked: read from the database", "capabilities": None}


class DatabaseSource:
    """`source.Source` over the database of the settings."""

    def __init__(self, settings: Settings, *, may_create: bool = False) -> None:
        if not may_create:
            must_be_there(settings)
        self._settings = settings
        logs.configure("warning", settings.homing_log_format)

    def accounts(
        self, *, workspace: int | None, instance_url: str | None, status: str | None, after: int, limit: int
    ) -> Document:
        wanted = SessionStatus(status) if status is not None else None
        rows, alerts = self._ask_beside_alerts(
            lambda directory: directory.accounts(
                _workspace(workspace), Page(after, limit), instance_url=_url(instance_url), status=wanted
            )
        )
        shown = [account_view(row, alerts[Subject.session(row.session_id)], now=SystemClock().now()) for row in rows]
        return _plain(page_of(shown, limit))

    def account(self, ref: str) -> Document:
        found, alerts = self._ask_beside_alerts(lambda directory: _account(directory, ref))
        return _plain(account_view(found, alerts[Subject.session(found.session_id)], now=SystemClock().now()))

    def capabilities(self, ref: str) -> Document | None:  # noqa: ARG002
        """Instances declare them to a gateway, and nobody asks one here."""
        return None

    def contacts(self, *, workspace: int | None, after: int, limit: int) -> Document:
        rows = self._ask(lambda directory: directory.contacts(_workspace(workspace), Page(after, limit)))
        return _plain(page_of([contact_view(row) for row in rows], limit))

    def create_contact(
        self, *, workspace: int | None, phone: str, name: str, uuid: str | None, id: int | None
    ) -> Document:
        if workspace is None:
            raise CannotStart("Name the workspace that the contact belongs to, with --workspace")
        if uuid is not None and uuid.isdecimal():
            raise problem(422, "invalid_request", "A uuid must not be a number: that names by id")
        named = ContactUuid(uuid.lower() if uuid is not None else SystemEntropy().uuid())

        async def ask(directory: Directory) -> Contact:
            known = Workspaces(directory, SystemClock(), self._settings.homing_default_region)
            await known.refresh()
            number = known.number(WorkspaceId(workspace), phone)
            return await directory.create_contact(
                named, WorkspaceId(workspace), number.digits, name, as_written=number.written, id=id
            )

        return _plain(contact_view(self._ask(ask)))

    def workspaces(self) -> Document:
        rows = self._ask(lambda directory: directory.workspaces())
        return {"data": [self._workspace_view(row) for row in rows], "next": None}

    def workspace(self, number: int) -> Document:
        found = next((each for each in self._ask(lambda directory: directory.workspaces()) if each.id == number), None)
        return self._workspace_view(found or _no_workspace(number))

    def change_workspace(self, number: int, changes: Mapping[str, Any]) -> Document:
        wanted = WorkspaceChanges()
        if "name" in changes:
            wanted["name"] = changes["name"]
        if "region" in changes:
            wanted["region"] = _region(changes["region"])
        if "bare_digits" in changes:
            wanted["bare_digits"] = Bare(changes["bare_digits"])
        if "rate_limit" in changes:
            wanted["rate_limit"] = _limit(changes["rate_limit"])
        changed = self._ask(lambda directory: directory.change_workspace(WorkspaceId(number), wanted))
        return self._workspace_view(changed or _no_workspace(number))

    def _workspace_view(self, workspace: Workspace) -> Document:
        return _plain(workspace_view(workspace, self._settings.homing_default_region))

    def instances(self) -> Document:
        async def story() -> tuple[list[InstanceLoad], list[Incarnation], Standing]:
            async with open_stores(self._settings) as stores:
                standing = await _standing(stores.alerts)
                return await stores.directory.loads(), await stores.leases.incarnations(), standing

        loads, boots, alerts = told(story)
        newest = {boot.instance_url: boot for boot in boots}
        rows = [
            _unasked(load, newest.get(load.instance.url), alerts[Subject.instance(load.instance.url)]) for load in loads
        ]
        return {"data": rows, "next": None}

    def distribution(self) -> Document:
        loads = self._ask(lambda directory: directory.loads())
        rows = [
            {"instance_url": load.instance.url, "session_count": load.connected, "phones": list(load.phones)}
            for load in loads
        ]
        return {"data": rows, "next": None}

    def moves(
        self, *, account: str | None, session_id: str | None, kind: str | None, after: int, limit: int
    ) -> Document:
        wanted = MoveKind(kind) if kind is not None else None

        async def ask(directory: Directory) -> list[Any]:
            session = (await _account(directory, account)).session_id if account is not None else session_id
            found = SessionId(session) if session is not None else None
            return list(await directory.moves(None, Page(after, limit), session_id=found, kind=wanted))

        return _plain(page_of([move_view(row) for row in self._ask(ask)], limit))

    def exited(self, url: str, incarnation: str | None) -> Document:
        boot = IncarnationId(incarnation) if incarnation is not None else None

        async def story() -> Exited:
            # What a supervisor says once, as it stops an instance, is worth waiting for a database that comes back.
            try:
                async with AsyncExitStack() as stack:
                    exits = await until_there(
                        lambda: stack.enter_async_context(open_exits(self._settings)), give_up_s=_EXITED_WAITS_S
                    )
                    return await exits.exited(_normal(url), boot)
            except StoreUnavailable as error:
                raise NeedsAttention(_as_sentence(error)) from error

        return _plain(exited_view(told(story)))

    def schedules(self) -> Document:
        async def story() -> list[ScheduleRecord]:
            async with open_stores(self._settings) as stores:
                return await stores.schedules.schedules()

        now = SystemClock().now()
        return _plain({"data": [schedule_view(record, now) for record in told(story)], "next": None})

    def keys(self) -> Document:
        keys = self._ask(lambda directory: directory.keys())
        return {"data": [_key_view(key) for key in keys], "next": None}

    def create_key(
        self, *, workspace: int | None, scope: str, name: str, expires_at: datetime | None, rate: RateAmount | None
    ) -> Document:
        key, secret = new_key(
            SystemEntropy(),
            SystemClock(),
            workspace=_workspace(workspace),
            scope=Scope(scope),
            name=name,
            expires_at=_to_come(expires_at),
            rate_limit=_limit(rate),
        )
        self._ask(lambda directory: directory.add_key(key))
        return _key_view(key, secret)

    def change_key(self, key_id: str, changes: Mapping[str, Any]) -> Document:
        wanted = KeyChanges()
        if "name" in changes:
            wanted["name"] = changes["name"]
        if "expires_at" in changes:
            wanted["expires_at"] = _to_come(changes["expires_at"])
        if "rate_limit" in changes:
            wanted["rate_limit"] = _limit(changes["rate_limit"])
        return _key_view(self._ask(lambda directory: directory.change_key(key_id, wanted)) or _no_key(key_id))

    def rotate_key(self, key_id: str, overlap_s: int) -> Document:
        secret_hash, secret = new_secret(SystemEntropy(), key_id)
        until = SystemClock().now() + timedelta(seconds=overlap_s)
        rotated = self._ask(lambda directory: directory.rotate_key(key_id, secret_hash, until))
        return _key_view(rotated or _no_key(key_id), secret)

    def revoke_key(self, key_id: str) -> None:
        async def ask(directory: Directory) -> None:
            if not any(key.id == key_id for key in await directory.keys()):
                _no_key(key_id)
            await directory.revoke_key(key_id, SystemClock().now())

        self._ask(ask)

    def audit(self, *, action: str | None, subject: str | None, key_id: str | None, after: int, limit: int) -> Document:
        async def story() -> list[Entry]:
            async with open_stores(self._settings) as stores:
                return await stores.audit.page(Page(after, limit), action=action, subject=subject, key_id=key_id)

        return _plain(page_of([entry_view(row) for row in told(story)], limit))

    def verify_audit(self) -> Document:
        async def story() -> ChainVerdict:
            async with open_stores(self._settings) as stores:
                return await Auditing(stores.audit, SystemClock(), self._settings.audit_keys).verify()

        return _plain(verdict_view(told(story)))

    def _ask_beside_alerts(self, ask: Callable[[Directory], Awaitable[T]]) -> tuple[T, "Standing"]:
        async def story() -> tuple[T, Standing]:
            async with open_stores(self._settings) as stores:
                return await ask(stores.directory), await _standing(stores.alerts)

        return told(story)

    def _ask(self, ask: Callable[[Directory], Awaitable[T]]) -> T:
        async def story() -> T:
            async with open_stores(self._settings) as stores:
                return await ask(stores.directory)

        return told(story)


Standing = defaultdict[Subject, list[Alert]]
"""The alerts that stand, by what they are about."""


async def _standing(alerts: Alerts) -> Standing:
    standing: Standing = defaultdict(list)
    for alert in await alerts.standing(limit=STANDING_MAX):
        standing[alert.subject].append(alert)
    return standing


def told(story: Callable[[], Awaitable[T]]) -> T:
    """Run something on the database; what goes wrong there ends the command with its sentence."""

    async def run() -> T:
        with carrying_out(act()):
            return await story()

    try:
        return asyncio.run(run())
    except (StoreMisconfigured, StoreUnavailable) as error:
        raise CannotStart(_as_sentence(error)) from error
    except NameTaken as error:
        raise problem(409, "already_exists", str(error)) from error
    except Problem as refused:
        raise problem(problems.STATUS[refused.code], refused.code.value, refused.detail) from refused


def declare_restored(settings: Settings) -> Document:
    """Let the database be one that was restored; says what that came to."""
    must_be_there(settings)

    async def story() -> Restored:
        async with open_stores(settings) as stores:
            database = stores.database
            done = await database.write(lambda c: declare(c, database, moves=[REHOME]))
            await stores.notices.publish([CacheCleared("a backup was restored")])
            return done

    done = told(story)
    return {
        "sessions_raised": done.sessions,
        "raised_by": BEYOND_A_BACKUP,
        "boots_forgotten": done.boots,
        "moves_cancelled": done.moves,
        "messages_given_up": done.messages,
    }


def must_be_there(settings: Settings) -> None:
    """Reading a database file that nobody made would make an empty one, and answer as if all were gone."""
    try:
        url = parse(settings.homing_database_url)
    except StoreMisconfigured as error:
        raise CannotStart(_as_sentence(error)) from error
    path = sqlite_path(url) if isinstance(url, URL) else None
    if path is not None and not path.exists():
        raise CannotStart(
            f"There is no database at {path}: set HOMING_DATABASE_URL to the one that the gateway uses, or"
            " HOMING_API_URL and HOMING_API_TOKEN to ask the gateway"
        )


async def _account(directory: Directory, ref: str) -> Account:
    if ref.isdecimal() and len(ref) < 18:
        account = await directory.account(None, id=int(ref))
    else:
        account = await directory.account(None, uuid=ref.lower())
    if account is None:
        raise problem(404, "account_not_found", f"There is no account {ref}")
    return account


def _no_workspace(number: int) -> NoReturn:
    raise problem(404, "not_found", f"There is no workspace {number}")


def _no_key(key_id: str) -> NoReturn:
    raise problem(404, "key_not_found", f"There is no key {key_id}")


def _key_view(key: Key, secret: str = "") -> Document:
    return _plain(key_view(key, secret, now=SystemClock().now()))


def _limit(rate: RateAmount | None) -> RateLimit | None:
    return None if rate is None else RateLimit(**rate)


def _to_come(expires_at: datetime | None) -> datetime | None:
    try:
        return to_come(expires_at, SystemClock().now())
    except Problem as refused:
        raise problem(422, refused.code.value, refused.detail) from refused


def _region(given: str) -> str:
    try:
        return region_of(given)
    except Problem as refused:
        raise problem(422, refused.code.value, refused.detail) from refused


def _unasked(load: InstanceLoad, boot: Incarnation | None, alerts: Sequence[Alert]) -> Document:
    shown = instance_view(load, InstanceHealth(Capabilities()), alerts)
    judge(shown, None, boot)
    return _plain(shown) | _NOT_ASKED


def _workspace(given: int | None) -> WorkspaceId | None:
    return None if given is None else WorkspaceId(given)


def _url(given: str | None) -> InstanceUrl | None:
    return None if given is None else _normal(given)


def _normal(given: str) -> InstanceUrl:
    try:
        return normal(given)
    except ValueError as error:
        raise problem(422, "invalid_request", str(error)) from error


def _plain(view: Any) -> Document:
    plain: Document = msgspec.to_builtins(view)
    return plain


def _as_sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]
