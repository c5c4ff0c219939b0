"""Taking a message in: whether it is let in, to whom it goes, and under which id.

Whoever brings messages in calls this: the HTTP route that answers at once, the outbox, and bulk. Decoding and encoding
are theirs; what a message is from here on is one `Text`, with its WhatsApp id chosen.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from math import ceil

import msgspec

from homing.decide.outbox.chats import chat_of
from homing.decide.sending import admission, idempotency
from homing.decide.sending.admission import AdmissionPolicy, InProgress, Share
from homing.decide.sending.idempotency import Drive, InFlight, Mismatch
from homing.flows.media.intake import MediaIntake
from homing.flows.sending.idempotent_send import HeldKey, KeyedSends
from homing.flows.sending.opt_outs import OptOuts
from homing.model.errors import Code, Problem
from homing.model.fleet import AccountUuid, Contact, ContactUuid, Route, WorkspaceId
from homing.model.sends import content_json
from homing.model.sends.addresses import Address, AddressKind, Recipient
from homing.model.sends.content import Content, TextContent, words_of
from homing.model.sends.messages import MessageState, StoredAnswer
from homing.model.sends.outbox import Accepted, NewMessage, OutboxKey
from homing.model.sends.pacing import PaceAsked, PaceWait
from homing.model.sends.sending import FailureCode, NotSent, Outcome, Text
from homing.ports import Entropy, Outbox, Routes, StoreUnavailable

KEY_MAX = 255
AGAIN_AFTER_S = 1.0
_ADDRESSES = 20_000
"""Contacts' addresses that are remembered as they were read."""
_address = lru_cache(_ADDRESSES)(Address.of)
_canonical = msgspec.json.Encoder().encode
ReadRecipient = Callable[[WorkspaceId, str], Recipient]
"""Whom somebody of the workspace wrote to. Raises Problem `phone_invalid` or `phone_ambiguous`."""


class AskedSend(msgspec.Struct, frozen=True):
    """A message as a caller asks for it who may act for the workspace; one of `contact_uuid` and `phone` is given."""

    workspace_id: WorkspaceId
    account_uuid: AccountUuid
    content: Content
    contact_uuid: ContactUuid | None = None
    phone: str | None = None


class TakenIn(msgspec.Struct, frozen=True):
    """A message to be sent, the route to begin with, and its idempotency key if it has one."""

    text: Text
    route: Route
    key: HeldKey | None = None

    @property
    def chat(self) -> str:
        """Whose messages go one after the other."""
        return chat_of(Address.of(self.text.recipient_phone))


class Admissions:
    """Lets sends in, and knows them until they are over."""

    def __init__(self, policy: AdmissionPolicy, refused: Callable[[Share], None] = lambda _: None) -> None:
        """`refused` hears whose share was full, each time that a send is not let in."""
        self._policy, self._refused = policy, refused
        self._modest = admission.modest(policy)
        self.sends = 0
        """How many are in progress."""
        self._of_workspace: dict[WorkspaceId, int] = {}
        self._of_account: dict[tuple[WorkspaceId, AccountUuid], int] = {}

    def begun(self, workspace: WorkspaceId, account: AccountUuid) -> None:
        """A send begins. Raises Problem OVERLOADED if a share is full."""
        of_workspace = self._of_workspace.get(workspace, 0)
        of_account = self._of_account.get((workspace, account), 0)
        if self.sends >= self._modest:
            self._see_that_there_is_room(of_workspace, of_account, workspace, account)
        self.sends += 1
        self._of_workspace[workspace] = of_workspace + 1
        self._of_account[workspace, account] = of_account + 1

    def _see_that_there_is_room(
        self, of_workspace: int, of_account: int, workspace: WorkspaceId, account: AccountUuid
    ) -> None:
        full = admission.admit(InProgress(self.sends, of_workspace, of_account), workspace, account, self._policy)
        if full is not None:
            self._refused(full.whose)
            raise Problem(Code.OVERLOADED, f"Not now: {full.reason}. Send it again later", retry_after_s=AGAIN_AFTER_S)

    def over(self, workspace: WorkspaceId, account: AccountUuid) -> None:
        """It was answered."""
        self.sends -= 1
        if (left := self._of_workspace.pop(workspace) - 1) > 0:
            self._of_workspace[workspace] = left
        if (left := self._of_account.pop((workspace, account)) - 1) > 0:
            self._of_account[workspace, account] = left


