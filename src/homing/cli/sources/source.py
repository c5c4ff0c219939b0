"""Where a command's knowledge comes from: the gateway that is named, or the database itself.

`HOMING_API_URL` and `HOMING_API_TOKEN` win; without them the commands that need no gateway read `HOMING_DATABASE_URL`.
Both answer with the documents of the HTTP API, so that a command shows them without knowing which it was.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from homing.cli.sources.gateway import SLOW_TIMEOUT_S, GatewayClient, path
from homing.cli.terminal.amounts import RateAmount
from homing.cli.terminal.output import note
from homing.cli.terminal.stops import CannotStart, RequestRefused

if TYPE_CHECKING:
    from homing.config import Settings

Document = dict[str, Any]


class Source(Protocol):
    """What can be asked with or without a gateway. Listings are pages: `{"data", "next"}`."""

    def accounts(
        self, *, workspace: int | None, instance_url: str | None, status: str | None, after: int, limit: int
    ) -> Document: ...

    def account(self, ref: str) -> Document: ...

    def capabilities(self, ref: str) -> Document | None:
        """What can be done for an account's session; None where nobody can say."""
        ...

    def contacts(self, *, workspace: int | None, after: int, limit: int) -> Document: ...

    def create_contact(
        self, *, workspace: int | None, phone: str, name: str, uuid: str | None, id: int | None
    ) -> Document: ...

    def workspaces(self) -> Document: ...

    def workspace(self, number: int) -> Document: ...

    def change_workspace(self, number: int, changes: Mapping[str, Any]) -> Document: ...

    def instances(self) -> Document: ...

    def distribution(self) -> Document: ...

    def moves(
        self, *, account: str | None, session_id: str | None, kind: str | None, after: int, limit: int
    ) -> Document: ...

    def exited(self, url: str, incarnation: str | None) -> Document: ...

    def schedules(self) -> Document: ...

    def keys(self) -> Document: ...

    def create_key(
        self, *, workspace: int | None, scope: str, name: str, expires_at: datetime | None, rate: RateAmount | None
    ) -> Document: ...

    def change_key(self, key_id: str, changes: Mapping[str, Any]) -> Document: ...

    def rotate_key(self, key_id: str, overlap_s: int) -> Document: ...

    def revoke_key(self, key_id: str) -> None: ...

    def audit(
        self, *, action: str | None, subject: str | None, key_id: str | None, after: int, limit: int
    ) -> Document: ...

    def verify_audit(self) -> Document: ...


