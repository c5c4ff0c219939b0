"""`POST /api/v1/messages/send`: from the request's bytes to the answer's.

This is the hot path. Once a route, a contact and a key are known, a message passes through here without touching the
database, unless it carries an `Idempotency-Key` or did not simply succeed.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from homing.decide.sending import idempotency
from homing.decide.sending.idempotency import Drive, InFlight, Mismatch
from homing.flows.sending.admission import Admissions
from homing.flows.sending.idempotent_send import Driven, KeyedSends
from homing.flows.sending.send import Sending
from homing.flows.sending.send_records import Recorder
from homing.model.access import Scope
from homing.model.errors import Code, Problem
from homing.model.fleet import AccountUuid, Contact, ContactUuid, Route, WorkspaceId
from homing.model.sends import content_json
from homing.model.sends.addresses import Address, Recipient
from homing.model.sends.content import Content, TextContent, words_of
from homing.model.sends.messages import StoredAnswer
from homing.model.sends.sending import NotSent, Outcome, Sent, Text, Unknown
from homing.ports import Clock, Entropy, Routes, StoreUnavailable
from homing.serve.api.fields import Phone, Positive, Uuid
from homing.serve.callers.access import Caller, allow, recognised
from homing.serve.callers.keyring import Keyring
from homing.serve.callers.rate_limits import RateLimits
from homing.serve.callers.workspaces import Workspaces
from homing.serve.content import ContentFields, content_of
from homing.serve.http import problems, readable
from homing.serve.metrics import Metrics


class SendBody(ContentFields, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A message to one chat, which is named by `contact_uuid` or by `phone`: a number in any form, or an address such
    as `628…@c.us`, `…@g.us`, `…@lid`, `…@newsletter` and `status@broadcast`."""

    account_uuid: Uuid
    workspace_id: Positive | None = None
    contact_uuid: Uuid | None = None
    phone: Phone | None = None


log = structlog.get_logger("homing")

KEY_MAX = 255
_CUT_OFF = "the gateway was ended before the send was; whether the message left is not known"
_decode = msgspec.json.Decoder(SendBody).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP answer, ready to be written."""

    status: int
    body: bytes
    headers: dict[str, str]
    media_type: str = problems.JSON


@dataclass(frozen=True, slots=True)
class _Asked:
    """To whom is to be said what."""

    recipient: Recipient
    content: Content


class SendEndpoint:
    """Answers sends."""

    def __init__(
        self,
        *,
        keyring: Keyring,
        rate_limits: RateLimits,
        workspaces: Workspaces,
        routes: Routes,
        sending: Sending,
        keyed: KeyedSends,
        admissions: Admissions,
        recorder: Recorder,
        clock: Clock,
        entropy: Entropy,
        metrics: Metrics,
        secret: bytes,
    ) -> None:
        """`secret`: what message ids are derived with from idempotency keys."""
        self._keyring, self._workspaces, self._routes = keyring, workspaces, routes
        self._rate_limits = rate_limits
        self._sending, self._keyed, self._admissions = sending, keyed, admissions
        self._recorder, self._clock, self._entropy, self._metrics = recorder, clock, entropy, metrics
        self._secret = secret
        self._driving: set[asyncio.Task[Any]] = set()
        self._ends = False

    def cut_off(self) -> None:
        """End the sends in progress, because this gateway ends: each is recorded as unknown, and answered so."""
        self._ends = True
        for task in self._driving:
            task.cancel()

    async def answer(self, raw: bytes, authorization: str | None, key: str | None) -> HttpAnswer:
        """The answer to one send; every way that it can fail is an answer too."""
        try:
            caller = await recognised(self._keyring, authorization)
        except Problem as problem:
            return _problem(problem)
        charged = self._rate_limits.charge(caller.key)
        answer = _problem(charged.problem) if charged.problem is not None else await self._of(caller, raw, key)
        answer.headers.update(charged.headers)
        return answer

    async def _of(self, caller: Caller, raw: bytes, key: str | None) -> HttpAnswer:
        began_s = self._clock.monotonic()
        try:
            allow(caller, Scope.SEND)
            body = readable.read(raw, _decode)
            stored = await self._admitted(caller, body, key, began_s)
            return _told(stored)
        except Problem as problem:
            return _problem(problem)
        except StoreUnavailable as error:
            return _problem(Problem(Code.DIRECTORY_UNAVAILABLE, f"The directory is away: {error}", retry_after_s=2))

    async def _admitted(self, caller: Caller, body: SendBody, key: str | None, began_s: float) -> StoredAnswer:
        """Driven, unless it is not let in: what waits for anything at all takes a place of its own sender's."""
        _check_recipient(body)
        if caller.names_another(body.workspace_id):
            raise _no_account(body)
        workspace, account = caller.acting_for(body.workspace_id), AccountUuid(body.account_uuid.lower())
        self._admissions.enter(workspace, account)
        self._metrics.sends_in_progress.inc()
        try:
            route, asked = await self._asked(workspace, account, body)
            if key is None:
                _, answer = await self._driven(self._text(route, asked), route, began_s)
                return answer
            return await self._once(key, route, asked, began_s)
        finally:
            self._admissions.leave(workspace, account)
            self._metrics.sends_in_progress.dec()

    async def _asked(self, workspace: WorkspaceId, account: AccountUuid, body: SendBody) -> tuple[Route, _Asked]:
        """The sender's route, and to whom is to be said what."""
        contact_uuid = ContactUuid(body.contact_uuid.lower()) if body.contact_uuid is not None else None
        route, contact = await self._routes.route(workspace, account, contact_uuid)
        if route is None:
            raise _no_account(body)
        content = content_of(body, lambda text: self._workspaces.recipient(route.workspace_id, text).address)
        if body.phone is not None:
            return route, _Asked(self._workspaces.recipient(route.workspace_id, body.phone), content)
        return route, _Asked(_recipient(contact, body), content)

    async def _once(self, key: str, route: Route, asked: _Asked, began_s: float) -> StoredAnswer:
        """Drive a keyed send, unless somebody drives it or did."""
        if not 0 < len(key) <= KEY_MAX:
            raise Problem(
                Code.INVALID_REQUEST, f"Idempotency-Key must have 1 to {KEY_MAX} characters", field="Idempotency-Key"
            )

        fresh = True

        async def drive(admission: Drive) -> Driven:
            nonlocal fresh
            fresh = False
            text = self._text(route, asked, key=key, admission=admission)
            return await self._driven(text, route, began_s)

        uuid = self._entropy.uuid()
        answer = await self._keyed.answer(route.workspace_id, key, _fingerprint(route, asked), uuid, drive)
        match answer:
            case InFlight(message_uuid=message_uuid):
                detail = f"A send with this Idempotency-Key is in progress (message {message_uuid})"
                raise Problem(Code.IDEMPOTENCY_KEY_IN_FLIGHT, detail, retry_after_s=1)
            case Mismatch(message_uuid=message_uuid):
                detail = f"This Idempotency-Key was used for another message ({message_uuid})"
                raise Problem(Code.IDEMPOTENCY_KEY_REUSED, detail, field="Idempotency-Key")
            case StoredAnswer():
                if fresh:
                    self._metrics.answered(None, self._clock.monotonic() - began_s)
                return answer

    def _text(self, route: Route, asked: _Asked, *, key: str | None = None, admission: Drive | None = None) -> Text:
        if key is None:
            message_id = idempotency.message_id(self._entropy.token(9))
        else:
            message_id = idempotency.derived_message_id(self._secret, route.workspace_id, route.account_uuid, key)
        return Text(
            uuid=admission.message_uuid if admission else self._entropy.uuid(),
            message_id=message_id,
            workspace_id=route.workspace_id,
            account_uuid=route.account_uuid,
            recipient_phone=str(asked.recipient.address),
            text=words_of(asked.content),
            repeated=admission.repeated if admission else False,
            phone_as_written=asked.recipient.written,
            content=asked.content,
        )

    async def _driven(self, text: Text, route: Route, began_s: float) -> Driven:
        outcome = await self._outcome(text, route)
        took_s = self._clock.monotonic() - began_s
        self._metrics.answered(outcome, took_s)
        await self._recorder.record(text, outcome)
        return outcome, _answer(text, outcome, took_s)

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


