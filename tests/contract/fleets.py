"""Small fleets for the suites of the store."""

from datetime import datetime

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
from homing.model.sends.messages import MessageRecord, MessageState
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


def unknown_send(number: int = 1, *, at: datetime, text: str = "hello") -> MessageRecord:
    """The record of a send through `account-1` whose reply did not come."""
    return MessageRecord(
        uuid=f"0190-{number}",
        workspace_id=ONE,
        account_uuid=AccountUuid("account-1"),
        message_id=f"3EB0{number:04}",
        recipient_phone="62811",
        text=text,
        state=MessageState.UNKNOWN,
        code=None,
        reason="the reply did not come",
        attempts=2,
        instance_url=A,
        created_at=at,
        updated_at=at,
    )


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
