"""Speaks to GOWA, whose sessions are devices. Our key is its Basic login, `user:password`.

A second process on one device ends the first one, with all its devices: so nothing that it has is started elsewhere.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from msgspec import structs

from homing.drivers import reading
from homing.drivers.calling import LIST_LIMIT_BYTES, GatewayDriver, now_s, quoted
from homing.drivers.checking import checked_of
from homing.drivers.contents import Told
from homing.drivers.gowa import answers, messages
from homing.drivers.gowa.reports import GowaReports
from homing.drivers.gowa.webhooks import GowaWebhooks
from homing.drivers.histories import HISTORY_BYTES, history_of
from homing.drivers.http.wire import Calls, Reply
from homing.model.fleet import Capabilities, InstanceUrl, ListedSession, SessionId, SessionList, SessionStatus, Takeover
from homing.model.instances.gateways import Traits
from homing.model.sends.addresses import Address
from homing.model.sends.faults import Fault
from homing.model.sends.history import HISTORY_MAX, ChatHistory
from homing.model.sends.inbound import FileStream, InboundFile
from homing.model.sends.sending import Receipt
from homing.model.sends.signs import ChatSign
from homing.ports import InstanceHealth, NumberChecked, OutgoingText, PairingCode, SessionStart


class GowaDriver(GatewayDriver):
    """It has no call that closes a session and keeps its login.

    Its codes are pictures at links of its own, and asking for one begins the linking anew: the one that was asked for
    last is kept as long as it is good, and shown to whoever only looks.
    """

    family = "gowa"
    title = "GOWA"
    base = Capabilities(
        sends=messages.SENDS,
        reaches=messages.REACHES,
        quotes=messages.QUOTES,
        mentions=messages.MENTIONS,
        check_numbers=True,
        read_history=True,
        mark_read=True,
        show_typing=True,
        fetch_files=True,
    )
    checked = ("", "")
    reports = GowaReports()
    traits = Traits(
        title,
        takeover=Takeover.NEVER,
        checked=checked,
        recorded=False,
        logins="a second GOWA on one login ends the first one, with all of its devices",
        would_help="bring its process up again: it opens its devices by itself",
        reconnects=True,
    )

    def __init__(
        self, wire: Calls, *, api_keys: Mapping[InstanceUrl, str] | None = None, default_api_key: str = ""
    ) -> None:
        super().__init__(wire, api_keys=api_keys, default_api_key=default_api_key)
        self._codes: dict[tuple[InstanceUrl, SessionId], tuple[str, float]] = {}
        """The picture of each code, and until when it is good, by the loop's time."""

    @property
    def webhooks(self) -> GowaWebhooks:
        return GowaWebhooks(self)

    def key_headers(self, key: str) -> Mapping[str, str]:
        return {"Authorization": f"Basic {b64encode(key.encode()).decode()}"} if key else {}

    def secrets(self, instance: InstanceUrl) -> tuple[str, ...]:
        key = self.key(instance)
        return (key, key.partition(":")[2])

    def fault_of(self, reply: Reply, secrets: Sequence[str]) -> Fault:
        return answers.fault_of(reply, secrets)

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        """It says that its store is open, and nothing of sessions."""
        reply = await self.ask(instance, "/health", now_s() + timeout_s)
        return reply if isinstance(reply, Fault) else InstanceHealth(self.base, says_at=reading.clock_of(reply))

    async def listed(self, instance: InstanceUrl, until: float) -> SessionList | Fault:
        reply = await self.ask(instance, "/devices", until, body_limit_bytes=LIST_LIMIT_BYTES)
        if isinstance(reply, Fault):
            return reply
        return await reading.unhurried(reply, partial(answers.sessions_of, instance))

    async def one(self, instance: InstanceUrl, session_id: SessionId, until: float) -> ListedSession | Fault:
        reply = await self.ask(instance, f"{_path(session_id)}/status", until)
        return reply if isinstance(reply, Fault) else answers.session_of(reply, session_id)

    async def send(self, instance: InstanceUrl, message: OutgoingText, *, timeout_s: float) -> Receipt | Fault:
        device = {"X-Device-Id": quoted(message.session_id)}

        def written(message: OutgoingText) -> Told:
            return structs.replace(messages.told_of(message), headers=device)

        reply = await self.say(instance, message, written, now_s() + timeout_s)
        return reply if isinstance(reply, Fault) else answers.receipt_of(reply, self.secrets(instance))

    def sign_as_told(self, session_id: SessionId, sign: ChatSign) -> Told | None:
        return messages.sign_of(session_id, sign)

    async def check_number(
        self, instance: InstanceUrl, session_id: SessionId, digits: str, *, timeout_s: float
    ) -> NumberChecked | Fault:
        """`{"results": {"is_on_whatsapp"}}`: under which address it does not say (GET /user/check)."""
        path, device = f"/user/check?phone={quoted(digits)}", {"X-Device-Id": quoted(session_id)}
        reply = await self.ask(instance, path, now_s() + timeout_s, headers=device)
        if isinstance(reply, Fault):
            return reply
        exists = reading.part(reading.said_by(reply.body), "results", "is_on_whatsapp")
        return checked_of(reply, exists, None, self.secrets(instance))

    async def history(
        self, instance: InstanceUrl, session_id: SessionId, chat: Address, *, timeout_s: float
    ) -> ChatHistory | Fault:
        """`{"results": {"data"}}`, out of its own store (src/ui/rest/chat.go, v9): it keeps a message that went out."""
        path = f"/chat/{quoted(chat.jid(messages.PHONES_AT))}/messages?limit={HISTORY_MAX}&is_from_me=true"
        device = {"X-Device-Id": quoted(session_id)}
        reply = await self.ask(instance, path, now_s() + timeout_s, headers=device, body_limit_bytes=HISTORY_BYTES)
        if isinstance(reply, Fault):
            return reply
        rows = reading.part(reading.said_by(reply.body), "results", "data")
        return history_of(reply, rows, answers.seen_of, self.secrets(instance))

    @asynccontextmanager
    async def file(
        self, instance: InstanceUrl, session_id: SessionId, file: InboundFile, *, most_bytes: int, timeout_s: float
    ) -> AsyncIterator[FileStream | Fault]:
        """It takes the file from WhatsApp into a folder that it serves, and tells where (usecase/message.go, v9)."""
        if file.chat is None:
            yield self.cannot("find a message without its chat")
            return
        until, device = now_s() + timeout_s, {"X-Device-Id": quoted(session_id)}
        asked = f"/message/{quoted(file.message_id)}/download?phone={quoted(file.chat)}"
        reply = await self.ask(instance, asked, until, headers=device)
        path = answers.no_file(reply) if isinstance(reply, Fault) else answers.file_path(reply)
        if isinstance(path, Fault):
            yield path
            return
        async with self.plain_file(instance, path, headers=device, most_bytes=most_bytes, until=until) as answer:
            yield answer

    async def open_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> ListedSession | Fault:
        """Makes a device, which shows its code when it is asked for one."""
        reply = await self.tell("POST", instance, "/devices", {"device_id": session.session_id}, until)
        return reply if isinstance(reply, Fault) else ListedSession(session.session_id, SessionStatus.PAIRING)

    async def restart_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> ListedSession | Fault:
        reply = await self.tell("POST", instance, f"{_path(session.session_id)}/reconnect", {}, until)
        return reply if isinstance(reply, Fault) else ListedSession(session.session_id, SessionStatus.STARTING)

    async def logout(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        reply = await self.tell("POST", instance, f"{_path(session.session_id)}/logout", {}, now_s() + timeout_s)
        return reply if isinstance(reply, Fault) else None

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode | Fault:
        """The code that was asked for last."""
        row = await self.one(instance, session.session_id, now_s() + timeout_s)
        if isinstance(row, Fault):
            return row
        picture, good_until = self._codes.get((instance, session.session_id), (None, 0.0))
        left_s = good_until - now_s()
        if row.can_send or picture is None or left_s <= 0:
            self._codes.pop((instance, session.session_id), None)
            return PairingCode(None, None, 0, connected=row.can_send)
        return PairingCode(picture, None, max(1, int(left_s)))

    async def renewed(self, instance: InstanceUrl, session: SessionStart, until: float) -> PairingCode | Fault:
        """`{"results": {"qr_link", "qr_duration"}}`: a picture that is fetched from GOWA itself, wherever the link
        leads."""
        reply = await self.ask(instance, f"{_path(session.session_id)}/login", until)
        link = reply if isinstance(reply, Fault) else answers.link_of(reply)
        if isinstance(link, Fault):
            return link
        reply = await self.ask(instance, link.path, until, body_limit_bytes=answers.PICTURE_BYTES)
        picture = reply if isinstance(reply, Fault) else answers.picture_of(reply)
        if isinstance(picture, Fault):
            return picture
        self._codes[instance, session.session_id] = (picture, now_s() + link.good_for_s)
        return PairingCode(picture, None, link.good_for_s)


def _path(session_id: SessionId) -> str:
    return f"/devices/{quoted(session_id)}"
