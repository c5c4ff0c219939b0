"""Small fleets for the suites of the store."""

from homing.model.fleet import (
    Account,
    AccountUuid,
    Contact,
    ContactUuid,
    Epoch,
    InstanceUrl,
    MoveKind,
    Placement,
    PlacementState,
    Rebinding,
    SessionId,
    Takeover,
    WorkspaceId,
)
from homing.ports import Directory, NewAccount

ONE = WorkspaceId(1)
TWO = WorkspaceId(2)
A = InstanceUrl("http://localhost:3001")
B = InstanceUrl("http://localhost:3002")


def new_account(number: int, *, workspace: WorkspaceId = ONE, id: int | None = None) -> NewAccount:
    return NewAccount(
        uuid=AccountUuid(f"account-{number}"),
        workspace_id=workspace,
        session_id=SessionId(f"session-{number}"),
        phone=f"62812{number:06}",
        name=f"Account {number}",
        takeover=Takeover.AUTO,
        id=id,
    )


async def contact(directory: Directory, number: int, *, workspace: WorkspaceId = ONE) -> Contact:
    return await directory.create_contact(
        ContactUuid(f"contact-{number}"), workspace, f"62899{number:06}", f"Contact {number}"
    )


async def placed_account(directory: Directory, number: int, url: InstanceUrl = A, epoch: int = 1) -> Account:
    """An account whose session is held on the instance."""
    account = await directory.create_account(new_account(number))
    assert await directory.rebind([change(account.placement, url, epoch)])
    found = await directory.account(None, id=account.id)
    assert found is not None
    return found


def change(
    expected: Placement,
    url: InstanceUrl,
    epoch: int,
    *,
    kind: MoveKind = MoveKind.PLACEMENT,
    state: PlacementState = PlacementState.HELD,
    reason: str = "the test wants it so",
) -> Rebinding:
    return Rebinding(expected, url, Epoch(epoch), kind, reason, state)
