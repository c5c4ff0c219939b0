"""Speaks to WPPConnect Server. Our key is its SECRET_KEY, from which it makes a token for each session.

Never called: `/unhealthy`, which ends its process, and `start-all`, which starts everything whatever key is shown.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from homing.drivers import reading
from homing.drivers.calling import CODE_IS_GOOD_FOR_S, LIST_LIMIT_BYTES, GatewayDriver, now_s, quoted, unsent
from homing.drivers.checking import checked_of
from homing.drivers.contents import Told, Unsendable
from homing.drivers.histories import history_of
from homing.drivers.http.wire import Reply
from homing.drivers.libraries.whatsapp_web_reports import seen_of
from homing.drivers.values import measure_in
from homing.drivers.wppconnect import answers, messages
from homing.drivers.wppconnect.reports import WppconnectReports
from homing.drivers.wppconnect.webhooks import WppconnectWebhooks
from homing.model.fleet import Capabilities, InstanceUrl, ListedSession, Listing, SessionId, SessionStatus
from homing.model.instances.gateways import Traits
from homing.model.sends.addresses import Address
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.history import HISTORY_MAX, ChatHistory
from homing.model.sends.inbound import FileStream, InboundFile
from homing.model.sends.sending import Receipt
from homing.model.sends.signs import ChatSign
from homing.ports import InstanceHealth, NumberChecked, OutgoingText, PairingCode, SessionStart

_PHONE_IS_GOOD_FOR_S = 300.0
_TOKENS = 100_000


class WppconnectDriver(GatewayDriver):
    """A stop keeps the login in the browser's profile on its own disk."""

    family = "wppconnect"
    title = "WPPConnect Server"
    base = Capabilities(
        stop_keeps_login=True,
        sends=messages.SENDS,
        reaches=messages.REACHES,
        quotes=messages.QUOTES,
        mentions=messages.MENTIONS,
        check_numbers=True,
        read_history=True,
        fetch_files=True,
        mark_read=True,
        show_typing=True,
        takes_proxy=True,
    )
    checked = ("2.10.4", "2.10.4")
    reports = WppconnectReports()
    traits = Traits(
        title,
        checked=checked,
        starts_per_min=6,
        logins="WPPConnect keeps the browser's profile on its own disk, and two that open one fight over it",
        would_help="storage that several of them share (homing instances set URL --storage NAME), and the word that the"
        " lost one exited, its browsers too (homing exited URL)",
    )

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._tokens: dict[tuple[InstanceUrl, SessionId], str] = {}
        self._webhooks = WppconnectWebhooks(self)
        self._phones: dict[tuple[InstanceUrl, SessionId], tuple[str | None, float]] = {}

    @property
    def webhooks(self) -> WppconnectWebhooks:
        return self._webhooks

    def key_headers(self, key: str) -> Mapping[str, str]:  # noqa: ARG002
        """The key itself goes into the path of the few calls that take it; the others show the session's token."""
        return {}

    def fault_of(self, reply: Reply, secrets: Sequence[str]) -> Fault:
        return answers.fault_of(reply, secrets)

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        reply = await self.ask(instance, "/healthz", now_s() + timeout_s)
        if isinstance(reply, Fault):
            return reply
        uptime_s = measure_in(reading.told_by(reply.body).get("uptime"))
        if uptime_s is None:
            return reading.malformed(reply, "the answer about its health told no uptime")
        return InstanceHealth(self.base, uptime_s=uptime_s, says_at=reading.clock_of(reply))

    async def listed(self, instance: InstanceUrl, until: float) -> Listing | Fault:
        """Its list is of the names that it has tokens of, whether they run or not."""
        if not self.key(instance):
            return self._no_key()
        path = f"/api/{quoted(self.key(instance))}/show-all-sessions"
        reply = await self.ask(instance, path, until, body_limit_bytes=LIST_LIMIT_BYTES)
        if isinstance(reply, Fault):
            return reply
        names = answers.names_of(reply)
        return names if isinstance(names, Fault) else await self.listed_by_name(instance, reply, names, until)

    async def one(self, instance: InstanceUrl, session_id: SessionId, until: float) -> ListedSession | Fault:
        """Its status stays `CONNECTED` when the browser is dead: only the check of the connection tells."""
        reply = await self._session_call("GET", instance, session_id, "status-session", None, until)
        row = reply if isinstance(reply, Fault) else answers.session_of(reply, session_id, self.secrets(instance))
        if isinstance(row, Fault) or not row.can_send:
            return row
        checked = await self._session_call("GET", instance, session_id, "check-connection-session", None, until)
        if isinstance(checked, Fault):
            return checked
        if reading.told_by(checked.body).get("status") is not True:
            self._phones.pop((instance, session_id), None)
            return replace(row, status=SessionStatus.DISCONNECTED)
        return replace(row, phone=await self._phone(instance, session_id, until))

    async def send(self, instance: InstanceUrl, message: OutgoingText, *, timeout_s: float) -> Receipt | Fault:
        until = now_s() + timeout_s
        try:
            told = messages.told_of(message)
        except Unsendable as error:
            return self.cannot(f"send it: {error}; nothing was sent")
        reply = await self._session_call("POST", instance, message.session_id, told.path, told.body, until)
        return reply if isinstance(reply, Fault) else answers.receipt_of(reply, self.secrets(instance))

    def sign_as_told(self, session_id: SessionId, sign: ChatSign) -> Told | None:  # noqa: ARG002
        return messages.sign_of(sign)

    async def shown(self, instance: InstanceUrl, session_id: SessionId, told: Told, until: float) -> Reply | Fault:
        return await self._session_call("POST", instance, session_id, told.path, told.body, until)

    async def check_number(
        self, instance: InstanceUrl, session_id: SessionId, digits: str, *, timeout_s: float
    ) -> NumberChecked | Fault:
        """`{"response": {"id", "numberExists"}}`, `false` too where WhatsApp could not be asked (deviceController.ts,
        2.10). Its own check before a send answers 400 and goes on (statusConnection.ts): see `answers`."""
        what = f"check-number-status/{quoted(digits)}"
        reply = await self._session_call("GET", instance, session_id, what, None, now_s() + timeout_s)
        if isinstance(reply, Fault):
            return reply
        told = reading.part(reading.said_by(reply.body), "response")
        jid = reading.part(told, "id", "_serialized")
        return checked_of(reply, reading.part(told, "numberExists"), jid, self.secrets(instance))

    async def history(
        self, instance: InstanceUrl, session_id: SessionId, chat: Address, *, timeout_s: float
    ) -> ChatHistory | Fault:
        """`{"response": [...]}`, as WhatsApp Web has them; 401 for whatever goes wrong there (deviceController.ts,
        2.10)."""
        what = f"get-messages/{quoted(chat.jid(messages.PHONES_AT))}?count={HISTORY_MAX}"
        reply = await self._session_call("GET", instance, session_id, what, None, now_s() + timeout_s)
        if isinstance(reply, Fault):
            return reply
        return history_of(reply, reading.told_by(reply.body).get("response"), seen_of, self.secrets(instance))

    @asynccontextmanager
    async def file(
        self, instance: InstanceUrl, session_id: SessionId, file: InboundFile, *, most_bytes: int, timeout_s: float
    ) -> AsyncIterator[FileStream | Fault]:
        """`{"base64", "mimetype"}` (sessionController.ts, 2.10)."""
        until = now_s() + timeout_s
        token = await self._token(instance, session_id, until)
        if isinstance(token, Fault):
            yield token
            return
        path = f"/api/{quoted(session_id)}/get-media-by-message/{quoted(file.message_id)}"
        bearer = {"Authorization": f"Bearer {token}"}
        fetching = self.file_in_json(
            "GET", instance, path, None, "base64", headers=bearer, most_bytes=most_bytes, until=until
        )
        async with fetching as answer:
            if isinstance(answer, Fault) and answer.phase is Phase.UNAUTHORISED:
                self._tokens.pop((instance, session_id), None)
            yield answer

    async def open_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> ListedSession | Fault:
        told = {"waitQrCode": False, **self._webhooks.at_start(instance, session.session_id), **_with_proxy(session)}
        hidden = [session.proxy.password] if session.proxy is not None else []
        reply = await self._session_call("POST", instance, session.session_id, "start-session", told, until, hidden)
        if isinstance(reply, Fault):
            return reply
        row = answers.session_of(reply, session.session_id, self.secrets(instance))
        came_up = isinstance(row, ListedSession) or row.phase is not Phase.SESSION_NOT_FOUND
        return row if came_up else ListedSession(session.session_id, SessionStatus.STARTING)

    async def close_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> Fault | None:
        reply = await self._session_call("POST", instance, session.session_id, "close-session", {}, until)
        return reply if isinstance(reply, Fault) else None

    async def restart_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> ListedSession | Fault:
        return await self.close_one(instance, session, until) or await self.open_one(instance, session, until)

    async def logout(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        until = now_s() + timeout_s
        reply = await self._session_call("POST", instance, session.session_id, "logout-session", {}, until)
        return reply if isinstance(reply, Fault) else None

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode | Fault:
        """Its status goes on showing the last code after that was scanned."""
        until = now_s() + timeout_s
        reply = await self._session_call("GET", instance, session.session_id, "status-session", None, until)
        if isinstance(reply, Fault):
            return reply
        row = answers.session_of(reply, session.session_id, self.secrets(instance))
        if isinstance(row, Fault):
            return row
        if row.status is not SessionStatus.PAIRING:
            return PairingCode(None, None, 0, connected=row.can_send)
        told = reading.told_by(reply.body)
        qr = reading.code_in(told.get("urlcode")) or reading.code_in(told.get("qrcode"))
        return PairingCode(qr, None, CODE_IS_GOOD_FOR_S)

    async def _phone(self, instance: InstanceUrl, session_id: SessionId, until: float) -> str | None:
        """The phone that is linked, asked for once in a while (src/controller/deviceController.ts, 2.10: `response` is
        its address); None as long as it is not told."""
        known = self._phones.get((instance, session_id))
        if known is not None and now_s() < known[1]:
            return known[0]
        reply = await self._session_call("GET", instance, session_id, "get-phone-number", None, until)
        phone = None if isinstance(reply, Fault) else reading.phone_of(reading.told_by(reply.body).get("response"))
        if len(self._phones) >= _TOKENS:
            self._phones.clear()
        if phone is not None:
            self._phones[instance, session_id] = phone, now_s() + _PHONE_IS_GOOD_FOR_S
        return phone

    # --- its tokens ---------------------------------------------------------------------------------------------

    async def _session_call(
        self,
        method: str,
        instance: InstanceUrl,
        session_id: SessionId,
        what: str,
        told: Mapping[str, Any] | None,
        until: float,
        hidden: Sequence[str | None] = (),
    ) -> Reply | Fault:
        """A call for one session, with its token. One that is refused is asked for anew the next time."""
        token = await self._token(instance, session_id, until)
        if isinstance(token, Fault):
            return unsent(token)
        path = f"/api/{quoted(session_id)}/{what}"
        bearer = {"Authorization": f"Bearer {token}"}
        reply = await (
            self.ask(instance, path, until, headers=bearer)
            if method == "GET"
            else self.tell(method, instance, path, told, until, headers=bearer, hidden=hidden)
        )
        if isinstance(reply, Fault) and reply.phase is Phase.UNAUTHORISED:
            self._tokens.pop((instance, session_id), None)
        return reply

    def _no_key(self) -> Fault:
        return Fault(Phase.UNAUTHORISED, f"{self.title} is asked with its SECRET_KEY, and no API key is set for it")

    async def _token(self, instance: InstanceUrl, session_id: SessionId, until: float) -> str | Fault:
        known = self._tokens.get((instance, session_id))
        if known is not None:
            return known
        if not self.key(instance):
            return self._no_key()
        path = f"/api/{quoted(session_id)}/{quoted(self.key(instance))}/generate-token"
        reply = await self.tell("POST", instance, path, {}, until)
        if isinstance(reply, Fault):
            return reply
        token = reading.name_in(reading.told_by(reply.body).get("token"))
        if token is None or not (token.isascii() and token.isprintable()):
            return Fault(Phase.UNAVAILABLE, "it made no token for the session; nothing was sent", reply.status)
        if len(self._tokens) >= _TOKENS:
            self._tokens.clear()
        self._tokens[instance, session_id] = token
        return token


def _with_proxy(session: SessionStart) -> Mapping[str, Any]:
    """The proxy that a start is told (createSessionUtil.ts, 2.10.4)."""
    proxy = session.proxy
    if proxy is None:
        return {}
    login = {} if proxy.username is None else {"username": proxy.username, "password": proxy.password or ""}
    return {"proxy": {"url": proxy.server, **login}}
