"""Speaks to wuzapi, whose sessions are users, each with a token of its own. Our key is its WUZAPI_ADMIN_TOKEN.

Its users are asked for by that, and a user's token is remembered until it is refused. Users are not made here: who
makes one chooses its token.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from homing.drivers import reading
from homing.drivers.calling import (
    CODE_IS_GOOD_FOR_S,
    LIST_LIMIT_BYTES,
    GatewayDriver,
    now_s,
    unsent,
)
from homing.drivers.checking import checked_of, the_one_in
from homing.drivers.contents import Told, Unsendable
from homing.drivers.http.wire import Reply
from homing.drivers.wuzapi import answers, messages
from homing.drivers.wuzapi.answers import User
from homing.drivers.wuzapi.reports import WuzapiReports
from homing.drivers.wuzapi.webhooks import WuzapiWebhooks
from homing.model.fleet import Capabilities, InstanceUrl, ListedSession, Listing, SessionId, SessionStatus, Takeover
from homing.model.instances.gateways import Traits
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Receipt
from homing.model.sends.signs import ChatSign
from homing.ports import InstanceHealth, NumberChecked, OutgoingText, PairingCode, SessionStart

_USERS = "/admin/users"


class WuzapiDriver(GatewayDriver):
    """A disconnect keeps the login in its database, where any process with that database would open it."""

    family = "wuzapi"
    title = "wuzapi"
    base = Capabilities(
        stop_keeps_login=True,
        sends=messages.SENDS,
        reaches=messages.REACHES,
        quotes=messages.QUOTES,
        mentions=messages.MENTIONS,
        check_numbers=True,
        mark_read=True,
        show_typing=True,
        takes_proxy=True,
    )
    checked = ("", "")
    reports = WuzapiReports()
    traits = Traits(
        title,
        takeover=Takeover.NEVER,
        checked=checked,
        recorded=False,
        logins="wuzapi opens every login of its database when it starts, so that a second process would double them",
        would_help="bring its process up again: it opens its sessions by itself",
        reconnects=True,
    )

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._users: dict[InstanceUrl, dict[str, User]] = {}

    @property
    def webhooks(self) -> WuzapiWebhooks:
        return WuzapiWebhooks(self, self.as_user)

    def key_headers(self, key: str) -> Mapping[str, str]:
        return {"Authorization": key} if key else {}

    def fault_of(self, reply: Reply, secrets: Sequence[str]) -> Fault:
        return answers.fault_of(reply, secrets)

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        """It has no call for that: that it asks for a token says that it is up."""
        reply = await self.ask(instance, "/session/status", now_s() + timeout_s)
        refused = isinstance(reply, Fault) and reply.phase is Phase.UNAUTHORISED
        return (
            reply
            if isinstance(reply, Fault) and not refused
            else InstanceHealth(self.base, says_at=reading.clock_of(reply))
        )

    async def listed(self, instance: InstanceUrl, until: float) -> Listing | Fault:
        reply = await self.ask(instance, _USERS, until, body_limit_bytes=LIST_LIMIT_BYTES)
        if isinstance(reply, Fault):
            return reply
        users = self._users_of(instance, reply)
        if isinstance(users, Fault):
            return users
        names = [user.name if user is not None else None for user in users]
        return await self.listed_by_name(instance, reply, names, until)

    async def one(self, instance: InstanceUrl, session_id: SessionId, until: float) -> ListedSession | Fault:
        user = await self._user(instance, session_id, until)
        if isinstance(user, Fault):
            return user
        reply = await self._as(user, instance, "GET", "/session/status", None, until)
        if isinstance(reply, Fault) and reply.phase is Phase.SESSION_NOT_READY:
            return ListedSession(session_id, SessionStatus.STOPPED, user.phone)
        return reply if isinstance(reply, Fault) else answers.session_of(reply, user)

    async def send(self, instance: InstanceUrl, message: OutgoingText, *, timeout_s: float) -> Receipt | Fault:
        until = now_s() + timeout_s
        user = await self._user(instance, message.session_id, until)
        if isinstance(user, Fault):
            return unsent(user)
        try:
            told = messages.told_of(message)
        except Unsendable as error:
            return self.cannot(f"send it: {error}; nothing was sent")
        reply = await self._as(user, instance, "POST", told.path, told.body, until)
        return reply if isinstance(reply, Fault) else answers.receipt_of(reply, self.secrets(instance))

    def sign_as_told(self, session_id: SessionId, sign: ChatSign) -> Told | None:  # noqa: ARG002
        return messages.sign_of(sign)

    async def shown(self, instance: InstanceUrl, session_id: SessionId, told: Told, until: float) -> Reply | Fault:
        user = await self._user(instance, session_id, until)
        return user if isinstance(user, Fault) else await self._as(user, instance, "POST", told.path, told.body, until)

    async def check_number(
        self, instance: InstanceUrl, session_id: SessionId, digits: str, *, timeout_s: float
    ) -> NumberChecked | Fault:
        """`{"data": {"Users": [{"IsInWhatsapp", "JID", "Query"}]}}` (handlers.go, CheckUser)."""
        until = now_s() + timeout_s
        user = await self._user(instance, session_id, until)
        if isinstance(user, Fault):
            return user
        reply = await self._as(user, instance, "POST", "/user/check", {"Phone": [digits]}, until)
        if isinstance(reply, Fault):
            return reply
        row = the_one_in(reading.part(answers.data_of(reply), "Users"))
        return checked_of(reply, reading.part(row, "IsInWhatsapp"), reading.part(row, "JID"), self.secrets(instance))

    async def open_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> ListedSession | Fault:
        """Connects with the events that it subscribes to already: a connect without them would drop those."""
        user = await self._user(instance, session.session_id, until)
        if isinstance(user, Fault):
            return user
        if session.proxy is not None:
            # Taken only while it is not connected (handlers.go, SetProxy), and kept for later starts of its own.
            proxied = {"proxy_url": session.proxy.url, "enable": True}
            hidden = [session.proxy.password, session.proxy.url]
            set_ = await self._as(user, instance, "POST", "/session/proxy", proxied, until, hidden)
            if isinstance(set_, Fault):
                return set_
        told = {"Subscribe": list(user.events), "Immediate": True}
        reply = await self._as(user, instance, "POST", "/session/connect", told, until)
        return reply if isinstance(reply, Fault) else ListedSession(session.session_id, SessionStatus.STARTING)

    async def close_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> Fault | None:
        return await self._done(instance, session, "/session/disconnect", until)

    async def restart_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> ListedSession | Fault:
        return await self.close_one(instance, session, until) or await self.open_one(instance, session, until)

    async def logout(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        return await self._done(instance, session, "/session/logout", now_s() + timeout_s)

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode | Fault:
        until = now_s() + timeout_s
        row = await self.one(instance, session.session_id, until)
        if isinstance(row, Fault):
            return row
        user = await self._user(instance, session.session_id, until)
        if isinstance(user, Fault):
            return user
        if row.status is not SessionStatus.PAIRING:
            return PairingCode(None, None, 0, connected=row.can_send)
        reply = await self._as(user, instance, "GET", "/session/qr", None, until)
        if isinstance(reply, Fault):
            return reply
        qr = reading.code_in(reading.part(answers.data_of(reply), "QRCode"))
        return PairingCode(qr, None, CODE_IS_GOOD_FOR_S)

    # --- its users ----------------------------------------------------------------------------------------------

    async def _user(self, instance: InstanceUrl, session_id: SessionId, until: float) -> User | Fault:
        known = self._users.get(instance, {}).get(session_id)
        if known is not None:
            return known
        users = await self._read_users(instance, until)
        if isinstance(users, Fault):
            return users
        return users.get(session_id) or Fault(Phase.SESSION_NOT_FOUND, "it has no user of this name")

    async def _read_users(self, instance: InstanceUrl, until: float) -> dict[str, User] | Fault:
        reply = await self.ask(instance, _USERS, until, body_limit_bytes=LIST_LIMIT_BYTES)
        rows = reply if isinstance(reply, Fault) else self._users_of(instance, reply)
        return rows if isinstance(rows, Fault) else self._users[instance]

    def _users_of(self, instance: InstanceUrl, reply: Reply) -> list[User | None] | Fault:
        users = answers.users_of(reply)
        if not isinstance(users, Fault):
            self._users[instance] = {user.name: user for user in users if user is not None}
        return users

    async def _done(self, instance: InstanceUrl, session: SessionStart, path: str, until: float) -> Fault | None:
        user = await self._user(instance, session.session_id, until)
        if isinstance(user, Fault):
            return user
        reply = await self._as(user, instance, "POST", path, {}, until)
        return reply if isinstance(reply, Fault) else None

    async def as_user(
        self,
        instance: InstanceUrl,
        session_id: SessionId,
        method: str,
        path: str,
        told: Mapping[str, Any] | None,
        until: float,
    ) -> Reply | Fault:
        """A call in the name of the session's user."""
        user = await self._user(instance, session_id, until)
        return user if isinstance(user, Fault) else await self._as(user, instance, method, path, told, until)

    async def _as(
        self,
        user: User,
        instance: InstanceUrl,
        method: str,
        path: str,
        told: Mapping[str, Any] | None,
        until: float,
        hidden: Sequence[str | None] = (),
    ) -> Reply | Fault:
        """A call in the user's name. Where a token is refused its users are read anew: it has another, or is gone."""
        headers = {"token": user.token}
        reply = await (
            self.ask(instance, path, until, headers=headers)
            if method == "GET"
            else self.tell(method, instance, path, told, until, headers=headers, hidden=hidden)
        )
        if not isinstance(reply, Fault) or reply.phase is not Phase.UNAUTHORISED:
            return reply
        users = await self._read_users(instance, until)
        gone = not isinstance(users, Fault) and user.name not in users
        return Fault(Phase.SESSION_NOT_FOUND, "it has no user of this name any more") if gone else reply
