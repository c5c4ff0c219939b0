"""`/accounts`: the phone identities, and the life of their sessions."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

from litestar import Controller, delete, get, patch, post
from litestar.params import FromQuery, JSONBody, QueryParameter
from msgspec import UNSET

from homing.flows.discovery.adopting import Sought, runs
from homing.flows.moves.move_jobs import KIND
from homing.flows.operations.accounts import NO_NAMES
from homing.flows.operations.drain import gave_up_on
from homing.model.alerts import Subject
from homing.model.errors import Code, Problem
from homing.model.fleet import Account, AccountUuid, InstanceUrl, SessionStatus, Takeover
from homing.model.work import Job, JobState
from homing.ports import AccountChanges, AccountPlaced, NewNames, Page
from homing.serve.api.context import (
    ADMIN,
    READ,
    After,
    Asking,
    Limit,
    Ref,
    TheGateway,
    WorkspaceFilter,
    account_of,
    instance_of,
    operator,
    seen_workspace,
    session_of,
    url_of,
    uuid_of,
)
from homing.serve.api.directory import capabilities as told_capabilities
from homing.serve.api.directory.account_shapes import (
    AccountBody,
    AccountChangesBody,
    AccountView,
    MigrateBody,
    PairingLinkBody,
    PairingLinkView,
    PairingView,
    RehomeBody,
    RenewCodeBody,
    StartAllBody,
    StartedAllView,
    account_view,
    pairing_view,
    started_all_view,
)
from homing.serve.api.directory.capabilities import CapabilitiesView
from homing.serve.api.fleet.moves import WantedView, wanted_view
from homing.serve.api.listing import Listing, page_of
from homing.serve.callers.access import Caller
from homing.serve.gateway import Gateway
from homing.serve.http.described import also


class AccountsController(Controller):
    """Accounts are named by their uuid, their number or their session; `/` in a name is written `%2F`."""

    path = "/accounts"
    tags = ["accounts"]

    @get("/", guards=[READ], summary="List accounts")
    async def list_accounts(
        self,
        gateway: TheGateway,
        caller: Asking,
        workspace_id: WorkspaceFilter = None,
        instance_url: FromQuery[str | None] = None,
        status: FromQuery[SessionStatus | None] = None,
        after: After = 0,
        limit: Limit = 50,
    ) -> Listing[AccountView]:
        rows = await gateway.stores.directory.accounts(
            seen_workspace(caller, workspace_id),
            Page(after, limit),
            instance_url=url_of(instance_url, "instance_url") if instance_url is not None else None,
            status=status,
            away=gateway.watching.down(),
        )
        return page_of([_view(gateway, row) for row in rows], limit)

    @post("/", guards=[ADMIN], opt=also(409), summary="Create an account and start its session")
    async def create(self, data: JSONBody[AccountBody], gateway: TheGateway, caller: Asking) -> AccountView:
        if caller.names_another(data.workspace_id):
            raise Problem(Code.NOT_FOUND, f"There is no workspace {data.workspace_id} for this key")
        workspace = caller.acting_for(data.workspace_id)
        number = gateway.workspaces.number(workspace, data.phone.strip())
        takeover = Takeover(data.takeover) if data.takeover is not None else None
        if data.exit_proxy is not None:
            operator(caller)
            gateway.care.exit_proxies.check(data.exit_proxy)
        names, sought = _names(data), _sought(data, caller)
        found = await gateway.adoption.sessions.look(sought) if sought is not None else None
        names = replace(names, native_id=found.row.native_id) if found is not None else names
        account = await gateway.accounts.create(
            workspace, number, data.name, takeover, data.requires, names, any_owner=caller.workspace is None
        )
        if data.exit_proxy is not None:
            account = await _going_out(gateway, caller, account, data.exit_proxy)
        if found is not None:
            account = await gateway.adoption.sessions.place(account, found)
            await _named_natively(gateway, account)
            if data.start and not runs(found.row):
                account = await gateway.accounts.start(account)
        elif data.start:
            account = await gateway.accounts.started_or_forgotten(account)
        return _view(gateway, account)

    @get("/{ref:str}", guards=[READ], summary="Show an account")
    async def show(self, ref: Ref, gateway: TheGateway, caller: Asking) -> AccountView:
        return await _shown(gateway, await gateway.accounts.shown(await account_of(gateway, caller, ref)))

    @get("/{ref:str}/capabilities", guards=[READ], opt=also(409), summary="What can be done for its session, in words")
    async def capabilities(self, ref: Ref, gateway: TheGateway, caller: Asking) -> CapabilitiesView:
        """By the judgments that recovery itself asks. 409 `account_not_placed` while it is on no instance."""
        return told_capabilities.capabilities(await gateway.moving.abilities(await account_of(gateway, caller, ref)))

    @patch("/{ref:str}", guards=[ADMIN], opt=also(409), summary="Change an account")
    async def change(
        self, ref: Ref, data: JSONBody[AccountChangesBody], gateway: TheGateway, caller: Asking
    ) -> AccountView:
        account = await account_of(gateway, caller, ref)
        if data.exit_proxy is not UNSET:
            account = await _going_out(gateway, caller, account, data.exit_proxy)
        if changes := data.changes():
            await gateway.stores.directory.change_account(account, changes)
        if (names := _changed_names(data)) != NO_NAMES or data.instance_url is not UNSET:
            account = await _renamed(gateway, caller, account, data, names)
        return _view(gateway, await account_of(gateway, caller, account.uuid))

    @post(
        "/{ref:str}/accept-phone",
        guards=[ADMIN],
        opt=also(409),
        status_code=200,
        summary="Take the reported phone as its own",
    )
    async def accept_phone(self, ref: Ref, gateway: TheGateway, caller: Asking) -> AccountView:
        """Of an account whose session another phone is reported for. Messages are sent through it again."""
        return _view(gateway, await gateway.identity.accept(await account_of(gateway, caller, ref)))

    @delete(
        "/{ref:str}", guards=[ADMIN], opt=also(409), summary="Delete an account, and stop its session where that runs"
    )
    async def remove(
        self,
        ref: Ref,
        gateway: TheGateway,
        caller: Asking,
        force: Annotated[bool, QueryParameter(description="Although its session is connected")] = False,
    ) -> None:
        """Its instance is asked at this moment. 409 while the session can send, unless `force`; then it is stopped."""
        account = await account_of(gateway, caller, ref)
        await gateway.deleting.delete(account, force=force)

    @post("/start", guards=[ADMIN], status_code=200, summary="Start every session that its instance lost and may start")
    async def start_all(
        self, gateway: TheGateway, caller: Asking, data: JSONBody[StartAllBody | None] = None
    ) -> StartedAllView:
        """By the same rules as it happens by itself; answers of every missing session what becomes of it, and why."""
        operator(caller)
        given = data.instance_url if data is not None else None
        url = url_of(given, "instance_url") if given is not None else None
        if url is not None and url not in gateway.fleet.roster.instances:
            raise Problem(Code.INSTANCE_NOT_FOUND, f"There is no instance {url}", field="instance_url")
        await gateway.stores.audit.note("sessions.start_missing", f"instance {url}" if url is not None else "fleet")
        judged = await gateway.restoring.start_all(url)
        return await asyncio.to_thread(started_all_view, judged)

    @post("/{ref:str}/start", guards=[ADMIN], opt=also(409), status_code=200, summary="Open the session")
    async def start(self, ref: Ref, gateway: TheGateway, caller: Asking) -> AccountView:
        account = await _asked(gateway, caller, ref, "session.start")
        return _view(gateway, await gateway.accounts.start(account))

    @post(
        "/{ref:str}/stop",
        guards=[ADMIN],
        opt=also(409),
        status_code=200,
        summary="Close the session and keep its login",
    )
    async def stop(self, ref: Ref, gateway: TheGateway, caller: Asking) -> AccountView:
        account = await _asked(gateway, caller, ref, "session.stop")
        return _view(gateway, await gateway.accounts.stop(account))

    @post("/{ref:str}/restart", guards=[ADMIN], opt=also(409), status_code=200, summary="Close and open the session")
    async def restart(self, ref: Ref, gateway: TheGateway, caller: Asking) -> AccountView:
        account = await _asked(gateway, caller, ref, "session.restart")
        return _view(gateway, await gateway.accounts.restart(account))

    @post("/{ref:str}/logout", guards=[ADMIN], opt=also(409), status_code=200, summary="End the link with WhatsApp")
    async def logout(self, ref: Ref, gateway: TheGateway, caller: Asking) -> AccountView:
        account = await _asked(gateway, caller, ref, "session.logout")
        return _view(gateway, await gateway.accounts.logout(account))

    @post(
        "/{ref:str}/rehome",
        guards=[ADMIN],
        opt=also(409),
        status_code=202,
        summary="Bring the session back from where it is lost",
    )
    async def rehome(
        self, ref: Ref, gateway: TheGateway, caller: Asking, data: JSONBody[RehomeBody | None] = None
    ) -> WantedView:
        """409 `not_fenced` says what proves nothing yet, and what would. How far it is: `move` of the account."""
        account = await account_of(gateway, caller, ref)
        return wanted_view(await gateway.moving.migrations.rehome(account, force=data is not None and data.force))

    @post(
        "/{ref:str}/migrate",
        guards=[ADMIN],
        opt=also(409),
        status_code=202,
        summary="Bring the session to another instance",
    )
    async def migrate(self, ref: Ref, data: JSONBody[MigrateBody], gateway: TheGateway, caller: Asking) -> WantedView:
        """503 `no_capacity` names what is full. How far it is: `move` of the account. Only operators name a place."""
        if data.to is not None:
            operator(caller)
        account = await account_of(gateway, caller, ref)
        target = await _target(gateway, data.to)
        return wanted_view(await gateway.moving.migrations.migrate(account, target, force=data.force))

    @get("/{ref:str}/qr", guards=[ADMIN], opt=also(409), summary="The newest code that links the account's phone")
    async def qr(self, ref: Ref, gateway: TheGateway, caller: Asking) -> PairingView:
        """Looks and changes nothing: it may be asked for every 2 s while somebody scans.

        409 `nothing_to_pair` once the phone is linked, 409 `no_pairing_code` while there is none.
        """
        return pairing_view(await gateway.pairing.shown(await account_of(gateway, caller, ref)))

    @post(
        "/{ref:str}/qr",
        guards=[ADMIN],
        opt=also(409),
        status_code=200,
        summary="Ask for a new code that links the account's phone",
    )
    async def renew_qr(
        self, ref: Ref, gateway: TheGateway, caller: Asking, data: JSONBody[RenewCodeBody | None] = None
    ) -> PairingView:
        """Waits for the new code. Once in 20 s: asked sooner it answers the code that there is, or 429.

        409 `not_supported` where a code to type is asked for and its instance makes none (`typed_codes`).
        """
        account = await _asked(gateway, caller, ref, "session.renew_code")
        return pairing_view(await gateway.pairing.renew(account, typed=data is not None and data.typed))

    @post(
        "/{ref:str}/pairing-link",
        guards=[ADMIN],
        opt=also(409),
        summary="A link by which the phone's owner links it, without a key",
    )
    async def pairing_link(
        self, ref: Ref, data: JSONBody[PairingLinkBody], gateway: TheGateway, caller: Asking
    ) -> PairingLinkView:
        """It opens once, in one browser, and ends when the phone is linked or its time is over; the account's earlier
        links end at once. 409 `nothing_to_pair` while the session is connected."""
        account = await _asked(gateway, caller, ref, "account.pairing_link")
        secret = await gateway.care.pairing_links.give(account, for_s=data.expires_in_s)
        expires_at = gateway.clock.now() + timedelta(seconds=data.expires_in_s)
        return PairingLinkView(f"{gateway.settings.our_url}/pair/{secret}", expires_at)


def _names(data: AccountBody) -> NewNames:
    return NewNames(
        session_id=session_of(data.session_id) if data.session_id is not None else None,
        uuid=AccountUuid(uuid_of(data.uuid)) if data.uuid is not None else None,
        id=data.id,
    )


def _sought(data: AccountBody, caller: Caller) -> Sought | None:
    """The session that is to be taken up, if one is named."""
    if data.session_id is None:
        if data.instance_url is not None:
            detail = "Name the session that is to be taken up there: session_id"
            raise Problem(Code.INVALID_REQUEST, detail, field="session_id")
        return None
    url = url_of(data.instance_url, "instance_url") if data.instance_url is not None else None
    return Sought(session_of(data.session_id), url, caller.workspace, starts=data.start)


def _changed_names(data: AccountChangesBody) -> NewNames:
    return NewNames(
        session_id=session_of(data.session_id) if data.session_id is not UNSET else None,
        uuid=AccountUuid(uuid_of(data.uuid)) if data.uuid is not UNSET else None,
        id=data.id if data.id is not UNSET else None,
    )


async def _renamed(
    gateway: Gateway, caller: Caller, account: Account, data: AccountChangesBody, names: NewNames
) -> Account:
    """The account under its new names, and where its session was found, if it was."""
    if (url := account.placement.instance_url) is not None:
        raise _placed(account, url)
    found = None
    if data.instance_url is not UNSET or names.session_id is not None:
        there = url_of(data.instance_url, "instance_url") if data.instance_url is not UNSET else None
        found = await gateway.adoption.sessions.look(
            Sought(names.session_id or account.session_id, there, caller.workspace)
        )
        names = replace(names, native_id=found.row.native_id) if found is not None else names
    try:
        account = await gateway.stores.directory.rename_account(account, names, any_owner=caller.workspace is None)
    except AccountPlaced as error:
        raise _placed(account, str(error)) from error
    if found is None:
        return account
    await _named_natively(gateway, account)
    return await gateway.adoption.sessions.place(account, found)


async def _going_out(gateway: Gateway, caller: Caller, account: Account, given: str | None) -> Account:
    """The account with this exit proxy; None: with none."""
    operator(caller)
    proxy = gateway.care.exit_proxies.sealed(account.uuid, given) if given is not None else None
    await gateway.stores.directory.change_account(account, AccountChanges(exit_proxy=proxy))
    return await account_of(gateway, caller, account.uuid)


async def _named_natively(gateway: Gateway, account: Account) -> None:
    """This gateway knows at once what another family's gateway calls the session; the others hear of it."""
    if account.native_id is not None:
        await gateway.fleet.refresh()


