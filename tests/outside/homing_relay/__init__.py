"""A driver for Relay, a gateway that exists nowhere else: what somebody else's package brings to Homing."""

from collections.abc import Mapping, Sequence

from homing.drivers import reading
from homing.drivers.calling import GatewayDriver, now_s, quoted
from homing.drivers.http.wire import Reply
from homing.model.fleet import Capabilities, InstanceUrl, ListedSession, Listing, SessionId, SessionStatus
from homing.model.instances.gateways import Traits
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Receipt
from homing.ports import InstanceHealth, OutgoingText, PairingCode, SessionStart
from homing_relay.reports import RelayReports

STATUSES = {
    "online": SessionStatus.CONNECTED,
    "booting": SessionStatus.STARTING,
    "scan": SessionStatus.PAIRING,
    "offline": SessionStatus.DISCONNECTED,
    "closed": SessionStatus.STOPPED,
}


class RelayDriver(GatewayDriver):
    """Relay keeps the login of a session that is closed, on its own disk."""

    family = "relay"
    title = "Relay"
    base = Capabilities(stop_keeps_login=True)
    checked = ("1.0", "1.4")
    reports = RelayReports()
    traits = Traits(
        title,
        checked=checked,
        logins="Relay keeps its logins on its own disk",
        would_help="storage that several Relays share (homing instances set URL --storage NAME)",
    )

    def key_headers(self, key: str) -> Mapping[str, str]:
        return {"X-Relay-Key": key} if key else {}

    def fault_of(self, reply: Reply, secrets: Sequence[str]) -> Fault:
        """409 comes before Relay asks its engine; a 500 may come after the message left."""
        words = reading.told_words(reply)
        match reply.status:
            case 404 if words == "no such line":
                phase = Phase.SESSION_NOT_FOUND
            case 409:
                phase = Phase.SESSION_NOT_READY
            case status:
                phase = reading.plain_phase(status, refused=Phase.REQUEST_REJECTED)
        return reading.fault(reply, phase, words, secrets)

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        reply = await self.ask(instance, "/alive", now_s() + timeout_s)
        if isinstance(reply, Fault):
            return reply
        told = reading.told_by(reply.body)
        return InstanceHealth(self.base, version=reading.name_in(told.get("version")))

    async def listed(self, instance: InstanceUrl, until: float) -> Listing | Fault:
        reply = await self.ask(instance, "/lines", until)
        if isinstance(reply, Fault):
            return reply
        rows = reading.told_by(reply.body).get("lines")
        if not isinstance(rows, list):
            return reading.malformed(reply, "the answer to a list was not a list of lines")
        return reading.list_of(instance, reply, rows, row_of)

    async def one(self, instance: InstanceUrl, session_id: SessionId, until: float) -> ListedSession | Fault:
        reply = await self.ask(instance, f"/lines/{quoted(session_id)}", until)
        if isinstance(reply, Fault):
            return reply
        row = row_of(reading.said_by(reply.body))
        return row[0] if row else reading.malformed(reply, "the answer about a line named none")

    async def send(self, instance: InstanceUrl, message: OutgoingText, *, timeout_s: float) -> Receipt | Fault:
        told = {"to": message.recipient_phone, "text": message.text}
        path = f"/lines/{quoted(message.session_id)}/texts"
        reply = await self.tell("POST", instance, path, told, now_s() + timeout_s)
        if isinstance(reply, Fault):
            return reply
        message_id = reading.id_of(reading.told_by(reply.body).get("ticket"))
        if message_id is None:
            return reading.malformed(reply, f"a {reply.status} without a ticket", self.secrets(instance))
        return Receipt(message_id, 0)

    async def open_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> ListedSession | Fault:
        reply = await self.tell("PUT", instance, f"/lines/{quoted(session.session_id)}", {}, until)
        return reply if isinstance(reply, Fault) else ListedSession(session.session_id, SessionStatus.STARTING)

    async def close_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> Fault | None:
        reply = await self.tell("POST", instance, f"/lines/{quoted(session.session_id)}/close", {}, until)
        return reply if isinstance(reply, Fault) else None

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode | Fault:
        reply = await self.ask(instance, f"/lines/{quoted(session.session_id)}", now_s() + timeout_s)
        if isinstance(reply, Fault):
            return reply
        return PairingCode(reading.code_in(reading.told_by(reply.body).get("code")), None, 20)


def row_of(said: object) -> reading.Row | None:
    name, word = reading.name_in(reading.part(said, "name")), reading.part(said, "state")
    if name is None:
        return None
    status = STATUSES.get(word, SessionStatus.UNKNOWN) if isinstance(word, str) else SessionStatus.UNKNOWN
    phone = reading.phone_of(reading.part(said, "number"))
    return ListedSession(SessionId(name), status, phone, surely_unlinked=status is SessionStatus.PAIRING), ""
