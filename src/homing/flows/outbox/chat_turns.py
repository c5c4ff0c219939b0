"""Whose turn it is in a chat: what the outbox is sending goes before what a caller waits for."""

import asyncio

from homing.model.errors import Code, Problem
from homing.model.fleet import AccountUuid


class ChatTurns:
    """The chats in which a message of the outbox is under way from this gateway. Costs nothing while there are none."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self.busy: dict[tuple[AccountUuid, str], asyncio.Event] = {}
        """By sender and chat: what is set when nothing is under way there any more."""

    def begin(self, account: AccountUuid, chat: str) -> None:
        self.busy[account, chat] = asyncio.Event()

    def end(self, account: AccountUuid, chat: str) -> None:
        freed = self.busy.pop((account, chat), None)
        if freed is not None:
            freed.set()

    async def take(self, account: AccountUuid, chat: str) -> None:
        """Wait until nothing is under way in the chat. What comes next in the outbox is not waited for.

        Raises Problem `overloaded` if that takes longer than a send may.
        """
        busy = self.busy.get((account, chat))
        if busy is None:
            return
        try:
            async with asyncio.timeout(self._within_s):
                await busy.wait()
        except TimeoutError:
            detail = "A message of the outbox has been on its way in this chat for too long; send it again later"
            raise Problem(Code.OVERLOADED, detail, retry_after_s=5) from None
