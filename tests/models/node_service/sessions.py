"""The service's sessions (managers/SessionManager.js): clients, the browsers under them, and what it notes of each.

`_sessions` and `_noted` are two maps, as there: a second create of the same id overwrites the first client in the map
and leaves it running on the same login.
"""

import asyncio
import itertools
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.models.node_service import qr
from tests.models.node_service.judge import Judge
from tests.models.node_service.logins import Logins, Use
from tests.models.node_service.reports import Reports

QR_LIVES_S = 60


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take, in seconds. The defaults are short; the real ones are beside them."""

    browser: float = 0.3
    """Until a browser is up, which a create waits for (0.3 with the engine stubbed, more than 10 in earnest)."""
    login: float = 0.0
    """From there until a paired login is authenticated; restoring waits for it before it goes on."""
    ready: float = 0.5
    """From authenticated to connected (2.7)."""
    qr_every: float = 20.0
    """How often WhatsApp makes a new code."""
    reconnect: float = 5.0
    """How soon a client that lost its page is opened again."""


class NotHeld(Exception):
    """The session is not in the service's memory."""


class NotConnected(Exception):
    """The session is held, and cannot send."""


class EngineError(Exception):
    """What the browser threw."""


@dataclass(slots=True)
class Noted:
    """What the service notes of a session; fields that were never set are left out of its answers."""

    workspace_id: int
    status: str = "qr_scanning"
    phone_number: str | None = None
    connected_at: str | None = None
    last_activity: str = field(default_factory=lambda: moment())

    def row(self) -> dict[str, Any]:
        at = {} if self.connected_at is None else {"connected_at": self.connected_at}
        return {"status": self.status, "phone_number": self.phone_number, **at}


@dataclass(slots=True, eq=False)
class Client:
    """One whatsapp-web.js client: a browser on a login."""

    session_id: str
    workspace_id: int
    use: Use
    state: str = "opening"
    paired: asyncio.Event = field(default_factory=asyncio.Event)
    up: asyncio.Event = field(default_factory=asyncio.Event)
    life: "asyncio.Task[None] | None" = None