def _check_recipient(body: SendBody) -> None:
    if (body.contact_uuid is None) == (body.phone is None):
        raise Problem(Code.INVALID_REQUEST, "Name the recipient by either contact_uuid or phone", field="contact_uuid")


def _recipient(contact: Contact | None, body: SendBody) -> Recipient:
    if contact is None:
        raise Problem(Code.CONTACT_NOT_FOUND, f"There is no contact {body.contact_uuid} in this workspace")
    return Recipient(contact.phone_as_written or contact.phone, Address.of(contact.phone))


def _no_account(body: SendBody) -> Problem:
    return Problem(Code.ACCOUNT_NOT_FOUND, f"There is no account {body.account_uuid} in this workspace")


def _fingerprint(route: Route, asked: _Asked) -> str:
    """Of a plain text it is that of the releases before: a key that one of them was given is known again."""
    content, recipient = asked.content, str(asked.recipient.address)
    if isinstance(content, TextContent) and content == TextContent(content.text):
        return idempotency.fingerprint(_encode([route.account_uuid, recipient, "text", content.text]))
    return idempotency.fingerprint(_encode([route.account_uuid, recipient, content_json.written(content)]))


def _answer(text: Text, outcome: Outcome, took_s: float) -> StoredAnswer:
    """What the client is told of an outcome."""
    common: dict[str, Any] = {
        "message_uuid": text.uuid,
        "instance_url": outcome.instance_url,
        "attempts": outcome.attempts,
        "failover": False,
        "response_time_ms": round(took_s * 1000, 1),
    }
    match outcome:
        case Sent(receipt=receipt, failover=failover):
            data: dict[str, Any] = {"message_id": receipt.message_id, "timestamp": receipt.timestamp}
            return StoredAnswer(200, {"success": True, "data": data} | common | {"failover": failover})
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
    media_type = problems.PROBLEM_JSON if "code" in answer.body else problems.JSON
    headers = problems.retry_after(answer.status, answer.body.get("retry_after_s"))
    return HttpAnswer(answer.status, _encode(answer.body), headers, media_type)


def _problem(problem: Problem) -> HttpAnswer:
    told = problems.document(problem, success=False)
    return HttpAnswer(told["status"], _encode(told), problems.headers(problem), problems.PROBLEM_JSON)
