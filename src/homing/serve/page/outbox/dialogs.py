"""Dialogs about messages that wait: settle, take back, send what is held; pause, resume and cancel a batch."""

import json
from typing import Any

from homing.decide.moves.abilities import Deed
from homing.model.directory.access import Scope
from homing.model.errors import Code, Problem
from homing.model.sends.messages import MessageRecord, MessageState
from homing.model.sends.outbox import BatchState, Settle
from homing.serve.page import words
from homing.serve.page.dialogs.sessions import why_not
from homing.serve.page.dialogs.shape import Dialog, offered
from homing.serve.page.outbox import batches, messages
from homing.serve.page.sessions import find as find_account
from homing.serve.page.viewer import Viewer

# --- a message ------------------------------------------------------------------------------------------------


async def of_message(viewer: Viewer, uuid: str, action: str) -> dict[str, Any]:
    record = await messages.find(viewer, uuid)
    if action == "cancel":
        return offered(viewer, _take_back(viewer, record), Scope.SEND)
    if action in set(Settle):
        return offered(viewer, _settle(viewer, record, Settle(action)), Scope.SEND)
    raise Problem(Code.NOT_FOUND, f"There is no action {action[:50]!r} of a message")


def _about(viewer: Viewer, record: MessageRecord) -> list[tuple[str, str, str]]:
    account = messages.account_of(viewer, record)
    return [
        ("To", record.recipient_phone, f"from {words.phone(account)}" if account is not None else ""),
        ("Accepted", f"{words.ago(record.created_at, viewer.now)} ago", words.moment(record.created_at, viewer.now)),
        ("Attempts", str(record.attempts), viewer.short(record.instance_url)),
    ]


def _take_back(viewer: Viewer, record: MessageRecord) -> Dialog:
    waits = record.state in (MessageState.ACCEPTED, MessageState.HELD)
    return Dialog(
        title="Take back this message?",
        text="It has not left, and will not be sent. If it leaves before you press the button, it says so here.",
        button="Take back 1 message",
        path=f"/api/v1/messages/{record.uuid}/cancel",
        command=f"homing outbox cancel {record.uuid}",
        figures=_about(viewer, record),
        forbidden="" if waits else f"It is {record.state.value}; only a message that has not left can be taken back.",
        back=f"/messages/{record.uuid}",
    )


_SETTLE = {
    Settle.RESEND: (
        "Send this message again?",
        "It goes under the same WhatsApp id, behind what its chat went on with: it is late, and its record says so.",
        "Send 1 message again",
    ),
    Settle.MARK_SENT: (
        "Mark this message as sent?",
        "You say that the person has it. Nothing is sent; its record names your key.",
        "Mark 1 message as sent",
    ),
    Settle.MARK_FAILED: (
        "Mark this message as failed?",
        "You say that the person does not have it. Nothing is sent; its record names your key.",
        "Mark 1 message as failed",
    ),
}


def _settle(viewer: Viewer, record: MessageRecord, how: Settle) -> Dialog:
    title, text, button = _SETTLE[how]
    state = record.state
    unknown = f"It is {state.value}; only a message whose outcome is unknown can be settled."
    return Dialog(
        title=title,
        text=text,
        button=button,
        path=f"/api/v1/messages/{record.uuid}/settle",
        command=f"homing outbox settle {record.uuid} {how.value}",
        figures=_about(viewer, record),
        notice=_twice(viewer, record) if how is Settle.RESEND else "",
        forbidden="" if state is MessageState.UNKNOWN else unknown,
        body=json.dumps({"action": how.value}),
        back=f"/messages/{record.uuid}",
    )


def _twice(viewer: Viewer, record: MessageRecord) -> str:
    """Why the person may have it twice then; empty where a repeated id is dropped, as far as is known."""
    account = messages.account_of(viewer, record)
    why = why_not(viewer, account, Deed.REPEATED) if account is not None else ""
    return f"If it did leave, the person will have it twice. {why}" if why else ""


# --- what is held ---------------------------------------------------------------------------------------------


async def of_held(viewer: Viewer, ref: str) -> dict[str, Any]:
    """Send what was held after an account was paired anew."""
    account = find_account(viewer, ref)
    held = (await viewer.gateway.stores.outbox.waiting(account.uuid)).get(MessageState.HELD, 0)
    what = words.many(held, "held message")
    ask = Dialog(
        title=f"Send what is held for {words.phone(account)}?",
        text="They were accepted before the account was logged out and paired again. They go in their old order;"
        " what is past the time that it was worth sending expires.",
        button=f"Send {what}",
        path=f"/api/v1/accounts/{account.uuid}/outbox/go",
        command=f"homing outbox go {account.id}",
        figures=[("Held", f"{held:,}", "at this moment")],
        forbidden="" if held else "Nothing is held for it.",
        back=f"/sessions/{account.id}",
    )
    return offered(viewer, ask, Scope.SEND)


# --- a batch --------------------------------------------------------------------------------------------------


async def of_batch(viewer: Viewer, ref: str, action: str) -> dict[str, Any]:
    shown = batches.shown(viewer, await batches.find(viewer, ref))
    fit: tuple[BatchState, ...] = (BatchState.RUNNING,)
    match action:
        case "pause":
            text = "Nothing more of it goes until somebody resumes it; what is under way comes to its end."
            button = f"Pause batch, hold back {shown.waiting:,}"
        case "resume":
            text = "It goes on where it was paused. What is past the time that it was worth sending expires."
            button, fit = f"Resume batch, send {shown.waiting:,}", (BatchState.PAUSED,)
        case "cancel":
            text = "What has not left is taken back, and cannot be sent again; what is under way comes to its end."
            button, fit = f"Cancel batch, take back {shown.waiting:,}", (BatchState.RUNNING, BatchState.PAUSED)
        case _:
            raise Problem(Code.NOT_FOUND, f"There is no action {action[:50]!r} of a batch")
    ask = Dialog(
        title=f"{action.capitalize()} batch {shown.name}?",
        text=text,
        button=button,
        path=f"/api/v1/batches/{shown.batch.id}/{action}",
        command=f"homing batches {action} {shown.batch.id}",
        figures=[
            ("Wait", f"{shown.waiting:,}", f"of {words.many(shown.kept, 'message')}"),
            ("Sent", f"{shown.sent:,}", "they stay sent"),
            ("Failed", f"{shown.failed:,}", f"{shown.unknown:,} unknown"),
        ],
        forbidden="" if shown.batch.state in fit else f"It is {shown.batch.state.value} already.",
        back=f"/batches/{shown.batch.id}",
    )
    return offered(viewer, ask, Scope.SEND)