class Sessions:
    """All sessions of one process."""

    def __init__(self, pace: Pace, logins: Logins, reports: Reports, judge: Judge) -> None:
        self._pace, self._logins, self._reports, self._judge = pace, logins, reports, judge
        self._sessions: dict[str, Client] = {}
        self._noted: dict[str, Noted] = {}
        self._clients: set[Client] = set()
        self._numbers = itertools.count(1)
        self._later: set[asyncio.Task[None]] = set()

    # --- looking --------------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """The list's rows: what is in memory."""
        rows = []
        for session_id in self._sessions:
            noted = self._noted[session_id]
            rows.append({"session_id": session_id, "workspace_id": noted.workspace_id, **noted.row()})
        return rows

    def status(self, session_id: str) -> dict[str, Any]:
        """The answer about one. Raises NotHeld."""
        if session_id not in self._noted:
            raise NotHeld
        noted = self._noted[session_id]
        row = noted.row()
        connected_at = {"connected_at": row.pop("connected_at")} if "connected_at" in row else {}
        about = {"session_id": session_id, **row, "workspace_id": noted.workspace_id}
        return {**about, **connected_at, "last_activity": noted.last_activity}

    def count(self, connected: bool) -> int:
        return sum((self._noted[each].status == "connected") == connected for each in self._sessions)

    # --- opening and closing --------------------------------------------------------------------------------

    async def create(self, session_id: str, workspace_id: int, by: str = "create") -> dict[str, Any]:
        """Answers when the browser is up, whatever was there before."""
        paired = self._logins.phone(session_id) is not None
        use = self._logins.open(session_id, paired)
        client = Client(session_id, workspace_id, use)
        self._sessions[session_id] = client
        before = self._noted.get(session_id)
        self._noted[session_id] = Noted(workspace_id)
        self._clients.add(client)
        self._judge.note("client_opened", session_id, by=by, paired=paired, while_noted=before and before.status)
        client.life = asyncio.create_task(self._live(client))
        await client.up.wait()
        return {"success": True, "session_id": session_id, "status": "qr_scanning"}

    async def restored(self, session_id: str, workspace_id: int) -> None:
        """Opened at boot; returns when the next one may be."""
        await self.create(session_id, workspace_id, by="restore")
        if self._logins.phone(session_id) is not None:
            await asyncio.sleep(self._pace.login)

    async def disconnect(self, session_id: str, by: str) -> bool:
        """Destroys the client in memory, keeping its login. Without one, deletes the login's folder and says false."""
        client = self._sessions.pop(session_id, None)
        self._noted.pop(session_id, None)
        if client is None:
            self._logins.delete(session_id)
            return False
        self._destroy(client, by)
        return True

    async def again(self, session_id: str, workspace_id: int, by: str) -> dict[str, Any]:
        """reconnectSession and regenerateQR: disconnect, then create. Raises NotHeld."""
        if session_id not in self._sessions:
            raise NotHeld
        await self.disconnect(session_id, by)
        return await self.create(session_id, workspace_id, by)

    def _destroy(self, client: Client, by: str) -> None:
        if client.state in ("opening", "pairing") and self._logins.phone(client.session_id) is None:
            self._judge.note("pairing_disturbed", client.session_id, by=by, codes_shown=client.state == "pairing")
        client.state = "gone"
        self._clients.discard(client)
        if client.life is not None:
            client.life.cancel()
        client.use.end()

    # --- the life of a client -------------------------------------------------------------------------------

    async def _live(self, client: Client) -> None:
        await asyncio.sleep(self._pace.browser)
        client.up.set()
        if self._logins.phone(client.session_id) is not None:
            await asyncio.sleep(self._pace.login)
        else:
            await self._show_codes(client)
        await self._log_in(client)

    async def _show_codes(self, client: Client) -> None:
        client.state = "pairing"
        for count in itertools.count(1):
            self._note(client, "qr_scanning")
            code = qr.data_url(f"2@{secrets.token_urlsafe(160)}")
            more = {"qr_code": code, "expires_in": QR_LIVES_S, "qr_count": count, "is_regeneration": False}
            self._report(client, "qr_code_generated", **more)
            try:
                async with asyncio.timeout(self._pace.qr_every):
                    await client.paired.wait()
                return
            except TimeoutError:
                continue

    async def _log_in(self, client: Client) -> None:
        client.state = "authenticated"
        self._note(client, "authenticated")
        self._report(client, "session_authenticated", status="authenticated")
        await asyncio.sleep(self._pace.ready)
        client.state = "connected"
        phone = self._logins.phone(client.session_id)
        self._note(client, "connected")
        noted = self._noted.get(client.session_id)
        if noted is not None:
            noted.phone_number, noted.connected_at = phone, moment()
        self._judge.note("connected", client.session_id)
        ready = {"status": "connected", "platform": "android", "extraction_method": "client.info.wid"}
        self._report(client, "session_ready", phone_number=phone, **ready)

    def _note(self, client: Client, status: str) -> None:
        noted = self._noted.get(client.session_id)
        if noted is not None:
            noted.status = status
            if status != "connected":
                noted.last_activity = moment()

    def _report(self, client: Client, event: str, **data: Any) -> None:
        self._reports.post(event, workspace_id=client.workspace_id, session_id=client.session_id, **data)

    # --- messages -------------------------------------------------------------------------------------------

    def ready(self, session_id: str) -> None:
        """Raises NotHeld, NotConnected."""
        if session_id not in self._sessions:
            raise NotHeld
        if self._noted[session_id].status != "connected":
            raise NotConnected

    def send(self, session_id: str, digits: str, text: str) -> tuple[str, int]:
        """The id and the Unix second of a message that reached its recipient."""
        client = self._sessions[session_id]
        self._noted[session_id].last_activity = moment()
        message_id, at = f"true_{digits}@c.us_3EB0{secrets.token_hex(8).upper()}", int(time.time())
        self._judge.note("sent", session_id, to=digits, text=text, message_id=message_id)
        task = asyncio.create_task(self._tell_of(client, digits, text, message_id, at))
        self._later.add(task)
        task.add_done_callback(self._later.discard)
        return message_id, at

    async def _tell_of(self, client: Client, digits: str, text: str, message_id: str, at: int) -> None:
        chat = f"{digits}@c.us"
        message = {"id": message_id, "from": chat, "to": chat, "body": text, "timestamp": at, "type": "chat"}
        message |= {"has_media": False, "status": "pending", "from_me": True, "chat_type": "private"}
        self._report(client, "message_sent", message=message, source="message_create_event")
        for level, status in enumerate(("pending", "sent", "delivered"), start=1):
            await asyncio.sleep(0.03)
            acked = {"message_id": message_id, "status": status, "ack_level": level, "timestamp": at}
            self._report(client, "message_status_updated", **acked)
        self._report(client, "message_delivered", message_id=message_id, recipient=chat, timestamp=at)

    # --- what the phone and the network do ------------------------------------------------------------------

    def scan(self, session_id: str, phone: str) -> None:
        """The phone scans the newest code. Raises NotHeld where no code is shown."""
        client = self._sessions.get(session_id)
        if client is None or client.state != "pairing":
            raise NotHeld
        self._logins.pair(session_id, phone)
        self._judge.note("paired", session_id, phone=phone)
        client.paired.set()

    def log_out(self, session_id: str) -> None:
        """The phone removes the device: the session stays in memory, disconnected for ever. Raises NotHeld."""
        client = self._held(session_id)
        self._end_of_page(client, "LOGOUT")
        self._logins.unpair(session_id)
        self._judge.note("logged_out", session_id)

    def navigate(self, session_id: str) -> None:
        """The page goes elsewhere; the service opens it again by itself. Raises NotHeld."""
        client = self._held(session_id)
        self._end_of_page(client, "NAVIGATION")
        client.life = asyncio.create_task(self._come_back(client))

    def receive(self, session_id: str, sender: str, text: str) -> None:
        """Somebody writes to the session. Raises NotHeld."""
        client, at = self._held(session_id), int(time.time())
        to = f"{self._logins.phone(session_id)}@c.us"
        message = {"id": f"false_{sender}@c.us_3EB0{secrets.token_hex(8).upper()}", "from": f"{sender}@c.us", "to": to}
        message |= {"body": text, "timestamp": at, "from_me": False, "type": "chat", "has_media": False}
        self._report(client, "message_received", message={**message, "chat_type": "private"})

    def _held(self, session_id: str) -> Client:
        if session_id not in self._sessions:
            raise NotHeld
        return self._sessions[session_id]

    def _end_of_page(self, client: Client, reason: str) -> None:
        if client.life is not None:
            client.life.cancel()
        client.state = "disconnected"
        noted = self._noted[client.session_id]
        noted.status = "disconnected"
        self._report(client, "session_disconnected", reason=reason)

    async def _come_back(self, client: Client) -> None:
        await asyncio.sleep(self._pace.reconnect)
        self._report(client, "session_reconnected", status="reconnected", timestamp=moment())
        await asyncio.sleep(0.1)
        await self._log_in(client)


def moment() -> str:
    """Now, as JavaScript writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
