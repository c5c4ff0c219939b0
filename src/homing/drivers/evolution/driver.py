"""Speaks to Evolution API v2. It cannot stop a session without logging it out, so nothing that it has is moved."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from homing.drivers import reading
from homing.drivers.calling import CODE_IS_GOOD_FOR_S, LIST_LIMIT_BYTES, GatewayDriver, now_s, quoted
from homing.drivers.checking import checked_of, the_one_in
from homing.drivers.contents import Told
from homing.drivers.evolution import answers, messages
from homing.drivers.evolution.reports import EvolutionReports
from homing.drivers.evolution.webhooks import EvolutionWebhooks
from homing.drivers.files import bare_id_of
from homing.drivers.histories import HISTORY_BYTES, history_of
from homing.drivers.http.wire import Reply
from homing.model.fleet import Capabilities, InstanceUrl, ListedSession, SessionId, SessionList, SessionStatus
from homing.model.instances.gateways import Traits
from homing.model.sends.addresses import Address
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.history import HISTORY_MAX, ChatHistory
from homing.model.sends.inbound import FileStream, InboundFile
from homing.model.sends.sending import Receipt
from homing.model.sends.signs import ChatSign
from homing.ports import InstanceHealth, NumberChecked, OutgoingText, PairingCode, SessionStart

_ENGINE = "WHATSAPP-BAILEYS"
_CLOSED = (SessionStatus.DISCONNECTED, SessionStatus.LOGGED_OUT)
_MEANT = {
    SessionStatus.STARTING: SessionStatus.PAIRING,
    SessionStatus.DISCONNECTED: SessionStatus.LOGGED_OUT,
}
"""What a state may mean more exactly, by the session's row."""


