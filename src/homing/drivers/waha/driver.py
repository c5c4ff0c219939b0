"""Speaks to WAHA. Its paths are the same from 2024.10 on; Core before 2026.6 has one session only, called `default`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from homing.drivers import reading
from homing.drivers.calling import CODE_IS_GOOD_FOR_S, LIST_LIMIT_BYTES, GatewayDriver, left_s, now_s, quoted
from homing.drivers.checking import checked_of
from homing.drivers.contents import Told
from homing.drivers.histories import HISTORY_BYTES, history_of
from homing.drivers.http.wire import Reply
from homing.drivers.libraries.whatsapp_web_reports import seen_of
from homing.drivers.reporting import chat_in_id
from homing.drivers.values import measure_in
from homing.drivers.waha import answers, messages
from homing.drivers.waha.reports import WahaReports
from homing.drivers.waha.webhooks import WahaWebhooks
from homing.model.fleet import Capabilities, InstanceUrl, ListedSession, SessionId, SessionList, SessionStatus
from homing.model.instances.gateways import Traits
from homing.model.sends.addresses import Address
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.history import HISTORY_MAX, ChatHistory
from homing.model.sends.inbound import FileStream, InboundFile
from homing.model.sends.sending import Receipt
from homing.model.sends.signs import ChatSign
from homing.ports import InstanceHealth, NumberChecked, OutgoingText, PairingCode, SessionStart


class WahaDriver(GatewayDriver):
    """A stop keeps the login, on WAHA's own disk or in its own database: no other instance is told to open it."""

    family = "waha"
    title = "WAHA"
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
    checked = ("2024.10", "2026.7")
    reports = WahaReports()
    traits = Traits(
        title,
        checked=checked,
        starts_per_min=6,
        logins="WAHA keeps its logins on its own disk or in its own database, and nothing there refuses a second one",
        would_help="storage that several WAHA share (homing instances set URL --storage NAME), and the word that the"
        " lost one exited (homing exited URL)",
    )

    @property
    def webhooks(self) -> WahaWebhooks:
        return WahaWebhooks(self)

    def key_headers(self, key: str) -> Mapping[str, str]:
        return {"X-Api-Key": key} if key else {}

    def fault_of(self, reply: Reply, secrets: Sequence[str]) -> Fault:
        return answers.fault_of(reply, secrets)

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        """By its server status, which every edition has. One that refuses our key is up all the same."""
        until = now_s() + timeout_s
        reply = await self.ask(instance, "/api/server/status", until)
        if isinstance(reply, Fault):
            return InstanceHealth(self.base) if reply.phase is Phase.UNAUTHORISED else reply
        uptime_ms = measure_in(reading.part(reading.said_by(reply.body), "uptime"))
        if uptime_ms is None:
            return reading.malformed(reply, "the answer about its status told no uptime")
        version = await self.version_of(instance, until)
        return InstanceHealth(
            self.base,
            version=version,
            uptime_s=uptime_ms / 1000,
            unchecked=self.unchecked(version),
            says_at=reading.clock_of(reply),
        )

    async def told_version(self, instance: InstanceUrl, until: float) -> str | None:
        reply = await self.ask(instance, "/api/server/version", until)
        said = None if isinstance(reply, Fault) else reading.said_by(reply.body)
        return reading.name_in(reading.part(said, "version"))

    async def listed(self, instance: InstanceUrl, until: float) -> SessionList | Fault:
        """What runs there. Stopped sessions are in the list too if `all` is asked for, which is not done."""
        reply = await self.ask(instance, "/api/sessions", until, body_limit_bytes=LIST_LIMIT_BYTES)
        if isinstance(reply, Fault):
            return reply
        return await reading.unhurried(reply, partial(answers.sessions_of, instance))

    async def one(self, instance: InstanceUrl, session_id: SessionId, until: float) -> ListedSession | Fault:
        """A session that calls itself working is asked deeper: what its engine says of itself, and as whom it is logged
        in. Without an answer to that its own word stands."""
        path = f"/api/sessions/{quoted(session_id)}"
        reply = await self.ask(instance, path, until)
        row = self._row(instance, reply, session_id)
        if isinstance(reply, Fault) or isinstance(row, Fault) or not row.can_send:
            return row
        if answers.is_engine_dead(reply):
            return replace(row, status=SessionStatus.DISCONNECTED)
        me = await self.ask(instance, f"{path}/me", until)
        dead = not isinstance(me, Fault) and answers.is_nobody(me)
        return replace(row, status=SessionStatus.DISCONNECTED) if dead else row

    async def send(self, instance: InstanceUrl, message: OutgoingText, *, timeout_s: float) -> Receipt | Fault:
        reply = await self.say(instance, message, messages.told_of, now_s() + timeout_s)
        return reply if isinstance(reply, Fault) else answers.receipt_of(reply, self.secrets(instance))

    def sign_as_told(self, session_id: SessionId, sign: ChatSign) -> Told | None:
        return messages.sign_of(session_id, sign)

    async def check_number(
        self, instance: InstanceUrl, session_id: SessionId, digits: str, *, timeout_s: float
    ) -> NumberChecked | Fault:
        """`{"numberExists", "chatId"}` (OpenAPI 2026.7.1, WANumberExistResult)."""
        path = f"/api/contacts/check-exists?phone={quoted(digits)}&session={quoted(session_id)}"
        reply = await self.ask(instance, path, now_s() + timeout_s)
        if isinstance(reply, Fault):
            return reply
        told = reading.told_by(reply.body)
        return checked_of(reply, told.get("numberExists"), told.get("chatId"), self.secrets(instance))

    async def history(
        self, instance: InstanceUrl, session_id: SessionId, chat: Address, *, timeout_s: float
    ) -> ChatHistory | Fault:
        """A list of messages, newest first (src/api/chats.controller.ts, 2025). NOWEB has one only where its store is
        switched on in the session's configuration, and says no otherwise."""
        jid = quoted(chat.jid(messages.PHONES_AT))
        path = f"/api/{quoted(session_id)}/chats/{jid}/messages?limit={HISTORY_MAX}&downloadMedia=false"
        reply = await self.ask(instance, path, now_s() + timeout_s, body_limit_bytes=HISTORY_BYTES)
        if isinstance(reply, Fault):
            return reply
        return history_of(reply, reading.said_by(reply.body), seen_of, self.secrets(instance))

    @asynccontextmanager
    async def file(
        self, instance: InstanceUrl, session_id: SessionId, file: InboundFile, *, most_bytes: int, timeout_s: float
    ) -> AsyncIterator[FileStream | Fault]:
        """At the path that it told, on its own address. It deletes files after some minutes (WHATSAPP_FILES_LIFETIME);
        then it is asked to have the message's once more (GET …/messages/{id}?downloadMedia=true, waha-docs)."""
        until = now_s() + timeout_s
        told = answers.file_path(file.url)
        if told is not None:
            async with self.plain_file(instance, told, most_bytes=most_bytes, until=until) as answer:
                if not isinstance(answer, Fault) or answer.phase is not Phase.PATH_NOT_FOUND:
                    yield answer
                    return
        again = await self._file_again(instance, session_id, file, until)
        if isinstance(again, Fault):
            yield again
            return
        async with self.plain_file(instance, again, most_bytes=most_bytes, until=until) as answer:
            yield answer

    async def _file_again(
        self, instance: InstanceUrl, session_id: SessionId, file: InboundFile, until: float
    ) -> str | Fault:
        """The path of the file, after WAHA has taken it from WhatsApp once more."""
        chat = chat_in_id(file.message_id) or file.chat
        if chat is None:
            return self.cannot("find a message without its chat")
        message = f"/api/{quoted(session_id)}/chats/{quoted(chat)}/messages/{quoted(file.message_id)}"
        reply = await self.ask(instance, f"{message}?downloadMedia=true", until)
        if isinstance(reply, Fault):
            return reply
        path = answers.file_path(reading.part(reading.said_by(reply.body), "media", "url"))
        return path or Fault(Phase.PATH_NOT_FOUND, "it keeps the file at another address than its own")

    async def open_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> ListedSession | Fault:
        """Start what is stopped, and create what is not known."""
        fault = await self._outfitted(instance, session, until)
        if fault is not None and fault.phase is not Phase.SESSION_NOT_FOUND:
            return fault
        answer = await self._told(instance, session, "start", until)
        if not isinstance(answer, Fault):
            return answer
        if answer.phase is Phase.SESSION_NOT_FOUND:
            told = {"name": session.session_id, "start": True, **_with_proxy(session, {})}
            hidden = [session.proxy.password] if session.proxy is not None else []
            reply = await self.tell("POST", instance, "/api/sessions", told, until, hidden=hidden)
            return self._row(instance, reply, session.session_id)
        if answers.ALREADY_STARTED_WORDS in answer.detail:
            return await self.one(instance, session.session_id, until)
        return answer

    async def close_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> Fault | None:
        """It takes 3 s with WEBJS and 13 s with NOWEB."""
        answer = await self._told(instance, session, "stop", until)
        return answer if isinstance(answer, Fault) else None

    async def restart_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> ListedSession | Fault:
        fault = await self._outfitted(instance, session, until)
        return fault or await self._told(instance, session, "restart", until)

    async def logout(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        answer = await self._told(instance, session, "logout", now_s() + timeout_s)
        return answer if isinstance(answer, Fault) else None

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode | Fault:
        """The code in use. It is asked for only while there is one: otherwise WAHA waits 5 s for it."""
        until = now_s() + timeout_s
        row = await self.one(instance, session.session_id, until)
        if isinstance(row, Fault):
            return row
        if row.status is not SessionStatus.PAIRING:
            return PairingCode(None, None, 0, connected=row.can_send)
        reply = await self.ask(instance, f"/api/{quoted(session.session_id)}/auth/qr?format=raw", until)
        if isinstance(reply, Fault):
            return reply
        code = reading.code_in(reading.part(reading.said_by(reply.body), "value"))
        return PairingCode(code, None, CODE_IS_GOOD_FOR_S)

    async def renewed(self, instance: InstanceUrl, session: SessionStart, until: float) -> PairingCode | Fault:
        """WAHA renews its codes by itself; a session that failed shows none before it is restarted."""
        row = await self.one(instance, session.session_id, until)
        if isinstance(row, Fault):
            return row
        if row.status is not SessionStatus.PAIRING:
            opened = await self.restart(instance, session, timeout_s=left_s(until))
            if isinstance(opened, Fault):
                return opened
        return await self.code_within(instance, session, until)

    async def _outfitted(self, instance: InstanceUrl, session: SessionStart, until: float) -> Fault | None:
        """Its configuration names its proxy, which WAHA keeps for every later start of its own."""
        if session.proxy is None:
            return None
        path = f"/api/sessions/{quoted(session.session_id)}"
        reply = await self.ask(instance, path, until)
        if isinstance(reply, Fault):
            return reply
        said = reading.part(reading.said_by(reply.body), "config")
        config = said if isinstance(said, dict) else {}
        wanted = _with_proxy(session, config)
        if wanted["config"] == config:
            return None
        body = {"name": session.session_id, **wanted}
        told = await self.tell("PUT", instance, path, body, until, hidden=[session.proxy.password])
        return told if isinstance(told, Fault) else None

    async def _told(
        self, instance: InstanceUrl, session: SessionStart, what: str, until: float
    ) -> ListedSession | Fault:
        path = f"/api/sessions/{quoted(session.session_id)}/{what}"
        return self._row(instance, await self.tell("POST", instance, path, {}, until), session.session_id)

    def _row(self, instance: InstanceUrl, reply: Reply | Fault, session_id: SessionId) -> ListedSession | Fault:
        return reply if isinstance(reply, Fault) else answers.session_of(reply, session_id, self.secrets(instance))


def _with_proxy(session: SessionStart, config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with the session's proxy (OpenAPI 2026.7.1, ProxyConfig); nothing where it has none."""
    proxy = session.proxy
    if proxy is None:
        return {}
    told = {"server": f"{proxy.host}:{proxy.port}" if proxy.scheme == "http" else proxy.server}
    login = {} if proxy.username is None else {"username": proxy.username, "password": proxy.password or ""}
    return {"config": {**config, "proxy": told | login}}
