"""`homing accounts mark-read` and `homing accounts typing`: what a chat sees beside messages."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from homing.cli.sources.client import path
from homing.cli.sources.source import gateway
from homing.cli.terminal.options import AccountRef, AsJson
from homing.cli.terminal.output import note, print_json
from homing.cli.terminal.stops import CannotStart

Chat = Annotated[str, Parameter(name="CHAT", help="A number as people write it, or an address such as `…@g.us`.")]


def mark_read(
    account: AccountRef,
    chat: Chat,
    /,
    *messages: Annotated[str, Parameter(help="WhatsApp's ids of the messages; 100 at most.")],
    as_json: AsJson = False,
) -> None:
    """Show to a chat that its messages were read. Refused with `unsupported_type` where the gateway has no such call.

    Example: `homing accounts mark-read 144 +62811801641 3EB0AAAABBBBCCCCDDDD`
    """
    if not messages:
        raise CannotStart("Name the messages that were read")
    body = {"phone": chat, "message_ids": list(messages)}
    shown = gateway("`homing accounts mark-read`").post(path("accounts", account, "mark-read"), body, slow=True)
    if as_json:
        print_json(shown)
    else:
        note(f"Shown to {shown['chat']}.")


def typing(
    account: AccountRef,
    chat: Chat,
    /,
    *,
    seconds: Annotated[
        float, Parameter(name="--for", validator=Number(gte=0, lte=25), help="Seconds; 0: has stopped.")
    ] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Show to a chat that somebody types. Refused with `unsupported_type` where the gateway has no such call.

    Example: `homing accounts typing 144 +62811801641 --for 5`
    """
    body = {"phone": chat, "seconds": seconds}
    shown = gateway("`homing accounts typing`").post(path("accounts", account, "typing"), body, slow=True)
    if as_json:
        print_json(shown)
    else:
        note(f"Shown to {shown['chat']}.")
