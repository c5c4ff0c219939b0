"""The boundary between our ids of sessions and the names that a gateway has for them.

Above it everything speaks of sessions by their ids; the drivers below speak of them as their gateways do.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from msgspec import structs

from homing.model.fleet import Instance, InstanceUrl, ListedSession, Listing, NoList, SessionId, SessionList
from homing.model.instances.native_names import NativeName, names_are_local, place_named, qualified
from homing.model.sends.addresses import Address
from homing.model.sends.faults import Fault
from homing.model.sends.history import ChatHistory
from homing.model.sends.inbound import FileStream, InboundFile
from homing.model.sends.sending import Receipt
from homing.model.sends.signs import ChatSign
from homing.ports import Driver, InstanceHealth, NumberChecked, OutgoingText, PairingCode, SessionStart

Meant = Callable[[Sequence[NativeName], str | None, InstanceUrl], NativeName | None]
"""Which of the sessions that bear one name an instance means, by the phone that it tells of it."""


def recorded_there(named: Sequence[NativeName], _: str | None, url: InstanceUrl) -> NativeName | None:
    """The one that is recorded on the instance, whatever its phone."""
    return next((each for each in named if each.instance_url == url), None)


class NativeNames:
    """All names that are local to a gateway, as the directory has them."""

    def __init__(self, meant: Meant = recorded_there) -> None:
        self._meant = meant
        self._of_session: dict[SessionId, NativeName] = {}
        self._of_name: dict[str, list[NativeName]] = {}
        self._instances: Mapping[InstanceUrl, Instance] = {}

    def know(self, names: Iterable[NativeName], instances: Mapping[InstanceUrl, Instance]) -> None:
        """These are the names and the instances, from now on."""
        self._instances = instances
        self._of_session = {each.session_id: each for each in names}
        self._of_name = {}
        for each in self._of_session.values():
            self._of_name.setdefault(each.native_id, []).append(each)

    def moved(self, session_id: SessionId, url: InstanceUrl | None) -> None:
        """The session is recorded there from now on."""
        known = self._of_session.get(session_id)
        if known is None:
            return
        self._of_session[session_id] = now = replace(known, instance_url=url)
        same = self._of_name[known.native_id]
        self._of_name[known.native_id] = [now if each.session_id == session_id else each for each in same]

    def bearing(self, native_id: str) -> Sequence[NativeName]:
        """The sessions that some gateway calls so."""
        return self._of_name.get(native_id, ())

    def native_of(self, url: InstanceUrl, session_id: SessionId) -> str:
        """What the instance calls the session."""
        known = self._of_session.get(session_id)
        if known is not None:
            return known.native_id
        plain = session_id.removeprefix(f"{self._place(url)}/")
        return plain if plain in self._of_name else session_id

    def session_of(self, url: InstanceUrl, native_id: str, phone: str | None) -> SessionId:
        """Which session the instance means by its name and phone; one that nobody knows is named by its place too, if
        its name alone is another's."""
        named = self._of_name.get(native_id)
        if named is None:
            return SessionId(native_id)
        found = self._meant(named, phone, url)
        return found.session_id if found is not None else qualified(self._place(url), native_id)

    def _place(self, url: InstanceUrl) -> str:
        return place_named(url, self._instances.get(url))


