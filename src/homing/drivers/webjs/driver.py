"""Speaks to the Node service (Express around whatsapp-web.js) and to our own instance, which speaks the same.

The service takes its key as `api_key`, in the query of a GET and in the JSON body of everything else
(ltmoerdani/blazz, whatsapp-service/src/controllers/*.js); one published version looks for `X-API-Key` instead
(src/middleware/auth.js), which the others ignore. An instance of ours reads that header, so that its key stands in no
query, where logs would show it, once its `/health` has said so. The others ignore the fields and headers, too, that
only ours knows: `message_id` and `X-Homing-Epoch`.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from weakref import WeakValueDictionary

import msgspec

from homing.drivers.contents import Unsendable
from homing.drivers.files import Fetches
from homing.drivers.http.wire import MIB, Calls, FetchedReply, Reply
from homing.drivers.reading import MILLISECONDS_FROM, unhurried
from homing.drivers.values import NAME_MAX
from homing.drivers.webjs import messages
from homing.drivers.webjs.answers import fault_of, health_of, pairing_of, receipt_of
from homing.drivers.webjs.reports import WebjsReports
from homing.drivers.webjs.sessions import one_session_of, sessions_of, started_of
from homing.model.fleet import (
    NEVER_GRANTED,
    Capabilities,
    Epoch,
    InstanceUrl,
    ListedSession,
    Listing,
    NoList,
    SessionId,
    SessionList,
    SessionStatus,
    Takeover,
)
from homing.model.instances.gateways import Traits
from homing.model.sends.content import TextContent
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.history import ChatHistory
from homing.model.sends.inbound import FileStream, InboundFile
from homing.model.sends.sending import Receipt
from homing.model.sends.signs import ChatSign
from homing.ports import InstanceHealth, NumberChecked, OutgoingText, PairingCode, SessionStart

EPOCH_HEADER = "X-Homing-Epoch"
LIST_LIMIT_BYTES = 32 * MIB
_KEY_HEADER = "X-API-Key"
_SHOWN_MAX = 10_000
_NO_SUCH_PATH_WORDS = "Endpoint not found"
_SHARE_OF_WAITING = 0.8
"""How much of our time the instance may take to answer for those that are not up yet."""
_DONE = range(HTTPStatus.OK, HTTPStatus.OK + 1)
_SENT = range(HTTPStatus.OK, HTTPStatus.MULTIPLE_CHOICES)
"""Whatever success a version of the service answers a send with, the id in it tells whether it was sent."""
_encode = msgspec.json.Encoder().encode


class _PlainMessage(msgspec.Struct, frozen=True):
    """A text, in the words of the service, in the order in which they are written."""

    session_id: str
    workspace_id: int
    recipient_phone: str
    message_id: str
    message: str
    api_key: str
    type: str = "text"


class _SaidSent(msgspec.Struct, frozen=True):
    """The service's word that it sent a message, in its usual form."""

    success: bool
    message_id: str
    timestamp: int


_decode_taken = msgspec.json.Decoder(_SaidSent).decode