class EvolutionDriver(GatewayDriver):
    """The Signal keys of its sessions are on its own disk, unless it is set up with Redis: nothing is shared."""

    family = "evolution"
    title = "Evolution API"
    base = Capabilities(
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
    checked = ("2.3.6", "2.3.7")
    reports = EvolutionReports()
    traits = Traits(
        title,
        checked=checked,
        logins="Evolution keeps Signal keys on its own disk, and cannot close a session without logging it out",
        would_help="bring its process up again on its own disk: it restores its sessions by itself",
        reconnects=True,
    )

    @property
    def webhooks(self) -> EvolutionWebhooks:
        return EvolutionWebhooks(self)

    def key_headers(self, key: str) -> Mapping[str, str]:
        return {"apikey": key} if key else {}

    def fault_of(self, reply: Reply, secrets: Sequence[str]) -> Fault:
        return answers.fault_of(reply, secrets)

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        """Any answer of its own to `/health`, which 2.3 does not have. Its root asks the internet, and may be slow."""
        until = now_s() + timeout_s
        reply = await self.ask(instance, "/health", until)
        if isinstance(reply, Fault) and not _is_its_own(reply):
            return reply
        version = await self.version_of(instance, until)
        return InstanceHealth(
            self.base, version=version, unchecked=self.unchecked(version), says_at=reading.clock_of(reply)
        )

    async def told_version(self, instance: InstanceUrl, until: float) -> str | None:
        reply = await self.ask(instance, "/", until)
        said = None if isinstance(reply, Fault) else reading.said_by(reply.body)
        return reading.name_in(reading.part(said, "version"))

    async def listed(self, instance: InstanceUrl, until: float) -> SessionList | Fault:
        """The rows of its database that are this server's (`DATABASE_CONNECTION_CLIENT_NAME`)."""
        reply = await self.ask(instance, "/instance/fetchInstances", until, body_limit_bytes=LIST_LIMIT_BYTES)
        if isinstance(reply, Fault):
            return reply
        return await reading.unhurried(reply, partial(answers.sessions_of, instance))

    async def one(self, instance: InstanceUrl, session_id: SessionId, until: float) -> ListedSession | Fault:
        """By the state in its memory; whether one that is not connected shows a code is in its row."""
        reply = await self.ask(instance, f"/instance/connectionState/{quoted(session_id)}", until)
        state = reply if isinstance(reply, Fault) else answers.state_of(reply, session_id, self.secrets(instance))
        if isinstance(state, Fault) or state.status not in _MEANT:
            return state
        row = await self._row(instance, session_id, until)
        return row if not isinstance(row, Fault) and row.status is _MEANT[state.status] else state

    async def send(self, instance: InstanceUrl, message: OutgoingText, *, timeout_s: float) -> Receipt | Fault:
        reply = await self.say(instance, message, messages.told_of, now_s() + timeout_s)
        return reply if isinstance(reply, Fault) else answers.receipt_of(reply, self.secrets(instance))

    def sign_as_told(self, session_id: SessionId, sign: ChatSign) -> Told | None:
        return messages.sign_of(session_id, sign)

    async def check_number(
        self, instance: InstanceUrl, session_id: SessionId, digits: str, *, timeout_s: float
    ) -> NumberChecked | Fault:
        """A list with one row, `{"exists", "jid", "number"}` (chat.controller.ts, 2.3.7)."""
        path = f"/chat/whatsappNumbers/{quoted(session_id)}"
        reply = await self.tell("POST", instance, path, {"numbers": [digits]}, now_s() + timeout_s)
        if isinstance(reply, Fault):
            return reply
        row = the_one_in(reading.said_by(reply.body))
        return checked_of(reply, reading.part(row, "exists"), reading.part(row, "jid"), self.secrets(instance))

    async def history(
        self, instance: InstanceUrl, session_id: SessionId, chat: Address, *, timeout_s: float
    ) -> ChatHistory | Fault:
        """`{"messages": {"records"}}`, out of its database, into which it writes a message after it went out, if
        it is set to keep them (src/api/services/channel.service.ts, 2.3)."""
        key = {"remoteJid": chat.jid(messages.PHONES_AT), "fromMe": True}
        told = {"where": {"key": key}, "page": 1, "offset": HISTORY_MAX}
        path = f"/chat/findMessages/{quoted(session_id)}"
        reply = await self.tell("POST", instance, path, told, now_s() + timeout_s, body_limit_bytes=HISTORY_BYTES)
        if isinstance(reply, Fault):
            return reply
        rows = reading.part(reading.said_by(reply.body), "messages", "records")
        return history_of(reply, rows, answers.seen_of, self.secrets(instance))

    @asynccontextmanager
    async def file(
        self, instance: InstanceUrl, session_id: SessionId, file: InboundFile, *, most_bytes: int, timeout_s: float
    ) -> AsyncIterator[FileStream | Fault]:
        """`{"base64"}`, made of the message that its database has (chat.router.ts, 2.3)."""
        told = {"message": {"key": {"id": bare_id_of(file.message_id)}}, "convertToMp4": False}
        path, until = f"/chat/getBase64FromMediaMessage/{quoted(session_id)}", now_s() + timeout_s
        fetching = self.file_in_json("POST", instance, path, told, "base64", most_bytes=most_bytes, until=until)
        async with fetching as answer:
            yield answer

    async def start(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession | Fault:
        """One that is not known is created; one that is there and closed is connected, and may show a code."""
        until = now_s() + timeout_s
        row = await super().start(instance, session, timeout_s=timeout_s)
        if isinstance(row, Fault) or row.status not in _CLOSED:
            return row
        if (fault := await self._outfitted(instance, session, until)) is not None:
            return fault
        code = await self._code(instance, session, until)
        if isinstance(code, Fault):
            return code
        status = SessionStatus.CONNECTED if code.connected else SessionStatus.PAIRING if code.qr else row.status
        return ListedSession(session.session_id, status, row.phone, surely_unlinked=status is SessionStatus.PAIRING)

    async def open_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> ListedSession | Fault:
        told = {"instanceName": session.session_id, "integration": _ENGINE, "qrcode": True, **_created_with(session)}
        hidden = [session.proxy.password] if session.proxy is not None else []
        reply = await self.tell("POST", instance, "/instance/create", told, until, hidden=hidden)
        if isinstance(reply, Fault):
            return reply
        return answers.state_of(reply, session.session_id, self.secrets(instance))

    async def restart_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> ListedSession | Fault:
        """Its connection is renewed; it reads its proxy anew then (whatsapp.baileys.service.ts, 2.3.7)."""
        if (fault := await self._outfitted(instance, session, until)) is not None:
            return fault
        path = f"/instance/restart/{quoted(session.session_id)}"
        reply = await self.tell("POST", instance, path, None, until)
        if isinstance(reply, Fault):
            return reply
        said = reading.told_by(reply.body)
        if said.get("error") is True:
            return reading.fault(reply, Phase.REQUEST_REJECTED, reading.told_words(reply), self.secrets(instance))
        return answers.state_of(reply, session.session_id, self.secrets(instance))

    async def logout(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        path = f"/instance/logout/{quoted(session.session_id)}"
        reply = await self.tell("DELETE", instance, path, None, now_s() + timeout_s)
        return reply if isinstance(reply, Fault) else None

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode | Fault:
        """The code in use. Asked of a session that is closed, Evolution would connect it: so that is not asked."""
        until = now_s() + timeout_s
        row = await self.one(instance, session.session_id, until)
        if isinstance(row, Fault):
            return row
        if row.status not in (SessionStatus.STARTING, SessionStatus.PAIRING):
            return PairingCode(None, None, 0, connected=row.can_send)
        return await self._code(instance, session, until)

    async def renewed(self, instance: InstanceUrl, session: SessionStart, until: float) -> PairingCode | Fault:
        """Connects a session that is closed: then it shows one."""
        fault = await self._outfitted(instance, session, until)
        return fault or await self._code(instance, session, until)

    async def _outfitted(self, instance: InstanceUrl, session: SessionStart, until: float) -> Fault | None:
        """Its proxy is set. Evolution goes out by it once, and refuses one that does not work (400, 2.3.7)."""
        proxy = session.proxy
        if proxy is None:
            return None
        login = {} if proxy.username is None else {"username": proxy.username, "password": proxy.password or ""}
        told = {"enabled": True, "host": proxy.host, "port": str(proxy.port), "protocol": proxy.scheme, **login}
        path = f"/proxy/set/{quoted(session.session_id)}"
        reply = await self.tell("POST", instance, path, told, until, hidden=[proxy.password])
        return reply if isinstance(reply, Fault) else None

    async def _code(self, instance: InstanceUrl, session: SessionStart, until: float) -> PairingCode | Fault:
        reply = await self.ask(instance, f"/instance/connect/{quoted(session.session_id)}", until)
        if isinstance(reply, Fault):
            return reply
        said = reading.told_by(reply.body)
        qr, code = reading.code_in(said.get("code")), reading.name_in(said.get("pairingCode"))
        connected = reading.part(said, "instance", "state") == "open"
        return PairingCode(qr, code, CODE_IS_GOOD_FOR_S, connected=connected)

    async def _row(self, instance: InstanceUrl, session_id: SessionId, until: float) -> ListedSession | Fault:
        path = f"/instance/fetchInstances?instanceName={quoted(session_id)}"
        reply = await self.ask(instance, path, until)
        if isinstance(reply, Fault):
            return reply
        said = reading.said_by(reply.body)
        listed = reading.list_of(instance, reply, said if isinstance(said, list) else [], answers.row_of)
        row = None if isinstance(listed, Fault) else listed.sessions.get(session_id)
        return row or reading.malformed(reply, "the list by name did not name it")


def _created_with(session: SessionStart) -> dict[str, str]:
    """The proxy that a new session is made with."""
    proxy = session.proxy
    if proxy is None:
        return {}
    told = {"proxyHost": proxy.host, "proxyPort": str(proxy.port), "proxyProtocol": proxy.scheme}
    login = {} if proxy.username is None else {"proxyUsername": proxy.username, "proxyPassword": proxy.password or ""}
    return told | login


def _is_its_own(fault: Fault) -> bool:
    """Whether Evolution itself answered: with a 404 in its own words, or because it has no licence."""
    return fault.detail.startswith("Cannot GET /health") or fault.phase in (Phase.UNAUTHORISED, Phase.UNLICENSED)