def _placed(account: Account, url: str) -> Problem:
    detail = f"The session of account {account.uuid} is on {url}; what names it changes only while it is nowhere"
    return Problem(Code.ACCOUNT_PLACED, detail)


async def _asked(gateway: Gateway, caller: Caller, ref: str, action: str) -> Account:
    """The account whose instance is about to be told something: that is in the audit log first."""
    account = await account_of(gateway, caller, ref)
    await gateway.stores.audit.note(action, f"account {account.id}", {"instance_url": account.placement.instance_url})
    return account


async def _shown(gateway: Gateway, account: Account) -> AccountView:
    """The account, with the move that is open for it or was given up since it is where it is."""
    job = (await gateway.stores.work.open_of(KIND, [account.session_id])).get(account.session_id)
    if job is not None and job.state is JobState.DEAD and not gave_up_on(job, account.placement):
        job = None
    return _view(gateway, account, job, await gateway.pairing.trouble(account))


def _view(gateway: Gateway, account: Account, job: Job | None = None, error: str | None = None) -> AccountView:
    alerts = gateway.alerts.of(Subject.session(account.session_id))
    return account_view(account, alerts, job, now=gateway.clock.now(), away=gateway.watching.down(), error=error)


async def _target(gateway: Gateway, to: str | int | None) -> InstanceUrl | None:
    if isinstance(to, int):
        return (await instance_of(gateway, to)).url
    return url_of(to, "to") if to is not None else None