class NamingDriver:
    """`ports.Driver` around one whose gateway names sessions in its own way."""

    def __init__(self, inner: Driver, names: NativeNames) -> None:
        self._inner, self._names = inner, names
        self.family, self.base = inner.family, inner.base
        self.webhooks = getattr(inner, "webhooks", None)
        """In the gateway's own names."""

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        return await self._inner.health(instance, timeout_s=timeout_s)

    async def sessions(self, instance: InstanceUrl, *, timeout_s: float) -> Listing:
        listing = await self._inner.sessions(instance, timeout_s=timeout_s)
        if isinstance(listing, NoList):
            return listing
        named = [self._named(instance, row) for row in listing.sessions.values()]
        return SessionList(listing.instance_url, {row.session_id: row for row in named}, listing.oddities)

    async def session(self, instance: InstanceUrl, session_id: SessionId, *, timeout_s: float) -> ListedSession | Fault:
        native = self._native(instance, session_id)
        row = await self._inner.session(instance, native, timeout_s=timeout_s)
        return row if isinstance(row, Fault) else self._as(session_id, native, row)

    async def send(self, instance: InstanceUrl, message: OutgoingText, *, timeout_s: float) -> Receipt | Fault:
        native = self._native(instance, message.session_id)
        message = message if native == message.session_id else structs.replace(message, session_id=native)
        return await self._inner.send(instance, message, timeout_s=timeout_s)

    async def start(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession | Fault:
        told = self._told(instance, session)
        row = await self._inner.start(instance, told, timeout_s=timeout_s)
        return row if isinstance(row, Fault) else self._as(session.session_id, told.session_id, row)

    async def start_many(
        self, instance: InstanceUrl, sessions: Sequence[SessionStart], *, timeout_s: float
    ) -> Mapping[SessionId, ListedSession | Fault] | Fault:
        ours = {self._native(instance, each.session_id): each.session_id for each in sessions}
        told = [self._told(instance, each) for each in sessions]
        answers = await self._inner.start_many(instance, told, timeout_s=timeout_s)
        if isinstance(answers, Fault):
            return answers
        return {
            ours.get(native, native): row if isinstance(row, Fault) else self._as(ours.get(native, native), native, row)
            for native, row in answers.items()
        }

    async def stop(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        return await self._inner.stop(instance, self._told(instance, session), timeout_s=timeout_s)

    async def restart(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession | Fault:
        told = self._told(instance, session)
        row = await self._inner.restart(instance, told, timeout_s=timeout_s)
        return row if isinstance(row, Fault) else self._as(session.session_id, told.session_id, row)

    async def logout(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        return await self._inner.logout(instance, self._told(instance, session), timeout_s=timeout_s)

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode | Fault:
        return await self._inner.pairing(instance, self._told(instance, session), timeout_s=timeout_s)

    async def renew_pairing(
        self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float
    ) -> PairingCode | Fault:
        return await self._inner.renew_pairing(instance, self._told(instance, session), timeout_s=timeout_s)

    async def check_number(
        self, instance: InstanceUrl, session_id: SessionId, digits: str, *, timeout_s: float
    ) -> NumberChecked | Fault:
        native = self._native(instance, session_id)
        return await self._inner.check_number(instance, native, digits, timeout_s=timeout_s)

    async def show(
        self, instance: InstanceUrl, session_id: SessionId, sign: ChatSign, *, timeout_s: float
    ) -> Fault | None:
        return await self._inner.show(instance, self._native(instance, session_id), sign, timeout_s=timeout_s)

    async def history(
        self, instance: InstanceUrl, session_id: SessionId, chat: Address, *, timeout_s: float
    ) -> ChatHistory | Fault:
        return await self._inner.history(instance, self._native(instance, session_id), chat, timeout_s=timeout_s)

    def file(
        self, instance: InstanceUrl, session_id: SessionId, file: InboundFile, *, most_bytes: int, timeout_s: float
    ) -> AbstractAsyncContextManager[FileStream | Fault]:
        its = self._native(instance, session_id)
        return self._inner.file(instance, its, file, most_bytes=most_bytes, timeout_s=timeout_s)

    def _native(self, instance: InstanceUrl, session_id: SessionId) -> SessionId:
        return SessionId(self._names.native_of(instance, session_id))

    def _told(self, instance: InstanceUrl, session: SessionStart) -> SessionStart:
        native = self._native(instance, session.session_id)
        return session if native == session.session_id else replace(session, session_id=native)

    def _named(self, instance: InstanceUrl, row: ListedSession) -> ListedSession:
        native = row.session_id
        return replace(row, session_id=self._names.session_of(instance, native, row.phone), native_id=native)

    @staticmethod
    def _as(session_id: SessionId, native: SessionId, row: ListedSession) -> ListedSession:
        return replace(row, session_id=session_id, native_id=native)


def by_our_ids(driver: Driver, names: NativeNames) -> Driver:
    """The driver, spoken to by our ids: itself where its family's names hold everywhere."""
    return NamingDriver(driver, names) if names_are_local(driver.family) else driver
