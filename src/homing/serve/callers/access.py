"""Who is calling, and may they?"""

from dataclasses import dataclass

from homing.model.directory.access import Key, Scope
from homing.model.errors import Code, Problem
from homing.model.fleet import WorkspaceId
from homing.serve.callers.keyring import Keyring


@dataclass(frozen=True, slots=True)
class Caller:
    """The key behind a request."""

    key: Key

    @property
    def workspace(self) -> WorkspaceId | None:
        """The one workspace that the caller sees; None for an operator, who sees all."""
        return self.key.workspace_id

    def acting_for(self, named: int | None) -> WorkspaceId:
        """The workspace that a request is about: the key's own, or the one that an operator names."""
        if self.workspace is not None:
            return self.workspace
        if named is None:
            detail = "This key acts for all workspaces; name one with workspace_id"
            raise Problem(Code.INVALID_REQUEST, detail, field="workspace_id")
        return WorkspaceId(named)

    def names_another(self, named: int | None) -> bool:
        """Whether a request names a workspace that this key does not act for: it is told that nothing is there."""
        return self.workspace is not None and named is not None and named != self.workspace


def authorise(keyring: Keyring, authorization: str | None, needed: Scope) -> Caller:
    """The caller behind an Authorization header. Raises Problem: 401 without a known key, 403 for too small a scope."""
    caller = recognise(keyring, authorization)
    allow(caller, needed)
    return caller


async def recognised(keyring: Keyring, authorization: str | None) -> Caller:
    """The same, whichever gateway the key was made through and however lately. Raises Problem."""
    try:
        return recognise(keyring, authorization)
    except Problem:
        if authorization is None:
            raise
    await keyring.look_again()
    return recognise(keyring, authorization)


def recognise(keyring: Keyring, authorization: str | None) -> Caller:
    """The caller behind an Authorization header, whatever he may do. Raises Problem: 401 without a key in force."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Problem(Code.UNAUTHENTICATED, "Send an API key as `Authorization: Bearer hk_…`")
    key = keyring.find(token.strip())
    if key is None:
        raise Problem(Code.UNAUTHENTICATED, "This API key is not known, or was revoked")
    if keyring.has_expired(key):
        detail = (
            f"This API key expired at {key.expires_at:%Y-%m-%d %H:%M:%SZ}; ask whoever gave it to you for a new one"
        )
        raise Problem(Code.UNAUTHENTICATED, detail)
    return Caller(key)


def allow(caller: Caller, needed: Scope) -> None:
    """Raises Problem: 403 for too small a scope."""
    if not caller.key.scope.allows(needed):
        raise Problem(Code.FORBIDDEN, f"This needs a key with scope {needed}; yours has {caller.key.scope}")
