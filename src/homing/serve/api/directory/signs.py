"""`/accounts/{ref}/mark-read` and `/typing`: what a chat sees of an account beside messages."""

from typing import Annotated

import msgspec
from litestar import Controller, post
from litestar.params import JSONBody
from msgspec import Meta

from homing.flows.sending.signs import TYPES_AT_MOST_S
from homing.model.errors import Code, Problem
from homing.model.fleet import Account
from homing.model.sends.addresses import Address
from homing.model.sends.content import MessageRef
from homing.model.sends.signs import ReadSign, TypingSign
from homing.serve.api.context import SEND, Asking, Ref, TheGateway, account_of
from homing.serve.api.fields import Phone
from homing.serve.content import Ref as MessageId
from homing.serve.content import ref_of
from homing.serve.gateway import Gateway
from homing.serve.http.described import also


class MarkReadBody(msgspec.Struct, forbid_unknown_fields=True):
    """The chat, and which of its messages were read: WhatsApp's ids, as `message.received` tells them."""

    phone: Phone
    message_ids: Annotated[list[MessageId], Meta(min_length=1, max_length=100)]


class TypingBody(msgspec.Struct, forbid_unknown_fields=True):
    """The chat, and for how many seconds somebody types; 0: has stopped."""

    phone: Phone
    seconds: Annotated[float, Meta(ge=0, le=TYPES_AT_MOST_S)] = 5.0


class ShownView(msgspec.Struct):
    """It was shown to this chat."""

    account_uuid: str
    chat: str


class SignsController(Controller):
    """Signs are shown once, through the session's own gateway; one that could not be shown is not tried again."""

    path = "/accounts"
    tags = ["accounts"]

    @post("/{ref:str}/mark-read", guards=[SEND], opt=also(409), status_code=200, summary="Show that messages were read")
    async def mark_read(self, ref: Ref, data: JSONBody[MarkReadBody], gateway: TheGateway, caller: Asking) -> ShownView:
        """422 `unsupported_type` where the gateway has no such call. Some mark the whole chat, up to its newest one."""
        account = await account_of(gateway, caller, ref)
        chat = _chat(gateway, account, data.phone)
        read = tuple(_of_others(each) for each in data.message_ids)
        await gateway.sends.signs.show(account, ReadSign(chat, read))
        return ShownView(account.uuid, str(chat))

    @post("/{ref:str}/typing", guards=[SEND], opt=also(409), status_code=200, summary="Show that somebody types")
    async def typing(self, ref: Ref, data: JSONBody[TypingBody], gateway: TheGateway, caller: Asking) -> ShownView:
        """422 `unsupported_type` where the gateway has no such call. A message ends it too."""
        account = await account_of(gateway, caller, ref)
        chat = _chat(gateway, account, data.phone)
        await gateway.sends.signs.show(account, TypingSign(chat, data.seconds))
        return ShownView(account.uuid, str(chat))


def _chat(gateway: Gateway, account: Account, phone: str) -> Address:
    return gateway.workspaces.recipient(account.workspace_id, phone).address


def _of_others(written: str) -> MessageRef:
    ref = ref_of(written, "message_ids")
    if ref.from_me:
        raise Problem(Code.INVALID_REQUEST, f"{written[:60]} was said by the account itself", field="message_ids")
    return ref
