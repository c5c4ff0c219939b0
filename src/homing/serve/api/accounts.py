"""`/accounts`: the phone identities, and the life of their sessions."""

from typing import Any

from litestar import Controller, delete, get, patch, post
from litestar.params import FromQuery, JSONBody
from msgspec import UNSET

from homing.compose import Gateway
from homing.flows.drain import gave_up_on
from homing.flows.rehome import KIND
from homing.model.alerts import Subject
from homing.model.errors import Code, Problem
from homing.model.fleet import Account, InstanceUrl, SessionStatus, Takeover
from homing.model.phones import e164_digits
from homing.model.work import Job, JobState
from homing.ports import AccountChanged, Page
from homing.serve import fleet_views, views
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
    url_of,
)
from homing.serve.bodies import AccountBody, AccountChanges, MigrateBody, RehomeBody
from homing.serve.fleet_views import WantedView
from homing.serve.views import AccountView, PairingView


class AccountsController(Controller):
    """Accounts are named by their uuid or by their number."""

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
    ) -> dict[str, Any]:
        rows = await gateway.stores.directory.accounts(
            seen_workspace(caller, workspace_id),
            Page(after, limit),
            instance_url=url_of(instance_url, "instance_url") if instance_url else None,
            status=status,
        )
        return views.page([_view(gateway, row) for row in rows], limit)

    @post("/", guards=[ADMIN], summary="Create an account and start its session")
    async def create(self, data: JSONBody[AccountBody], gateway: TheGateway, caller: Asking) -> AccountView:
        if caller.names_another(data.workspace_id):
            raise Problem(Code.NOT_FOUND, f"There is no workspace {data.workspace_id} for this key")
        workspace = caller.acting_for(data.workspace_id)
        _check_phone(data.phone, gateway)
        takeover = Takeover(data.takeover) if data.takeover is not None else None
        account = await gateway.accounts.create(workspace, data.phone.strip(), data.name, takeover, data.requires)
        if data.start:
            account = await gateway.accounts.start(account)
        return _view(gateway, account)

    @get("/{ref:str}", guards=[READ], summary="Show an account")
    async def show(self, ref: Ref, gateway: TheGateway, caller: Asking) -> AccountView:
        return await _shown(gateway, await gateway.accounts.shown(await account_of(gateway, caller, ref)))

    @patch("/{ref:str}", guards=[ADMIN], summary="Change an account")
    async def change(
        self, ref: Ref, data: JSONBody[AccountChanges], gateway: TheGateway, caller: Asking
    ) -> AccountView:
        account = await account_of(gateway, caller, ref)
        if data.takeover is not UNSET:
            await gateway.stores.directory.set_takeover(account, Takeover(data.takeover))
        if data.requires is not UNSET:
            await gateway.stores.directory.set_requires(account, data.requires)
        return _view(gateway, await account_of(gateway, caller, ref))

    @delete("/{ref:str}", guards=[ADMIN], summary="Delete an account; its session must be stopped or logged out")
    async def remove(self, ref: Ref, gateway: TheGateway, caller: Asking) -> None:
        account = await account_of(gateway, caller, ref)
        if account.status in (SessionStatus.CONNECTED, SessionStatus.STARTING):
            detail = f"Account {account.uuid} has a running session; stop it or log it out first"
            raise Problem(Code.INSTANCE_IN_USE, detail)
        await gateway.stores.directory.delete_account(account)
        await gateway.stores.notices.publish([AccountChanged(account_uuid=account.uuid)])

    @post("/{ref:str}/start", guards=[ADMIN], status_code=200, summary="Open the session")
    async def start(self, ref: Ref, gateway: TheGateway, caller: Asking) -> AccountView:
        return _view(gateway, await gateway.accounts.start(await account_of(gateway, caller, ref)))

    @post("/{ref:str}/stop", guards=[ADMIN], status_code=200, summary="Close the session and keep its login")
    async def stop(self, ref: Ref, gateway: TheGateway, caller: Asking) -> AccountView:
        return _view(gateway, await gateway.accounts.stop(await account_of(gateway, caller, ref)))

    @post("/{ref:str}/restart", guards=[ADMIN], status_code=200, summary="Close and open the session")
    async def restart(self, ref: Ref, gateway: TheGateway, caller: Asking) -> AccountView:
        return _view(gateway, await gateway.accounts.restart(await account_of(gateway, caller, ref)))

    @post("/{ref:str}/logout", guards=[ADMIN], status_code=200, summary="End the link with WhatsApp")
    async def logout(self, ref: Ref, gateway: TheGateway, caller: Asking) -> AccountView:
        return _view(gateway, await gateway.accounts.logout(await account_of(gateway, caller, ref)))

    @post("/{ref:str}/rehome", guards=[ADMIN], status_code=202, summary="Bring the session back from where it is lost")
    async def rehome(
        self, ref: Ref, gateway: TheGateway, caller: Asking, data: JSONBody[RehomeBody | None] = None
    ) -> WantedView:
        """409 `not_fenced` says what proves nothing yet, and what would. How far it is: `move` of the account."""
        account = await account_of(gateway, caller, ref)
        return fleet_views.wanted(
            await gateway.moving.migrations.rehome(account, force=data is not None and data.force)
        )

    @post("/{ref:str}/migrate", guards=[ADMIN], status_code=202, summary="Bring the session to another instance")
    async def migrate(self, ref: Ref, data: JSONBody[MigrateBody], gateway: TheGateway, caller: Asking) -> WantedView:
        """503 `no_capacity` names what is full. How far it is: `move` of the account. Only operators name a place."""
        if data.to is not None:
            operator(caller)
        account = await account_of(gateway, caller, ref)
        target = await _target(gateway, data.to)
        return fleet_views.wanted(await gateway.moving.migrations.migrate(account, target, force=data.force))

    @get("/{ref:str}/qr", guards=[ADMIN], summary="The newest code that links the account's phone")
    async def qr(self, ref: Ref, gateway: TheGateway, caller: Asking) -> PairingView:
        """Looks and changes nothing: it may be asked for every 2 s while somebody scans.

        409 `nothing_to_pair` once the phone is linked, 409 `no_pairing_code` while there is none.
        """
        return views.pairing(await gateway.pairing.shown(await account_of(gateway, caller, ref)))

    @post("/{ref:str}/qr", guards=[ADMIN], status_code=200, summary="Ask for a new code that links the account's phone")
    async def renew_qr(self, ref: Ref, gateway: TheGateway, caller: Asking) -> PairingView:
        """Waits for the new code. Once in 20 s: asked sooner it answers the code that there is, or 429."""
        return views.pairing(await gateway.pairing.renew(await account_of(gateway, caller, ref)))


async def _shown(gateway: Gateway, account: Account) -> AccountView:
    """The account, with the move that is open for it or was given up since it is where it is."""
    job = (await gateway.stores.work.open_of(KIND, [account.session_id])).get(account.session_id)
    if job is not None and job.state is JobState.DEAD and not gave_up_on(job, account.placement):
        job = None
    return _view(gateway, account, job)


def _view(gateway: Gateway, account: Account, job: Job | None = None) -> AccountView:
    return views.account(account, gateway.alerts.of(Subject.session(account.session_id)), job)


async def _target(gateway: Gateway, to: str | int | None) -> InstanceUrl | None:
    if isinstance(to, int):
        return (await instance_of(gateway, to)).url
    return url_of(to, "to") if to is not None else None


def _check_phone(phone: str, gateway: Gateway) -> None:
    try:
        e164_digits(phone, gateway.settings.homing_default_region)
    except ValueError as error:
        raise Problem(Code.INVALID_REQUEST, str(error), field="phone") from error