class GatewaySource:
    """Asks the gateway."""

    def __init__(self, gateway: GatewayClient) -> None:
        self._gateway = gateway

    def accounts(
        self, *, workspace: int | None, instance_url: str | None, status: str | None, after: int, limit: int
    ) -> Document:
        return self._gateway.get(
            "/accounts", workspace_id=workspace, instance_url=instance_url, status=status, after=after, limit=limit
        )

    def account(self, ref: str) -> Document:
        return self._gateway.get(path("accounts", ref))

    def capabilities(self, ref: str) -> Document | None:
        """A gateway of the release before does not have them, and of a session that is nowhere there are none."""
        try:
            return self._gateway.get(path("accounts", ref, "capabilities"))
        except RequestRefused:
            return None

    def contacts(self, *, workspace: int | None, after: int, limit: int) -> Document:
        return self._gateway.get("/contacts", workspace_id=workspace, after=after, limit=limit)

    def create_contact(
        self, *, workspace: int | None, phone: str, name: str, uuid: str | None, id: int | None
    ) -> Document:
        body = {"phone": phone, "name": name, "workspace_id": workspace}
        given = {name: value for name, value in (("uuid", uuid), ("id", id)) if value is not None}
        return self._gateway.post("/contacts", body | given)

    def workspaces(self) -> Document:
        return self._gateway.get("/workspaces")

    def workspace(self, number: int) -> Document:
        return self._gateway.get(path("workspaces", number))

    def change_workspace(self, number: int, changes: Mapping[str, Any]) -> Document:
        return self._gateway.patch(path("workspaces", number), changes)

    def instances(self) -> Document:
        return self._gateway.get("/instances")

    def distribution(self) -> Document:
        return self._gateway.get("/distribution")

    def moves(
        self, *, account: str | None, session_id: str | None, kind: str | None, after: int, limit: int
    ) -> Document:
        return self._gateway.get("/moves", account=account, session_id=session_id, kind=kind, after=after, limit=limit)

    def exited(self, url: str, incarnation: str | None) -> Document:
        return self._gateway.post("/instances/exited", {"url": url, "incarnation": incarnation})

    def schedules(self) -> Document:
        return self._gateway.get("/schedules")

    def keys(self) -> Document:
        return self._gateway.get("/keys")

    def create_key(
        self, *, workspace: int | None, scope: str, name: str, expires_at: datetime | None, rate: RateAmount | None
    ) -> Document:
        body = {"name": name, "scope": scope, "workspace_id": workspace}
        given = {"expires_at": expires_at and expires_at.isoformat(), "rate_limit": rate}
        return self._gateway.post("/keys", body | {field: value for field, value in given.items() if value})

    def change_key(self, key_id: str, changes: Mapping[str, Any]) -> Document:
        body = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in changes.items()}
        return self._gateway.patch(path("keys", key_id), body)

    def rotate_key(self, key_id: str, overlap_s: int) -> Document:
        return self._gateway.post(path("keys", key_id, "rotate"), {"overlap_s": overlap_s})

    def revoke_key(self, key_id: str) -> None:
        self._gateway.delete(path("keys", key_id))

    def audit(self, *, action: str | None, subject: str | None, key_id: str | None, after: int, limit: int) -> Document:
        return self._gateway.get("/audit", action=action, subject=subject, key_id=key_id, after=after, limit=limit)

    def verify_audit(self) -> Document:
        return self._gateway.ask("GET", "/audit/verify", timeout_s=SLOW_TIMEOUT_S).document

    def sync(self, *, dry_run: bool, force: bool) -> Document:
        """A sync by the gateway; each session's own result is in `checks`."""
        return self._gateway.post("/sync", {"dry_run": dry_run, "force": force, "checks": True}, slow=True)


def settings(**overrides: Any) -> "Settings":
    """The settings in force; a wrong one ends the command with the sentence that names it."""
    from homing.config import Misconfigured, load

    try:
        return load(**overrides)
    except Misconfigured as error:
        raise CannotStart(str(error)) from error


def source(*, may_create: bool = False) -> Source:
    """The gateway that the settings name, else the database. `may_create`: a database that is not there is made."""
    known = settings()
    if known.homing_api_url:
        return GatewaySource(_gateway(known))
    from homing.cli.sources.database import DatabaseSource

    return DatabaseSource(known, may_create=may_create)


def source_of_truth() -> Source:
    """The gateway that the settings name; the database where it is away and they name one too."""
    known = settings()
    if known.homing_api_url and "homing_database_url" in known.model_fields_set:
        named = _gateway(known)
        if not named.answers():
            from homing.cli.sources.database import DatabaseSource

            note(f"No gateway answers at {known.homing_api_url}; the database is told instead.")
            return DatabaseSource(known, may_create=False)
    return source()


def gateway(doing: str) -> GatewayClient:
    """The gateway that the settings name; `doing` is what cannot be done without one."""
    known = settings()
    if not known.homing_api_url:
        raise CannotStart(
            f"{doing} needs a running gateway: set HOMING_API_URL (such as http://localhost:8000) and HOMING_API_TOKEN"
            " (a key made with `homing keys create`)"
        )
    return _gateway(known)


def _gateway(known: "Settings") -> GatewayClient:
    if not known.homing_api_token:
        raise CannotStart(
            f"HOMING_API_URL names the gateway {known.homing_api_url}, but HOMING_API_TOKEN is not set: give it a key"
            " made with `homing keys create`"
        )
    return GatewayClient(known.homing_api_url, known.homing_api_token)
