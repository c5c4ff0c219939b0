"""What every resource needs: the gateway, the caller, and the page asked for."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, QueryParameter

from homing.model.directory.access import Key, Scope
from homing.model.directory.audit import Act, Via, acting, carrying_out
from homing.model.errors import Code, Problem
from homing.model.fleet import Account, Instance, InstanceUrl, SessionId, WorkspaceId
from homing.model.urls import normal
from homing.ports import StoreUnavailable
from homing.serve.callers.access import Caller, allow, recognise, recognised
from homing.serve.callers.refused import RefusedCallers
from homing.serve.callers.signing_in import COOKIE, SignIns, signed_in
from homing.serve.gateway import Gateway

Connection = ASGIConnection[Any, Any, Any, Any]
TheGateway = NamedDependency[Gateway]
Asking = NamedDependency[Caller]
Ref = FromPath[str]
After = Annotated[
    int, QueryParameter(ge=0, le=2**63 - 1, description="Go on behind this id: the `next` of the page before")
]
Limit = Annotated[int, QueryParameter(ge=1, le=500, description="Rows in a page")]
WorkspaceFilter = Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1, description="For operators: one workspace")]


CHARGED = "homing.charged"
"""In a request's scope: the headers that say what is left of its caller's limits."""


def needs(scope: Scope) -> Any:
    """A guard that lets in callers whose key has this scope and may ask just now, and notes who they are.

    What changes by a request that is no mere look is in the audit log as the caller's; a command that asks in this
    process has said already who carries it out.
    """

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        gateway: Gateway = connection.app.state.gateway
        caller = await caller_of(connection)
        _charge(gateway, caller, connection.scope)
        changes = connection.scope.get("method") not in ("GET", "HEAD")
        try:
            allow(caller, scope)
        except Problem:
            if changes:
                await _note_refused(connection, caller.key, scope)
            raise
        connection.state.caller = caller
        if changes and connection.app.state.here is None:
            acting.set(_act(gateway, caller.key, connection))

    return guard


async def _note_refused(connection: Connection, key: Key, scope: Scope) -> None:
    """Whoever tries what its key does not allow is in the audit log: once in a while, not as often as it tries."""
    refused: RefusedCallers = connection.app.state.refused
    if refused.is_new(key.id, scope):
        await note_by(connection, key, "request.refused", f"key {key.id}", {"needs": scope.value})


async def note_by(
    connection: Connection, key: Key, action: str, subject: str, after: Mapping[str, Any] | None = None
) -> None:
    """An entry of the audit log for what no change of ours carries. A store that is away keeps nobody from it."""
    gateway: Gateway = connection.app.state.gateway
    with carrying_out(_act(gateway, key, connection)), suppress(StoreUnavailable):
        await gateway.stores.audit.note(action, subject, after)


async def caller_of(connection: Connection) -> Caller:
    """Whose key it is: the one in the request, or the one that its cookie stands for. Raises Problem."""
    here: Caller | None = connection.app.state.here
    if here is not None:
        return here
    gateway: Gateway = connection.app.state.gateway
    authorization = connection.headers.get("authorization")
    caller = await signed_in(connection) if authorization is None else None
    return caller or await recognised(gateway.keyring, authorization)


def still_allowed(request: Request[Any, Any, Any], gateway: Gateway, caller: Caller) -> Callable[[], bool]:
    """For what goes on after it was let in: whether it would still be."""
    authorization = request.headers.get("authorization")
    cookie = request.cookies.get(COOKIE, "")
    if authorization is None and cookie:
        logins: SignIns = request.app.state.logins
        return lambda: logins.holds(cookie)

    def allowed() -> bool:
        try:
            return recognise(gateway.keyring, authorization).key.id == caller.key.id
        except Problem:
            return False

    return allowed


def _charge(gateway: Gateway, caller: Caller, scope: Any) -> None:
    """Once for each request, however many guards it passes. Raises Problem."""
    if CHARGED in scope:
        return
    charged = gateway.rate_limits.charge(caller.key)
    scope[CHARGED] = charged.headers
    if charged.problem is not None:
        raise charged.problem


def _act(gateway: Gateway, key: Key, connection: Connection) -> Act:
    scope: Any = connection.scope
    return Act(
        id=gateway.entropy.token(6).hex(),
        via=Via.API,
        actor=key.name or f"key {key.id}",
        request=f"{scope['method']} {scope['path_template']}",
        origin=connection.client.host if connection.client is not None else "",
        key_id=key.id,
        workspace_id=key.workspace_id,
    )


READ, SEND, ADMIN = needs(Scope.READ), needs(Scope.SEND), needs(Scope.ADMIN)


async def OPERATOR(connection: Connection, handler: BaseRouteHandler) -> None:  # noqa: N802
    """A guard that lets in operators alone: admin keys of no workspace. The fleet carries all tenants."""
    await ADMIN(connection, handler)
    operator(connection.state.caller)


def provide_gateway(request: Request[Any, Any, Any]) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def provide_caller(request: Request[Any, Any, Any]) -> Caller:
    caller: Caller = request.state.caller
    return caller


def seen_workspace(caller: Caller, named: int | None) -> WorkspaceId | None:
    """The workspace to list: the key's own, or the one that an operator filters by."""
    if caller.names_another(named):
        raise Problem(Code.NOT_FOUND, f"There is no workspace {named} for this key")
    return caller.workspace if caller.workspace is not None or named is None else WorkspaceId(named)


def operator(caller: Caller, what: str = "The fleet") -> None:
    """The fleet belongs to nobody's workspace: only an operator's key may see and change it."""
    if caller.workspace is not None:
        raise Problem(Code.FORBIDDEN, f"{what} is for an operator's key, which belongs to no workspace")


async def account_of(gateway: Gateway, caller: Caller, ref: str) -> Account:
    """The account with this number, uuid or session; another workspace's is not there."""
    directory, workspace = gateway.stores.directory, caller.workspace
    if ref.isdecimal() and len(ref) < 18:
        account = await directory.account(workspace, id=int(ref))
    else:
        account = await directory.account(workspace, uuid=ref.lower())
        account = account or await directory.account(workspace, session_id=SessionId(ref))
    if account is None:
        raise Problem(Code.ACCOUNT_NOT_FOUND, f"There is no account {ref}")
    return account


async def instance_of(gateway: Gateway, number: int) -> Instance:
    """The instance of this number."""
    instances = await gateway.stores.directory.instances()
    instance = next((known for known in instances if known.id == number), None)
    if instance is None:
        raise Problem(Code.INSTANCE_NOT_FOUND, f"There is no instance {number}")
    return instance


def uuid_of(given: str) -> str:
    """A uuid that is given: in lower case, as it is looked up, and not to be taken for a number."""
    if given.isdecimal():
        raise Problem(Code.INVALID_REQUEST, "A uuid must not be a number: that names by id", field="uuid")
    return given.lower()


def session_of(given: str) -> SessionId:
    """A session's id that is given: it stands in the addresses that instances are asked at."""
    if given in (".", ".."):
        raise Problem(Code.INVALID_REQUEST, f"{given!r} is no session", field="session_id")
    return SessionId(given)


def url_of(given: str, field: str) -> InstanceUrl:
    """The address in its one normal form; `field` is where it was given."""
    try:
        return normal(given)
    except ValueError as error:
        raise Problem(Code.INVALID_REQUEST, str(error), field=field) from error