class Accepting:
    """Takes messages in. Each that is let in has a place until `leave`."""

    def __init__(
        self,
        routes: Routes,
        read: ReadRecipient,
        admissions: Admissions,
        keyed: KeyedSends,
        outbox: Outbox,
        entropy: Entropy,
        opt_outs: OptOuts,
        *,
        secret: bytes,
        keep_s: float,
        max_age_s: float,
        media: MediaIntake | None = None,
    ) -> None:
        """`secret`: what message ids are derived with from idempotency keys; those are kept for `keep_s`.

        `max_age_s`: for how long a message of the outbox is worth sending where nobody says.
        """
        self._media = media
        self._routes, self._read, self._admissions = routes, read, admissions
        self._keyed, self._outbox, self._entropy, self._opt_outs = keyed, outbox, entropy, opt_outs
        self._secret, self._keep_s, self._max_age_s = secret, keep_s, max_age_s

    def enter(self, asked: AskedSend) -> None:
        """It waits for anything only with a place of its own sender's. Raises Problem OVERLOADED."""
        self._admissions.begun(asked.workspace_id, asked.account_uuid)

    def leave(self, asked: AskedSend, taken: TakenIn | StoredAnswer | None) -> None:
        """It was answered, or given up; `taken` as far as it came."""
        if isinstance(taken, TakenIn) and taken.key is not None:
            self._keyed.leave(taken.key)
        self._admissions.over(asked.workspace_id, asked.account_uuid)

    async def take(self, asked: AskedSend, key: str | None) -> TakenIn | StoredAnswer:
        """The message, or the answer that its key was given before. Raises Problem and StoreUnavailable."""
        route, recipient = await self.addressed(asked)
        if key is None:
            if self._may_be_unwanted(route.workspace_id):
                await self._opt_outs.check(route.workspace_id, chat_of(recipient.address))
            message_id = idempotency.MESSAGE_ID_PREFIX + self._entropy.token(9).hex().upper()
            content = asked.content if type(asked.content) is TextContent else await self.frozen(asked)
            return TakenIn(_text(self._entropy.uuid(), message_id, route, recipient, content), route)
        return await self._keyed_once(checked_key(key), asked, route, recipient)

    async def frozen(self, asked: AskedSend, needed_s: float = 0.0) -> Content:
        """What is said, with its file here if it has one, for as long as it may wait. Raises Problem."""
        if self._media is None:
            return asked.content
        return await self._media.taken(asked.workspace_id, asked.content, needed_s=needed_s)

    async def keep(
        self, asked: AskedSend, key: str | None, *, after_s: float = 0.0, max_age_s: float | None = None
    ) -> StoredAnswer:
        """Accepted: it will be sent, or end in a state that says why not. Raises Problem and StoreUnavailable.

        Not before `after_s` from now; if it could not be sent in `max_age_s` after that, it expires.
        """
        route, recipient = await self.addressed(asked)
        content = await self.frozen(asked, after_s + (max_age_s or self._max_age_s))
        workspace, account = route.workspace_id, route.account_uuid
        uuid = self._entropy.uuid()
        answer = StoredAnswer(202, {"message_uuid": uuid, "state": MessageState.ACCEPTED.value})
        if key is None:
            kept, message_id = None, idempotency.message_id(self._entropy.token(9))
        else:
            same = fingerprint(route, recipient, asked.content)
            kept = OutboxKey(checked_key(key), same, answer, self._keep_s)
            message_id = idempotency.derived_message_id(self._secret, workspace, account, key)
        text = _text(uuid, message_id, route, recipient, content)
        new = NewMessage(
            text,
            chat_of(recipient.address),
            content_json.written(content),
            after_s,
            max_age_s or self._max_age_s,
            kept,
        )
        return await self._kept(new, answer)

    async def _kept(self, new: NewMessage, answer: StoredAnswer) -> StoredAnswer:
        found = await self._outbox.accept(new)
        if isinstance(found, Accepted):
            return answer.naming(found.message_uuid)
        if new.key is not None and found.row.fingerprint != new.key.fingerprint:
            raise key_reused(found.row.message_uuid)
        if found.row.answer is not None:
            return found.row.answer
        detail = f"A send with this Idempotency-Key is in progress (message {found.row.message_uuid})"
        raise Problem(Code.IDEMPOTENCY_KEY_IN_FLIGHT, detail, retry_after_s=1)

    async def charge(self, taken: TakenIn) -> float:
        """It goes now, and counts in the account's pace where one is set: after so many seconds of typing.

        Raises Problem `paced`, StoreUnavailable.
        """
        if not taken.route.paced:
            return 0.0
        text = taken.text
        asked = PaceAsked(taken.chat, len(text.text), self._entropy.random())
        answer = await self._outbox.charge(text.workspace_id, text.account_uuid, asked)
        if isinstance(answer, PaceWait):
            detail = (
                f'Not sent, by {answer.reason}. Send it again in {ceil(answer.wait_s)} s, or with "wait": false:'
                " then it goes as soon as its pace allows"
            )
            raise Problem(Code.PACED, detail, retry_after_s=ceil(answer.wait_s))
        return answer.typing_s

    async def give_back(self, taken: TakenIn) -> None:
        """It was not begun after all: its key is free, as if it had never been asked for."""
        if taken.key is not None:
            await self._keyed.give_back(taken.key)

    async def settle(self, taken: TakenIn, outcome: Outcome, answer: StoredAnswer) -> None:
        """How it ended: under its key the same is answered again, unless it may be tried again."""
        if taken.route.paced and isinstance(outcome, NotSent) and outcome.code is FailureCode.RECIPIENT_RESTRICTED:
            with suppress(StoreUnavailable):  # the caller is to hear that it failed, and why
                await self._outbox.restricted(taken.text.workspace_id, taken.text.account_uuid)
        if taken.key is not None:
            await self._keyed.settle(taken.key, outcome, answer)

    async def addressed(self, asked: AskedSend) -> tuple[Route, Recipient]:
        """The sender's route and the recipient. Raises Problem and StoreUnavailable."""
        route, contact = await self._routes.route(asked.workspace_id, asked.account_uuid, asked.contact_uuid)
        if route is None:
            raise no_account(asked.account_uuid)
        if asked.phone is not None:
            return route, self._read(route.workspace_id, asked.phone)
        return route, _recipient(contact, asked)

    async def _keyed_once(
        self, key: str, asked: AskedSend, route: Route, recipient: Recipient
    ) -> TakenIn | StoredAnswer:
        """Ours to send, unless somebody sends it or did."""
        # Before the key is ours: a file that cannot be had uses up none.
        content = asked.content if type(asked.content) is TextContent else await self.frozen(asked)
        found = await self._keyed.begin(
            route.workspace_id, key, fingerprint(route, recipient, asked.content), self._entropy.uuid()
        )
        match found:
            case HeldKey(admission=Drive() as drive):
                await self._see_that_it_is_wanted(found, recipient)
                message_id = idempotency.derived_message_id(self._secret, route.workspace_id, route.account_uuid, key)
                text = _text(drive.message_uuid, message_id, route, recipient, content, repeated=drive.repeated)
                return TakenIn(text, route, found)
            case InFlight(message_uuid=message_uuid):
                detail = f"A send with this Idempotency-Key is in progress (message {message_uuid})"
                raise Problem(Code.IDEMPOTENCY_KEY_IN_FLIGHT, detail, retry_after_s=1)
            case Mismatch(message_uuid=message_uuid):
                raise key_reused(message_uuid)
            case StoredAnswer():
                return found

    def _may_be_unwanted(self, workspace: WorkspaceId) -> bool:
        """Whether anybody may have opted out of what it sends. Nothing is waited for to know that."""
        listed = self._opt_outs.listed
        return listed is None or workspace in listed

    async def _see_that_it_is_wanted(self, held: HeldKey, recipient: Recipient) -> None:
        """What was begun before goes on: it may have arrived. Raises Problem and StoreUnavailable with the key free."""
        if held.admission.repeated or not self._may_be_unwanted(held.workspace_id):
            return
        try:
            await self._opt_outs.check(held.workspace_id, chat_of(recipient.address))
        except BaseException:
            await self._keyed.give_back(held)
            self._keyed.leave(held)
            raise


