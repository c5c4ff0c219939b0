"""Speaks to baileys-api, which knows its sessions by their phones: a session's id is the phone, `+628…`.

It gives no list and no status. Whether a session is up is seen by asking for its own number.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from homing.drivers import reading
from homing.drivers.baileys_api import answers, messages
from homing.drivers.baileys_api.reports import BaileysApiReports
from homing.drivers.baileys_api.webhooks import BaileysApiWebhooks
from homing.drivers.calling import GatewayDriver, now_s, quoted
from homing.drivers.checking import checked_of, the_one_in
from homing.drivers.contents import Told
from homing.drivers.http.wire import Reply
from homing.model.fleet import Capabilities, InstanceUrl, ListedSession, Listing, NoList, SessionId, SessionStatus
from homing.model.instances.gateways import Traits
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.inbound import FileStream, InboundFile
from homing.model.sends.sending import Receipt
from homing.model.sends.signs import ChatSign
from homing.ports import InstanceHealth, NumberChecked, OutgoingText, SessionStart

_KIND = "s.whatsapp.net"


class BaileysApiDriver(GatewayDriver):
    """Its one call to end a session logs it out. Its login is in its own Redis, and its own cluster moves it."""

    family = "baileys-api"
    title = "baileys-api"
    base = Capabilities(
        sends=messages.SENDS,
        reaches=messages.REACHES,
        quotes=messages.QUOTES,
        mentions=messages.MENTIONS,
        check_numbers=True,
        mark_read=True,
        show_typing=True,
        fetch_files=True,
    )
    checked = ("1.0.0", "1.0.0")
    reports = BaileysApiReports()
    traits = Traits(
        title,
        checked=checked,
        lists=False,
        logins="baileys-api keeps its logins in its own Redis, and its own cluster moves them",
        would_help="a second worker of its cluster on the same Redis: that takes its sessions over",
    )

    @property
    def webhooks(self) -> BaileysApiWebhooks:
        return BaileysApiWebhooks(self)

    def key_headers(self, key: str) -> Mapping[str, str]:
        return {"x-api-key": key} if key else {}

    def fault_of(self, reply: Reply, secrets: Sequence[str]) -> Fault:
        return answers.fault_of(reply, secrets)

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        """One that refuses our key is up all the same."""
        reply = await self.ask(instance, "/status/auth", now_s() + timeout_s)
        refused = isinstance(reply, Fault) and reply.phase is Phase.UNAUTHORISED
        return (
            reply
            if isinstance(reply, Fault) and not refused
            else InstanceHealth(self.base, says_at=reading.clock_of(reply))
        )

    async def listed(self, instance: InstanceUrl, until: float) -> Listing | Fault:
        """It has none to give, which is no fault. A key that it refuses is one."""
        reply = await self.ask(instance, "/status/auth", until)
        return reply if isinstance(reply, Fault) else NoList(instance, "baileys-api gives no list of its sessions")

    async def one(self, instance: InstanceUrl, session_id: SessionId, until: float) -> ListedSession | Fault:
        phone = _phone(session_id)
        if phone is None:
            return Fault(Phase.SESSION_NOT_FOUND, "its sessions are phones, and this is none; nothing was sent")
        reply = await self._on_whatsapp(instance, phone, phone, until)
        if isinstance(reply, Fault) and reply.phase is Phase.SERVER_ERROR:
            return ListedSession(session_id, SessionStatus.DISCONNECTED, error=reply.detail)
        return reply if isinstance(reply, Fault) else ListedSession(session_id, SessionStatus.CONNECTED, phone)

    async def send(self, instance: InstanceUrl, message: OutgoingText, *, timeout_s: float) -> Receipt | Fault:
        phone = _phone(message.session_id)
        if phone is None:
            return Fault(Phase.SESSION_NOT_FOUND, "its sessions are phones, and this is none; nothing was sent")
        path = f"{_path(phone)}/send-message"

        def written(message: OutgoingText) -> Told:
            jid = message.recipient.jid(messages.PHONES_AT)
            return Told(path, {"jid": jid, "messageContent": messages.content_of(message)})

        reply = await self.say(instance, message, written, now_s() + timeout_s)
        return reply if isinstance(reply, Fault) else answers.receipt_of(reply, self.secrets(instance))

    def sign_as_told(self, session_id: SessionId, sign: ChatSign) -> Told | None:
        phone = _phone(session_id)
        return messages.sign_of(_path(phone), sign) if phone is not None else None

    async def check_number(
        self, instance: InstanceUrl, session_id: SessionId, digits: str, *, timeout_s: float
    ) -> NumberChecked | Fault:
        """A list with one row, `{"jid", "exists"}`, as recorded from 1.0.0."""
        phone = _phone(session_id)
        if phone is None:
            return Fault(Phase.SESSION_NOT_FOUND, "its sessions are phones, and this is none; nothing was sent")
        reply = await self._on_whatsapp(instance, phone, digits, now_s() + timeout_s)
        if isinstance(reply, Fault):
            return reply
        row = the_one_in(reading.said_by(reply.body))
        return checked_of(reply, reading.part(row, "exists"), reading.part(row, "jid"), self.secrets(instance))

    @asynccontextmanager
    async def file(
        self,
        instance: InstanceUrl,
        session_id: SessionId,  # noqa: ARG002 - a message's id is enough
        file: InboundFile,
        *,
        most_bytes: int,
        timeout_s: float,
    ) -> AsyncIterator[FileStream | Fault]:
        """It takes each file from WhatsApp as it comes, and keeps it under its message's id (src/controllers/media.ts);
        for how long is its own setting."""
        path, until = f"/media/{quoted(file.message_id)}", now_s() + timeout_s
        async with self.plain_file(instance, path, most_bytes=most_bytes, until=until) as answer:
            yield answer

    async def logout(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        phone = _phone(session.session_id)
        if phone is None:
            return Fault(Phase.SESSION_NOT_FOUND, "its sessions are phones, and this is none; nothing was sent")
        reply = await self.tell("DELETE", instance, _path(phone), None, now_s() + timeout_s)
        return reply if isinstance(reply, Fault) else None

    async def _on_whatsapp(self, instance: InstanceUrl, phone: str, asked: str, until: float) -> Reply | Fault:
        """What the session with this phone sees of a number."""
        told = {"jids": [reading.address_of(asked, _KIND)]}
        return await self.tell("POST", instance, f"{_path(phone)}/on-whatsapp", told, until)


def _phone(session_id: SessionId) -> str | None:
    return reading.phone_of(session_id.removeprefix("+"))


def _path(phone: str) -> str:
    return f"/connections/{quoted('+' + phone)}"