class WebjsDriver:
    """The webjs protocol over one wire. Keys are by instance, with a default for those that have none of their own."""

    family = "webjs"
    base = Capabilities(stop_keeps_login=True, sends=messages.SENDS, reaches=messages.REACHES)
    """DELETE ends the client and leaves the login's files, as long as it goes to the holder (see `stop`)."""
    reports = WebjsReports()
    traits = Traits(
        "webjs",
        takeover=Takeover.AUTO,
        logins="the plain Node service keeps the browser's profile on its own disk",
        would_help="instances of Homing's own, which keep their logins in the vault; or storage that several Node"
        " services share (homing instances set URL --storage NAME), and the word that the lost one exited",
    )

    def __init__(
        self,
        wire: Calls,
        *,
        api_keys: Mapping[InstanceUrl, str] | None = None,
        default_api_key: str = "",
        list_limit_bytes: int = LIST_LIMIT_BYTES,
    ) -> None:
        self._wire = wire
        self._api_keys = api_keys if api_keys is not None else {}
        self._default_api_key = default_api_key
        self._list_limit_bytes = list_limit_bytes
        self._shown: dict[tuple[InstanceUrl, Epoch], tuple[str, dict[str, str]]] = {}
        self._shown_at = -1
        self._read_header: set[InstanceUrl] = set()
        """Those that are known to take their key from the header."""
        self._starts: WeakValueDictionary[tuple[InstanceUrl, SessionId], asyncio.Lock] = WeakValueDictionary()

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        """What the instance says of itself. `/health` asks for no key, so none is shown to it."""
        reply = self._whole(instance, await self._wire.call("GET", instance, "/health", timeout_s=timeout_s))
        if isinstance(reply, Fault):
            return reply
        health = health_of(reply, self.base)
        self._note_kind(instance, health)
        return health

    async def sessions(self, instance: InstanceUrl, *, timeout_s: float) -> Listing:
        """The instance's session list."""
        listed = await self._list(instance, timeout_s)
        return NoList(instance, str(listed), listed) if isinstance(listed, Fault) else listed

    async def session(self, instance: InstanceUrl, session_id: SessionId, *, timeout_s: float) -> ListedSession | Fault:
        """One session as the instance holds it; SESSION_NOT_FOUND if it does not."""
        reply = await self._get(instance, f"{_path(session_id)}/status", timeout_s)
        return self._one(instance, reply, session_id)

    async def send(self, instance: InstanceUrl, message: OutgoingText, *, timeout_s: float) -> Receipt | Fault:
        """Send one message. The receipt's id is what the instance said, word for word."""
        content = message.content
        if type(content) is TextContent and content.reply_to is None and not content.mentions:
            return await self._send_plain(instance, message, content.text, timeout_s)
        try:
            told = messages.told_of(message)
        except Unsendable as error:
            return Fault(Phase.REQUEST_REJECTED, f"it cannot be sent: {error}; nothing was sent")
        reply = await self._tell("POST", instance, told.path, told.body, message.epoch, timeout_s, done=_SENT)
        return reply if isinstance(reply, Fault) else receipt_of(reply, self._secrets(instance))

    async def _send_plain(
        self, instance: InstanceUrl, message: OutgoingText, words: str, timeout_s: float
    ) -> Receipt | Fault:
        """The same of what is nearly always sent: as `messages.told_of` writes it, and as `receipt_of` reads it."""
        key, headers = self._shown_to(instance, message.epoch)
        said = _PlainMessage(
            message.session_id, message.workspace_id, message.recipient_phone, message.message_id, words, key
        )
        try:
            body = _encode(said)
        except UnicodeEncodeError:
            return Fault(Phase.REQUEST_REJECTED, "the text holds half a character, which no JSON can carry")
        reply = await self._wire.call(
            "POST", instance, "/api/messages/send", body=body, headers=headers, timeout_s=timeout_s
        )
        if type(reply) is Reply and reply.status in _DONE:
            try:
                taken = _decode_taken(reply.body)
            except ValueError:
                return receipt_of(reply, self._secrets(instance))
            id_, at = taken.message_id, taken.timestamp
            if taken.success and 0 < len(id_) <= NAME_MAX and id_.isalnum() and 0 < at < MILLISECONDS_FROM:
                return Receipt(id_, at)
        whole = self._whole(instance, reply, _SENT)
        return whole if isinstance(whole, Fault) else receipt_of(whole, self._secrets(instance))

    def _shown_to(self, instance: InstanceUrl, epoch: Epoch) -> tuple[str, dict[str, str]]:
        """The instance's key, and the headers of a send under this epoch, until the keys change."""
        changes = getattr(self._api_keys, "changes", 0)
        if changes != self._shown_at or len(self._shown) >= _SHOWN_MAX:
            self._shown_at = changes
            self._shown.clear()
        shown = self._shown.get((instance, epoch))
        if shown is None:
            key = self._key(instance)
            headers = {"Content-Type": "application/json", **_key_header(key), **_epoch_header(epoch)}
            shown = self._shown[instance, epoch] = (key, headers)
        return shown

    async def start(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession | Fault:
        """Open the session, unless a service without epochs has it open already: then it answers how it stands.

        The Node service would start a second browser on the same login and forget the first
        (src/managers/SessionManager.js, createSession). It answers only when the browser is up, after up to a minute.
        So of one session one start is under way at a time, and the list is read just before it.
        """
        until = _now() + timeout_s
        alone = self._starts.setdefault((instance, session.session_id), asyncio.Lock())
        try:
            async with asyncio.timeout(timeout_s):
                await alone.acquire()
        except TimeoutError:
            return Fault(Phase.UNAVAILABLE, "another start of the session is under way there; nothing was sent")
        try:
            return await self._started(instance, session, until)
        finally:
            alone.release()

    async def _started(self, instance: InstanceUrl, session: SessionStart, until: float) -> ListedSession | Fault:
        held = await self._held(instance, session.session_id, until)
        if isinstance(held, Fault) and held.phase is Phase.SESSION_NOT_FOUND:
            held = await self._listed(instance, session.session_id, until)
        if isinstance(held, ListedSession) and held.epoch is None:
            return held
        if isinstance(held, Fault) and held.phase is not Phase.SESSION_NOT_FOUND:
            return held
        told = {**_about(session), "session_id": session.session_id}
        reply = await self._tell("POST", instance, "/api/sessions", told, session.epoch, until - _now())
        return self._one(instance, reply, session.session_id)

    async def check_number(self, *_: object, timeout_s: float) -> NumberChecked | Fault:  # noqa: ARG002
        """The webjs protocol has no call for it."""
        return Fault(Phase.REQUEST_REJECTED, "webjs cannot tell whether a number is on WhatsApp; nothing was sent")

    async def show(
        self, instance: InstanceUrl, session_id: SessionId, sign: ChatSign, *, timeout_s: float
    ) -> Fault | None:
        """As our instance is told, where its engine can. The Node service has no call for it, and says so."""
        last, told = messages.sign_of(sign)
        reply = await self._tell("POST", instance, f"{_path(session_id)}/{last}", told, NEVER_GRANTED, timeout_s)
        if isinstance(reply, Fault) and _is_unknown_path(reply):
            return Fault(Phase.REQUEST_REJECTED, "webjs cannot show this to a chat; nothing was sent", reply.status)
        return reply if isinstance(reply, Fault) else None

    async def history(self, *_: object, timeout_s: float) -> ChatHistory | Fault:  # noqa: ARG002
        """The webjs protocol has no call for it."""
        return Fault(Phase.REQUEST_REJECTED, "webjs cannot show the messages of a chat")

    @asynccontextmanager
    async def file(
        self, instance: InstanceUrl, session_id: SessionId, file: InboundFile, *, most_bytes: int, timeout_s: float
    ) -> AsyncIterator[FileStream | Fault]:
        """By the reference that an instance of ours told; the Node service's files come with its reports."""
        if file.reference is None or not isinstance(self._wire, Fetches):
            yield Fault(Phase.REQUEST_REJECTED, "webjs gives no files out")
            return
        key = self._key(instance)
        headers = _key_header(key)
        path = f"{_path(session_id)}/files/{quote(file.reference, safe='')}"
        shown = path if headers else f"{path}?api_key={quote(key, safe='')}"
        async with self._wire.fetch(
            "GET", instance, shown, headers=headers, timeout_s=timeout_s, body_limit_bytes=most_bytes
        ) as answer:
            if isinstance(answer, FetchedReply):
                yield FileStream(answer.body.pieces)
            else:
                yield answer if isinstance(answer, Fault) else fault_of(answer, self._secrets(instance))

    async def start_many(
        self, instance: InstanceUrl, sessions: Sequence[SessionStart], *, timeout_s: float
    ) -> Mapping[SessionId, ListedSession | Fault] | Fault:
        """Open them with one call to our instance; side by side where the service does not know that call."""
        until = _now() + timeout_s
        told = {"sessions": [_wanted(session) for session in sessions], "wait_s": timeout_s * _SHARE_OF_WAITING}
        reply = await self._tell("POST", instance, "/api/sessions/batch", told, NEVER_GRANTED, timeout_s)
        if not isinstance(reply, Fault):
            return started_of(reply, [session.session_id for session in sessions], self._secrets(instance))
        if not _is_unknown_path(reply):
            return reply
        each = [self.start(instance, session, timeout_s=until - _now()) for session in sessions]
        answers = await asyncio.gather(*each)
        return {session.session_id: answer for session, answer in zip(sessions, answers, strict=True)}

    async def stop(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        """Close the session. SESSION_NOT_FOUND, with nothing sent, if the instance does not hold it.

        Told to stop a session that it does not hold, the Node service deletes the login from its disk
        (src/managers/SessionManager.js, disconnectSession), which may be the disk of the instance that does.
        """
        until = _now() + timeout_s
        held = await self._held(instance, session.session_id, until)
        if isinstance(held, Fault):
            return held
        reply = await self._tell(
            "DELETE", instance, _path(session.session_id), _about(session), session.epoch, until - _now()
        )
        return reply if isinstance(reply, Fault) else None

    async def restart(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession | Fault:
        """Close and open the session where it is held. Elsewhere nothing is sent, since the service stops first."""
        until = _now() + timeout_s
        held = await self._held(instance, session.session_id, until)
        if isinstance(held, Fault):
            return held
        path = f"{_path(session.session_id)}/reconnect"
        reply = await self._tell("POST", instance, path, _about(session), session.epoch, until - _now())
        return self._one(instance, reply, session.session_id)

    async def logout(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        """End the link with WhatsApp. REQUEST_REJECTED by the Node service, which cannot."""
        path = f"{_path(session.session_id)}/logout"
        reply = await self._tell("POST", instance, path, _about(session), session.epoch, timeout_s)
        if not isinstance(reply, Fault):
            return None
        if _is_unknown_path(reply):
            words = "this gateway cannot log a session out; remove the device in WhatsApp on the phone"
            return Fault(Phase.REQUEST_REJECTED, words, reply.status)
        return reply

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode | Fault:
        """The code in use, if the instance tells it when its status is asked for. Nothing is disturbed.

        Our instance tells it; the Node service only reports codes, as `qr_code_generated`.
        """
        reply = await self._get(instance, f"{_path(session.session_id)}/status", timeout_s)
        return reply if isinstance(reply, Fault) else pairing_of(reply, self._secrets(instance))

    async def renew_pairing(
        self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float
    ) -> PairingCode | Fault:
        """A new code. The Node service closes the session for it and opens it again, and reports the code.

        So it is asked for only where the session is held, and not of one that is connected.
        """
        until = _now() + timeout_s
        held = await self._held(instance, session.session_id, until)
        if isinstance(held, Fault):
            return held
        if held.status is SessionStatus.CONNECTED:
            return Fault(Phase.REQUEST_REJECTED, "the session is connected; there is nothing to pair")
        path = f"{_path(session.session_id)}/regenerate-qr"
        about = _about(session) | ({"phone_number": session.typed_for} if session.typed_for else {})
        reply = await self._tell("POST", instance, path, about, session.epoch, until - _now())
        return reply if isinstance(reply, Fault) else pairing_of(reply, self._secrets(instance))

    # --- what several of them need --------------------------------------------------------------------------

    async def _held(self, instance: InstanceUrl, session_id: SessionId, until: float) -> ListedSession | Fault:
        """The session as this instance holds it, SESSION_NOT_FOUND if it does not.

        Where there are no epochs the status alone is not believed: the Node service keeps it apart from the sessions
        that it really has open, and only those are in its list.
        """
        held = await self.session(instance, session_id, timeout_s=until - _now())
        if isinstance(held, Fault) or held.epoch is not None:
            return held
        return await self._listed(instance, session_id, until)

    async def _listed(self, instance: InstanceUrl, session_id: SessionId, until: float) -> ListedSession | Fault:
        """The session as the list has it: what is open is there, whatever else the service has noted."""
        listed = await self._list(instance, until - _now())
        if isinstance(listed, Fault):
            return listed
        nowhere = Fault(Phase.SESSION_NOT_FOUND, "the instance does not list it; nothing was sent")
        return listed.sessions.get(session_id, nowhere)

    async def _list(self, instance: InstanceUrl, timeout_s: float) -> SessionList | Fault:
        reply = await self._get(instance, "/api/sessions", timeout_s, self._list_limit_bytes)
        if isinstance(reply, Fault):
            return reply
        return await unhurried(reply, partial(sessions_of, instance))

    async def _get(
        self, instance: InstanceUrl, path: str, timeout_s: float, body_limit_bytes: int = MIB
    ) -> Reply | Fault:
        key = self._key(instance)
        headers = _key_header(key)
        in_query = not headers or instance not in self._read_header
        reply = await self._wire.call(
            "GET",
            instance,
            f"{path}?api_key={quote(key, safe='')}" if in_query else path,
            headers=headers,
            timeout_s=timeout_s,
            body_limit_bytes=body_limit_bytes,
        )
        return self._whole(instance, reply)

    async def _tell(
        self,
        method: str,
        instance: InstanceUrl,
        path: str,
        told: Mapping[str, Any],
        epoch: Epoch,
        timeout_s: float,
        *,
        done: range = _DONE,
    ) -> Reply | Fault:
        key = self._key(instance)
        headers = {"Content-Type": "application/json", **_key_header(key), **_epoch_header(epoch)}
        try:
            body = _encode({**told, "api_key": key})
        except UnicodeEncodeError:
            return Fault(Phase.REQUEST_REJECTED, "the text holds half a character, which no JSON can carry")
        reply = await self._wire.call(method, instance, path, body=body, headers=headers, timeout_s=timeout_s)
        return self._whole(instance, reply, done)

    def _one(self, instance: InstanceUrl, reply: Reply | Fault, session_id: SessionId) -> ListedSession | Fault:
        if isinstance(reply, Fault):
            return reply
        return one_session_of(reply, session_id, self._secrets(instance))

    def _whole(self, instance: InstanceUrl, reply: Reply | Fault, done: range = _DONE) -> Reply | Fault:
        """An answer whose status says that it was done as it is, any other as the fault that it means."""
        if isinstance(reply, Fault) or reply.status in done:
            return reply
        return fault_of(reply, self._secrets(instance))

    def _note_kind(self, instance: InstanceUrl, health: InstanceHealth | Fault) -> None:
        """Another gateway may come to answer at the same address, or an older one of ours."""
        if isinstance(health, InstanceHealth) and health.key_header == _KEY_HEADER:
            self._read_header.add(instance)
        else:
            self._read_header.discard(instance)

    def _key(self, instance: InstanceUrl) -> str:
        return self._api_keys.get(instance, self._default_api_key)

    def _secrets(self, instance: InstanceUrl) -> tuple[str, ...]:
        return (self._key(instance),)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _is_unknown_path(fault: Fault) -> bool:
    """The service itself says that it knows no such call: nothing was done."""
    return fault.phase is Phase.PATH_NOT_FOUND and fault.detail.startswith(_NO_SUCH_PATH_WORDS)


def _path(session_id: SessionId) -> str:
    return f"/api/sessions/{quote(session_id, safe='')}"


def _about(session: SessionStart) -> dict[str, Any]:
    return {"workspace_id": session.workspace_id, "account_id": session.account_id}


def _wanted(session: SessionStart) -> dict[str, Any]:
    """Our instance takes the next epoch itself where none was granted, and wants none named then."""
    named = {"epoch": session.epoch} if session.epoch > NEVER_GRANTED else {}
    return {"session_id": session.session_id, **_about(session), **named}


def _key_header(key: str) -> dict[str, str]:
    """A key that no header can carry is left to the query and the body."""
    return {_KEY_HEADER: key} if key and key.isascii() and key.isprintable() else {}


def _epoch_header(epoch: Epoch) -> dict[str, str]:
    """Our instance takes the next epoch itself where none was granted, and wants none named then."""
    return {EPOCH_HEADER: str(epoch)} if epoch > NEVER_GRANTED else {}