def checked_key(key: str) -> str:
    """An idempotency key as it may be. Raises Problem."""
    if not 0 < len(key) <= KEY_MAX:
        detail = f"Idempotency-Key must have 1 to {KEY_MAX} characters"
        raise Problem(Code.INVALID_REQUEST, detail, field="Idempotency-Key")
    return key


def key_reused(message_uuid: str) -> Problem:
    """The key belongs to another message."""
    detail = f"This Idempotency-Key was used for another message ({message_uuid})"
    return Problem(Code.IDEMPOTENCY_KEY_REUSED, detail, field="Idempotency-Key")


def no_account(uuid: AccountUuid) -> Problem:
    return Problem(Code.ACCOUNT_NOT_FOUND, f"There is no account {uuid} in this workspace")


def fingerprint(route: Route, recipient: Recipient, content: Content) -> str:
    """What makes two requests the same message.

    Of a plain text it is that of the releases before: a key that one of them was given is known again.
    """
    to = str(recipient.address)
    if isinstance(content, TextContent) and content == TextContent(content.text):
        return idempotency.fingerprint(_canonical([route.account_uuid, to, "text", content.text]))
    return idempotency.fingerprint(_canonical([route.account_uuid, to, content_json.identity(content)]))


def _written(address: Address) -> str:
    return address.id if address.kind is AddressKind.PHONE else str(address)


def _recipient(contact: Contact | None, asked: AskedSend) -> Recipient:
    if contact is None:
        raise Problem(Code.CONTACT_NOT_FOUND, f"There is no contact {asked.contact_uuid} in this workspace")
    return Recipient(contact.phone_as_written or contact.phone, _address(contact.phone))


def _text(
    uuid: str, message_id: str, route: Route, recipient: Recipient, content: Content, *, repeated: bool = False
) -> Text:
    return Text(
        uuid=uuid,
        message_id=message_id,
        workspace_id=route.workspace_id,
        account_uuid=route.account_uuid,
        recipient_phone=_written(recipient.address),
        text=content.text if type(content) is TextContent else words_of(content),
        repeated=repeated,
        phone_as_written=recipient.written,
        content=content,
    )
