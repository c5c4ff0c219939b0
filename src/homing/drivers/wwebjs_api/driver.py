"""Speaks to wwebjs-api, which starts, stops and ends sessions by GET. Its names are letters, digits and hyphens."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from homing.drivers import reading
from homing.drivers.calling import CODE_IS_GOOD_FOR_S, LIST_LIMIT_BYTES, GatewayDriver, left_s, now_s, quoted
from homing.drivers.checking import checked_of
from homing.drivers.contents import Told
from homing.drivers.files import bare_id_of
from homing.drivers.histories import HISTORY_BYTES, history_of
from homing.drivers.http.wire import Reply
from homing.drivers.libraries.whatsapp_web_reports import seen_of
from homing.drivers.reporting import chat_in_id
from homing.drivers.wwebjs_api import answers, messages
from homing.drivers.wwebjs_api.reports import WwebjsApiReports
from homing.model.fleet import Capabilities, InstanceUrl, ListedSession, Listing, SessionId, SessionStatus
from homing.model.instances.gateways import Traits
from homing.model.sends.addresses import Address
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.history import HISTORY_MAX, ChatHistory
from homing.model.sends.inbound import FileStream, InboundFile
from homing.model.sends.sending import Receipt
from homing.model.sends.signs import ChatSign
from homing.ports import InstanceHealth, NumberChecked, OutgoingText, PairingCode, SessionStart


class WwebjsApiDriver(GatewayDriver):
    """A stop keeps the login in the browser's profile on its own disk.

    It answers that a session is stopped after 10 s even if the browser still runs, so it proves nothing to others.
    """

    family = "wwebjs-api"
    title = "wwebjs-api"
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
    )
    checked = ("1.0.0", "1.0.0")
    reports = WwebjsApiReports()
    traits = Traits(
        title,
        checked=checked,
        starts_per_min=6,
        logins="wwebjs-api keeps the browser's profile on its own disk, and a browser may outlive its process",
        would_help="storage that several of them share (homing instances set URL --storage NAME), and the word that the"
        " lost one exited, its browsers too (homing exited URL)",
    )

    def key_headers(self, key: str) -> Mapping[str, str]:
        return {"x-api-key": key} if key else {}

    def fault_of(self, reply: Reply, secrets: Sequence[str]) -> Fault:
        return answers.fault_of(reply, secrets)

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        """It says neither its version nor for how long it runs."""
        reply = await self.ask(instance, "/ping", now_s() + timeout_s)
        if isinstance(reply, Fault):
            return reply
        if reading.told_by(reply.body).get("message") != "pong":
            return reading.malformed(reply, "the answer to a ping was none")
        return InstanceHealth(self.base, says_at=reading.clock_of(reply))

    async def listed(self, instance: InstanceUrl, until: float) -> Listing | Fault:
        """Its list is of names."""
        reply = await self.ask(instance, "/session/getSessions", until, body_limit_bytes=LIST_LIMIT_BYTES)
        if isinstance(reply, Fault):
            return reply
        names = answers.names_of(reply)
        return names if isinstance(names, Fault) else await self.listed_by_name(instance, reply, names, until)

    async def one(self, instance: InstanceUrl, session_id: SessionId, until: float) -> ListedSession | Fault:
        """One that is not connected may show a code; of one that is, its phone is in the memory of its client."""
        reply = await self.ask(instance, f"/session/status/{quoted(session_id)}", until)
        row = reply if isinstance(reply, Fault) else answers.session_of(reply, session_id, self.secrets(instance))
        if isinstance(row, Fault):
            return row
        if row.can_send:
            return replace(row, phone=await self._phone(instance, session_id, until))
        if row.status is SessionStatus.DISCONNECTED and await self._qr(instance, session_id, until) is not None:
            return replace(row, status=SessionStatus.PAIRING, surely_unlinked=True)
        return row

    async def send(self, instance: InstanceUrl, message: OutgoingText, *, timeout_s: float) -> Receipt | Fault:
        reply = await self.say(instance, message, messages.told_of, now_s() + timeout_s)
        return reply if isinstance(reply, Fault) else answers.receipt_of(reply, self.secrets(instance))

    def sign_as_told(self, session_id: SessionId, sign: ChatSign) -> Told | None:
        return messages.sign_of(session_id, sign)

    async def check_number(
        self, instance: InstanceUrl, session_id: SessionId, digits: str, *, timeout_s: float
    ) -> NumberChecked | Fault:
        """`{"success": true, "result": {"_serialized"}}`; null for a number that is not there (1252893)."""
        path = f"/client/getNumberId/{quoted(session_id)}"
        reply = await self.tell("POST", instance, path, {"number": digits}, now_s() + timeout_s)
        if isinstance(reply, Fault):
            return reply
        told = reading.told_by(reply.body)
        jid = reading.part(told, "result", "_serialized")
        exists = jid is not None if told.get("success") is True and "result" in told else None
        return checked_of(reply, exists, jid, self.secrets(instance))

    async def history(
        self, instance: InstanceUrl, session_id: SessionId, chat: Address, *, timeout_s: float
    ) -> ChatHistory | Fault:
        """`{"success": true, "messages"}`, of those that went out (src/controllers/chatController.js, 1.0.0)."""
        told = {"chatId": chat.jid(messages.PHONES_AT), "searchOptions": {"limit": HISTORY_MAX, "fromMe": True}}
        path = f"/chat/fetchMessages/{quoted(session_id)}"
        reply = await self.tell("POST", instance, path, told, now_s() + timeout_s, body_limit_bytes=HISTORY_BYTES)
        if isinstance(reply, Fault):
            return reply
        return history_of(reply, reading.told_by(reply.body).get("messages"), seen_of, self.secrets(instance))

    @asynccontextmanager
    async def file(
        self, instance: InstanceUrl, session_id: SessionId, file: InboundFile, *, most_bytes: int, timeout_s: float
    ) -> AsyncIterator[FileStream | Fault]:
        """`{"messageMedia": {"data"}}`, of one of the hundred newest messages of its chat (messageController.js)."""
        chat = chat_in_id(file.message_id) or file.chat
        if chat is None:
            yield self.cannot("find a message without its chat")
            return
        told = {"chatId": chat, "messageId": bare_id_of(file.message_id)}
        path, until = f"/message/downloadMedia/{quoted(session_id)}", now_s() + timeout_s
        fetching = self.file_in_json("POST", instance, path, told, "data", most_bytes=most_bytes, until=until)
        async with fetching as answer:
            yield answer

    async def open_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> ListedSession | Fault:
        """One that is there already is refused with 422, and stays as it is."""
        return await self._opened(instance, session, "start", until)

    async def close_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> Fault | None:
        return await self._done(instance, session, "stop", until)

    async def restart_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> ListedSession | Fault:
        return await self._opened(instance, session, "restart", until)

    async def logout(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        """It deletes the login's folder, too."""
        return await self._done(instance, session, "terminate", now_s() + timeout_s)

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode | Fault:
        until = now_s() + timeout_s
        row = await self.one(instance, session.session_id, until)
        if isinstance(row, Fault):
            return row
        qr = None if row.can_send else await self._qr(instance, session.session_id, until)
        return PairingCode(qr, None, CODE_IS_GOOD_FOR_S if qr else 0, connected=row.can_send)

    async def renewed(self, instance: InstanceUrl, session: SessionStart, until: float) -> PairingCode | Fault:
        """Its codes change by themselves; a session that shows none shows one after a restart."""
        code = await self.pairing(instance, session, timeout_s=left_s(until))
        if isinstance(code, Fault) or code.qr is not None:
            return code
        opened = await self.restart_one(instance, session, until)
        return opened if isinstance(opened, Fault) else await self.code_within(instance, session, until)

    async def _opened(
        self, instance: InstanceUrl, session: SessionStart, what: str, until: float
    ) -> ListedSession | Fault:
        """It answers when the browser is up; until WhatsApp is, too, the session is not connected."""
        fault = await self._done(instance, session, what, until)
        if fault is not None:
            return fault
        row = await self.one(instance, session.session_id, until)
        if isinstance(row, Fault) or row.status is not SessionStatus.DISCONNECTED:
            return row
        return replace(row, status=SessionStatus.STARTING)

    async def _done(self, instance: InstanceUrl, session: SessionStart, what: str, until: float) -> Fault | None:
        reply = await self.ask(instance, f"/session/{what}/{quoted(session.session_id)}", until)
        if isinstance(reply, Fault):
            return reply
        if reading.told_by(reply.body).get("success") is not True:
            return reading.fault(reply, Phase.REQUEST_REJECTED, reading.told_words(reply), self.secrets(instance))
        return None

    async def _qr(self, instance: InstanceUrl, session_id: SessionId, until: float) -> str | None:
        reply = await self.ask(instance, f"/session/qr/{quoted(session_id)}", until)
        return None if isinstance(reply, Fault) else reading.code_in(reading.told_by(reply.body).get("qr"))

    async def _phone(self, instance: InstanceUrl, session_id: SessionId, until: float) -> str | None:
        reply = await self.ask(instance, f"/client/getClassInfo/{quoted(session_id)}", until)
        said = None if isinstance(reply, Fault) else reading.said_by(reply.body)
        return reading.phone_of(reading.part(said, "sessionInfo", "wid", "_serialized"))
