"""`homing send`: one message to one person, now."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from homing.cli.directory.batches import BulkFile, send_file
from homing.cli.sources.client import path
from homing.cli.sources.gateway import GatewayClient
from homing.cli.sources.source import gateway
from homing.cli.terminal.options import AsJson
from homing.cli.terminal.output import note, print_facts, print_json
from homing.cli.terminal.stops import ATTENTION, DONE, CannotStart, NeedsAttention, RequestRefused

SEND_TIMEOUT_S = 90.0
"""A gateway answers within its send deadline, or within WHATSAPP_TIMEOUT where nothing may be repeated."""


def send(
    text: Annotated[str | None, Parameter(help="What to say.")] = None,
    /,
    *,
    account: Annotated[str, Parameter(help="Who says it: the account's number (144) or its uuid.")],
    contact: Annotated[str | None, Parameter(help="To whom: a contact's uuid.")] = None,
    phone: Annotated[str | None, Parameter(help="To whom: a number, such as 62811801641.")] = None,
    workspace: Annotated[
        int | None, Parameter(validator=Number(gte=1), help="The workspace's number. [default: the account's]")
    ] = None,
    idempotency_key: Annotated[
        str | None, Parameter(help="Sends with the same key and content are said once, for 24 h.")
    ] = None,
    wait: Annotated[
        bool, Parameter(negative="--no-wait", help="--no-wait: put it into the outbox, to be sent in its turn.")
    ] = True,
    at: Annotated[str | None, Parameter(help="Not before this time, such as 2026-12-24T18:00:00+07:00.")] = None,
    bulk: Annotated[
        Path | None,
        Parameter(help="A file with a message on each line (.ndjson), or of columns (.csv), up to 1,000,000."),
    ] = None,
    template: Annotated[str | None, Parameter(help="With --bulk: one text for all, such as `Dear {{name}}`.")] = None,
    all_or_nothing: Annotated[
        bool, Parameter(negative="", help="With --bulk: if one line is invalid, nothing is sent.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Send one message, now, wherever the session lives. Takes up to 10 s where it must be found first.

    With `--bulk FILE` every line of a file is a message, and this shows how far they are, unless `--no-wait` is given.

    Example: `homing send --account 144 --phone 62811801641 "Your order is on its way"`

    Example: `homing send --account 144 --bulk people.csv --template "Dear {{name}}, we are open again"`

    Exit codes: 0 sent, or accepted with --no-wait or --at; 1 not sent, or not known whether; 2 the request was wrong.
    """
    if bulk is not None:
        wish = BulkFile(bulk, template, at, idempotency_key, all_or_nothing=all_or_nothing)
        asked = gateway("`homing send`")
        return send_file(asked, _sender(asked, account, workspace), wish, wait=wait, as_json=as_json)
    if text is None:
        raise CannotStart("Say what to send, or --bulk FILE")
    if (contact is None) == (phone is None):
        raise CannotStart("Say to whom: either --contact UUID or --phone NUMBER")
    asked = gateway("`homing send`")
    recipient = {"contact_uuid": contact} if contact is not None else {"phone": phone}
    body = {**_sender(asked, account, workspace), **recipient, "message": text}
    if at is not None or not wait:
        return _accepted(asked, body if at is None else {**body, "send_at": at}, idempotency_key, as_json=as_json)
    status, document = _sent(asked, body, idempotency_key)
    if as_json:
        print_json(document)
    else:
        _show(status, document)
    return DONE if status == 200 else ATTENTION


def _accepted(asked: GatewayClient, body: dict[str, Any], key: str | None, *, as_json: bool) -> int:
    headers = {} if key is None else {"Idempotency-Key": key}
    document = asked.ask("POST", "/messages", body, headers=headers).document
    if as_json:
        print_json(document)
    else:
        print_facts({"state": document["state"], "message uuid": document["message_uuid"]})
    return DONE


def _sender(asked: GatewayClient, account: str, workspace: int | None) -> dict[str, Any]:
    if workspace is not None and not account.isdecimal():
        return {"account_uuid": account, "workspace_id": workspace}
    found = asked.get(path("accounts", account))
    return {"account_uuid": found["uuid"], "workspace_id": workspace or found["workspace_id"]}


def _sent(asked: GatewayClient, body: dict[str, Any], key: str | None) -> tuple[int, dict[str, Any]]:
    """The status and document of an outcome, whichever it was. A request that was refused as such raises."""
    headers = {} if key is None else {"Idempotency-Key": key}
    try:
        answer = asked.ask("POST", "/messages/send", body, headers=headers, timeout_s=SEND_TIMEOUT_S)
        return answer.status, answer.document
    except RequestRefused as refused:
        if "message_uuid" not in refused.document:
            raise
        return refused.status, dict(refused.document)
    except NeedsAttention as error:
        sentence = str(error).replace("whether it was done", "whether the message was sent")
        raise NeedsAttention(sentence) from error


def _show(status: int, document: dict[str, Any]) -> None:
    outcome = {200: "sent", 202: "unknown"}.get(status, "not sent")
    data = document.get("data") or {}
    print_facts(
        {
            "outcome": outcome,
            "instance": document["instance_url"],
            "attempts": document["attempts"],
            "failover": document["failover"],
            "took (ms)": document["response_time_ms"],
            "message id": data.get("message_id"),
            "message uuid": document["message_uuid"],
        }
    )
    if status != 200:
        code = document.get("code")
        note(f"{code}: {document['detail']}" if code else document["detail"])
