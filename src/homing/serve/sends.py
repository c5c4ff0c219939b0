"""`POST /api/v1/messages/send`: from the request's bytes to the answer's.

This is the hot path. Once a route, a contact and a key are known, a message passes through here without touching the
database, unless it carries an `Idempotency-Key` or did not simply succeed.
"""

import asyncio
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from homing.flows.media.intake import ArrivingFile, MediaIntake
from homing.flows.outbox.bulk import Bulk
from homing.flows.outbox.chat_turns import ChatTurns
from homing.flows.sending.accept import Accepting, AskedSend, TakenIn, no_account
from homing.flows.sending.number_checks import NumberChecks
from homing.flows.sending.send import Sending
from homing.flows.sending.send_records import Recorder
from homing.flows.sending.signs import Signs
from homing.model.directory.access import Key, Scope
from homing.model.errors import Code, Problem
from homing.model.fleet import AccountUuid, ContactUuid, Route, WorkspaceId
from homing.model.sends.addresses import Address
from homing.model.sends.content import KeptMedia, TextContent
from homing.model.sends.messages import StoredAnswer
from homing.model.sends.sending import NotSent, Outcome, Sent, Text, Unknown
from homing.ports import Clock, StoreUnavailable
from homing.serve.api.fields import Phone, Positive, Uuid
from homing.serve.callers.access import Caller, allow, recognised
from homing.serve.callers.keyring import Keyring
from homing.serve.callers.rate_limits import RateLimits
from homing.serve.callers.workspaces import Workspaces
from homing.serve.content import MESSAGE_MAX, ContentFields, content_of, media_type
from homing.serve.http import problems, readable
from homing.serve.http.answers import HttpAnswer
from homing.serve.metrics import Metrics


class SendBody(ContentFields, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A message to one chat, which is named by `contact_uuid` or by `phone`: a number in any form, or an address such
    as `628…@c.us`, `…@g.us`, `…@lid`, `…@newsletter` and `status@broadcast`."""

    account_uuid: Uuid
    workspace_id: Positive | None = None
    contact_uuid: Uuid | None = None
    phone: Phone | None = None
    wait: bool = True
    """False: do not wait until it is sent, but answer 202 as soon as it is in the outbox."""


class _PlainSend(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A plain text whose sender waits: what nearly every send is."""

    account_uuid: Uuid
    message: Annotated[str, Meta(min_length=1, max_length=MESSAGE_MAX)]
    workspace_id: Positive | None = None
    contact_uuid: Uuid | None = None
    phone: Phone | None = None
    type: Literal["text"] = "text"
    wait: bool = True


_MAY_SEND = frozenset(scope.value for scope in Scope if scope.allows(Scope.SEND))
_DONE = 200
_PLAIN_MAX = 4_096
_CUT_OFF = "the gateway was ended before the send was; whether the message left is not known"
_decode_plain = msgspec.json.Decoder(_PlainSend).decode
_decode_any = msgspec.json.Decoder().decode
_decode = msgspec.json.Decoder(SendBody).decode
_encode = msgspec.json.Encoder().encode


class SendEndpoint:
    """Answers sends: from the body's bytes to what is to be sent, and from its outcome to the answer's bytes."""

    def __init__(
        self,
        *,
        keyring: Keyring,
        rate_limits: RateLimits,
        workspaces: Workspaces,
        accepting: Accepting,
        bulk: Bulk,
        sending: Sending,
        turns: ChatTurns,
        recorder: Recorder,
        clock: Clock,
        metrics: Metrics,
        media: MediaIntake,
    ) -> None:
        self._media = media
        self._keyring, self._rate_limits, self._workspaces = keyring, rate_limits, workspaces
        self.bulk = bulk
        self.accepting, self._sending, self._recorder = accepting, sending, recorder
        self._turns = turns
        self._clock, self._metrics = clock, metrics
        self._driving: set[asyncio.Task[Any]] = set()
        self._ends = False

    @property
    def numbers(self) -> NumberChecks:
        """Which numbers are on WhatsApp, by what the gateways said before sends and in batches."""
        return self._sending.numbers

    @property
    def signs(self) -> Signs:
        """What chats see of accounts beside messages."""
        return self._sending.signs

    def cut_off(self) -> None:
        """End the sends in progress, because this gateway ends: each is recorded as unknown, and answered so."""
        self._ends = True
        for task in self._driving:
            task.cancel()

    async def may_send(self, authorization: str | None) -> None:
        """Whoever sends more than an ordinary body shows first that he may. Raises Problem."""
        allow(await recognised(self._keyring, authorization), Scope.SEND)

    async def answer(
        self,
        raw: bytes,
        authorization: str | None,
        key: str | None,
        prefer: str | None = None,
        file: ArrivingFile | None = None,
    ) -> HttpAnswer:
        """The answer to one send; every way that it can fail is an answer too. `file` came with it."""
        key_known = self._keyring.known(authorization) if authorization is not None else None
        if (
            key_known is not None
            and file is None
            and prefer is None
            and key_known.rate_limit is None
            and key_known.workspace_id not in self._workspaces.limits
            and key_known.scope.value in _MAY_SEND
            and (body := _plain(raw)) is not None
        ):
            return await self._of_plain(key_known, body, key)
        try:
            caller = await recognised(self._keyring, authorization)
        except Problem as problem:
            return _problem(problem)
        if authorization is not None:
            self._keyring.remember(authorization, caller.key)
        charged = self._rate_limits.charge(caller.key)
        if charged.problem is not None:
            answer = _problem(charged.problem)
        else:
            answer = await self._of(caller, raw, key, prefer, file)
        answer.headers.update(charged.headers)
        return answer

    async def _of_plain(self, caller: Key, body: _PlainSend, key: str | None) -> HttpAnswer:
        """The answer to a plain text, read already, by a caller who may send as often as he likes."""
        began_s = self._clock.monotonic()
        try:
            asked = _asked_plain(caller, body)
            self.accepting.enter(asked)
            return _told(await self._sent(asked, key, began_s))
        except Problem as problem:
            return _problem(problem)
        except StoreUnavailable as error:
            return _problem(Problem(Code.DIRECTORY_UNAVAILABLE, f"The directory is away: {error}", retry_after_s=2))

    async def _of(
        self, caller: Caller, raw: bytes, key: str | None, prefer: str | None, file: ArrivingFile | None
    ) -> HttpAnswer:
        began_s = self._clock.monotonic()
        try:
            allow(caller, Scope.SEND)
            body = readable.read(raw, _decode)
            kept = await self._file(caller, body, file)
            asked = asked_by(caller, body, self._workspaces, kept)
            self.accepting.enter(asked)
            if not body.wait or (prefer is not None and _responds_async(prefer)):
                return _told(await self._kept(asked, key))
            return _told(await self._sent(asked, key, began_s))
        except Problem as problem:
            return _problem(problem)
        except StoreUnavailable as error:
            return _problem(Problem(Code.DIRECTORY_UNAVAILABLE, f"The directory is away: {error}", retry_after_s=2))

    async def _file(self, caller: Caller, body: SendBody, file: ArrivingFile | None) -> KeptMedia | None:
        """The file that came along, or that the body names. Raises Problem."""
        if file is not None and (kind := media_type(body)) is not None:
            return await file.kept(kind, body.file_name, "file" if body.media_base64 is None else "media_base64")
        return named_file(self._media, caller, body)

    async def _kept(self, asked: AskedSend, key: str | None) -> StoredAnswer:
        """In the outbox, for a caller who does not wait."""
        try:
            return await self.accepting.keep(asked, key)
        finally:
            self.accepting.leave(asked, None)

    async def _sent(self, asked: AskedSend, key: str | None, began_s: float) -> StoredAnswer:
        """Sent, now that it is let in, unless its key was answered before."""
        taken: TakenIn | StoredAnswer | None = None
        try:
            taken = await self.accepting.take(asked, key)
            if isinstance(taken, StoredAnswer):
                self._metrics.answered(None, self._clock.monotonic() - began_s)
                return taken
            if self._turns.busy or taken.route.paced:
                await self._turn(taken)
            outcome = await self._outcome(taken.text, taken.route)
            took_s = self._clock.monotonic() - began_s
            self._metrics.answered(outcome, took_s)
            if type(outcome) is not Sent or outcome.attempts > 1 or outcome.sent_to is not None:
                await self._recorder.record(taken.text, outcome)
            answer = _answer_of(taken.text, outcome, took_s)
            if taken.key is not None or taken.route.paced:
                await self.accepting.settle(taken, outcome, answer)
            return answer
        finally:
            self.accepting.leave(asked, taken)

    async def _turn(self, taken: TakenIn) -> None:
        """Wait for its chat, and take from its account's pace. Raises Problem and StoreUnavailable; then its key is as
        it was."""
        try:
            await self._turns.take(taken.text.account_uuid, taken.chat)
            typing_s = await self.accepting.charge(taken)
        except (Problem, StoreUnavailable):
            await self.accepting.give_back(taken)
            raise
        if typing_s:
            await self.signs.type_for(taken.route.placement, Address.of(taken.text.recipient_phone), typing_s)

    async def _outcome(self, text: Text, route: Route) -> Outcome:
        task = asyncio.current_task()
        assert task is not None
        self._driving.add(task)
        try:
            return await self._sending.send(text, route)
        except asyncio.CancelledError:
            if not self._ends:
                raise
            task.uncancel()
            return Unknown(_CUT_OFF, attempts=1, instance_url=route.placement.instance_url)
        finally:
            self._driving.discard(task)


def named_file(media: MediaIntake, caller: Caller, body: SendBody) -> KeptMedia | None:
    """The file that a body names by its id. Raises Problem."""
    if body.media_id is None:
        return None
    return media.links.named(caller.acting_for(body.workspace_id), body.media_id)


def asked_by(caller: Caller, body: SendBody, workspaces: Workspaces, kept: KeptMedia | None = None) -> AskedSend:
    """What the caller asks to be sent; `kept`: the file of it that is here. Raises Problem."""
    _check_recipient(body)
    account = AccountUuid(body.account_uuid.lower())
    if caller.names_another(body.workspace_id):
        raise no_account(account)
    workspace = caller.acting_for(body.workspace_id)
    return AskedSend(
        workspace_id=workspace,
        account_uuid=account,
        content=content_of(body, lambda text: workspaces.recipient(workspace, text).address, kept=kept),
        contact_uuid=ContactUuid(body.contact_uuid.lower()) if body.contact_uuid is not None else None,
        phone=body.phone,
    )


def _plain(raw: bytes) -> _PlainSend | None:
    """The body, if it is a plain text in one reading only; None where it has to be read with more care.

    Without a backslash each quote is one of a name or of a text: a name that is there twice has two more.
    """
    if len(raw) > _PLAIN_MAX or b"\\" in raw or raw.count(b"{") != 1 or b"[" in raw:
        return None
    try:
        body, names = _decode_plain(raw), _decode_any(raw)
    except ValueError:
        return None
    texts = [value for value in names.values() if type(value) is str]
    return body if body.wait and raw.count(b'"') == 2 * (len(names) + len(texts)) else None


def _asked_plain(caller: Key, body: _PlainSend) -> AskedSend:
    """What the caller asks to be sent. Raises Problem."""
    if (body.contact_uuid is None) == (body.phone is None):
        raise _which_recipient()
    account, named, workspace = AccountUuid(body.account_uuid.lower()), body.workspace_id, caller.workspace_id
    if workspace is None:
        workspace = WorkspaceId(named) if named is not None else Caller(caller).acting_for(None)
    elif named is not None and named != workspace:
        raise no_account(account)
    return AskedSend(
        workspace,
        account,
        TextContent(body.message),
        ContactUuid(body.contact_uuid.lower()) if body.contact_uuid is not None else None,
        body.phone,
    )


def _responds_async(prefer: str) -> bool:
    """`Prefer: respond-async` (RFC 7240)."""
    return any(each.partition(";")[0].strip().lower() == "respond-async" for each in prefer.split(","))


def _check_recipient(body: SendBody) -> None:
    if (body.contact_uuid is None) == (body.phone is None):
        raise _which_recipient()


def _which_recipient() -> Problem:
    detail = "Name the recipient by either contact_uuid or phone"
    return Problem(Code.INVALID_REQUEST, detail, field="contact_uuid")


def _answer_of(text: Text, outcome: Outcome, took_s: float) -> StoredAnswer:
    """What the client is told of an outcome."""
    common: dict[str, Any] = {
        "message_uuid": text.uuid,
        "instance_url": outcome.instance_url,
        "attempts": outcome.attempts,
        "failover": False,
        "response_time_ms": round(took_s * 1000, 1),
    }
    if outcome.sent_to is not None:
        common["sent_to"] = outcome.sent_to
    match outcome:
        case Sent(receipt=receipt, failover=failover):
            data: dict[str, Any] = {"message_id": receipt.message_id, "timestamp": receipt.timestamp}
            return StoredAnswer(200, {"success": True, "data": data, **common, "failover": failover})
        case Unknown(reason=reason):
            told: dict[str, Any] = {
                "success": None,
                "outcome": "unknown",
                "data": {"message_id": text.message_id},
                "detail": reason,
            }
            return StoredAnswer(202, told | common)
        case NotSent(code=code, reason=reason):
            problem = Problem(Code(code.value), f"The message was not sent: {reason}")
            document = problems.document(problem, success=False, **common)
            waiting = {} if outcome.final else {"retry_after_s": outcome.retry_after_s}
            return StoredAnswer(document["status"], document | waiting)


def _told(answer: StoredAnswer) -> HttpAnswer:
    if answer.status == _DONE:
        return HttpAnswer(_DONE, _encode(answer.body), {})
    media_type = problems.PROBLEM_JSON if "code" in answer.body else problems.JSON
    headers = problems.retry_after(answer.status, answer.body.get("retry_after_s"))
    return HttpAnswer(answer.status, _encode(answer.body), headers, media_type)


def _problem(problem: Problem) -> HttpAnswer:
    told = problems.document(problem, success=False)
    return HttpAnswer(told["status"], _encode(told), problems.headers(problem), problems.PROBLEM_JSON)
