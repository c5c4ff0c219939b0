"""What drivers of most gateway families share: a key in a header, JSON both ways, and never two starts of one session.

A family's driver is a subclass that says how its gateway is asked, and what it means when it says no. What its gateway
cannot do it leaves out, and that is refused here with a sentence.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote
from weakref import WeakValueDictionary

import msgspec
import structlog

from homing.drivers import reading
from homing.drivers.contents import Told, Unsendable, body_of
from homing.drivers.files import Fetches, out_of_json
from homing.drivers.http.wire import MIB, Calls, FetchedReply, Reply, StreamedBody
from homing.drivers.redact import shown
from homing.model.fleet import Capabilities, InstanceUrl, ListedSession, Listing, NoList, SessionId, SessionStatus
from homing.model.instances.gateways import Traits, is_checked
from homing.model.sends.addresses import Address
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.history import ChatHistory
from homing.model.sends.inbound import FileStream, InboundFile
from homing.model.sends.sending import Receipt
from homing.model.sends.signs import ChatSign
from homing.ports import InstanceHealth, NumberChecked, OutgoingText, PairingCode, SessionStart
from homing.ports.instances.reports import FamilyReports, WebhookCalls

LIST_LIMIT_BYTES = 64 * MIB
AT_ONCE = 8
"""Calls to one instance for the sessions of one list, or of one batch of starts."""
_VERSION_IS_GOOD_FOR_S = 300.0
_CODE_EVERY_S = 0.5
_INSTANCES = 10_000
_PROVING = ("auth", "key", "token")
"""Words in the names of headers that show who we are."""
_JSON = {"Content-Type": "application/json"}
_PATIENCE_FOR_ONE_S = 2.0
"""How long one session of a list may keep the others waiting."""
CODE_IS_GOOD_FOR_S = 20
"""WhatsApp's own codes change every 20 s, the first of a series after 60 s."""

log = structlog.get_logger("homing")

T = TypeVar("T")
R = TypeVar("R")


class GatewayDriver(ABC):
    """`ports.Driver` for one family. Keys are by instance, with a default for those that have none of their own.

    A subclass has `family`, `title`, `base`, `checked`, `traits` and perhaps `reports`, and the methods `key_headers`,
    `fault_of`, `health`, `listed`, `one` and `send`; `open_one`, `close_one`, `restart_one`, `logout`, `pairing` and
    `renewed` as far as its gateway can do that.
    """

    family: ClassVar[str]
    title: ClassVar[str]
    """What people call it."""
    base: ClassVar[Capabilities] = Capabilities()
    checked: ClassVar[tuple[str, str]]
    """The oldest and the newest version that the driver was checked against."""
    reports: ClassVar[FamilyReports | None] = None
    """How what it reports by itself is proven and read; None where that is not taken in."""
    traits: ClassVar[Traits]
    """What bounds recovery, beside `base`. Of a family that says nothing of it, `Traits` as they come."""

    def __init__(
        self, wire: Calls, *, api_keys: Mapping[InstanceUrl, str] | None = None, default_api_key: str = ""
    ) -> None:
        self._wire = wire
        self._api_keys = api_keys if api_keys is not None else {}
        self._default_api_key = default_api_key
        self._shown: dict[tuple[object, ...], Mapping[str, str]] = {}
        self._versions: dict[InstanceUrl, tuple[str | None, float]] = {}
        self._starts: WeakValueDictionary[tuple[InstanceUrl, SessionId], asyncio.Lock] = WeakValueDictionary()

    @property
    def webhooks(self) -> WebhookCalls | None:
        """Where its gateways are told to report; None where they cannot be told over their API."""
        return None

    # --- what a family says -------------------------------------------------------------------------------------

    @abstractmethod
    def key_headers(self, key: str) -> Mapping[str, str]:
        """The headers that show the key."""

    @abstractmethod
    def fault_of(self, reply: Reply, secrets: Sequence[str]) -> Fault:
        """The fault that an answer other than 2xx is."""

    @abstractmethod
    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        """What the gateway says of itself, and which version it is where it tells."""

    @abstractmethod
    async def listed(self, instance: InstanceUrl, until: float) -> Listing | Fault:
        """The sessions that the instance has open."""

    @abstractmethod
    async def one(self, instance: InstanceUrl, session_id: SessionId, until: float) -> ListedSession | Fault:
        """One session; SESSION_NOT_FOUND if the instance does not know it."""

    @abstractmethod
    async def send(self, instance: InstanceUrl, message: OutgoingText, *, timeout_s: float) -> Receipt | Fault:
        """Send one text. A receipt only with the id that WhatsApp has the message under."""

    async def open_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> ListedSession | Fault:
        """Open a session that is not open there."""
        return self.cannot("start a session through Homing")

    async def close_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> Fault | None:
        """Close a session that is open there, keeping its login."""
        return self.cannot("stop a session without logging it out; stop its process, or log it out")

    async def restart_one(self, instance: InstanceUrl, session: SessionStart, until: float) -> ListedSession | Fault:
        """Close and open a session that is open there."""
        return self.cannot("restart a session")

    async def logout(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        return self.cannot("log a session out; remove the device in WhatsApp on the phone")

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode | Fault:
        return self.cannot("show a code to scan")

    async def renewed(self, instance: InstanceUrl, session: SessionStart, until: float) -> PairingCode | Fault:
        """A new code of a session that is there and not connected. Most gateways renew theirs by themselves."""
        return await self.pairing(instance, session, timeout_s=left_s(until))

    async def check_number(
        self, instance: InstanceUrl, session_id: SessionId, digits: str, *, timeout_s: float
    ) -> NumberChecked | Fault:
        return self.cannot("tell whether a number is on WhatsApp")

    async def history(
        self, instance: InstanceUrl, session_id: SessionId, chat: Address, *, timeout_s: float
    ) -> ChatHistory | Fault:
        return self.cannot("show the messages of a chat")

    @asynccontextmanager
    async def file(
        self, instance: InstanceUrl, session_id: SessionId, file: InboundFile, *, most_bytes: int, timeout_s: float
    ) -> AsyncIterator[FileStream | Fault]:
        yield self.cannot("give the files of messages out")

    def sign_as_told(self, session_id: SessionId, sign: ChatSign) -> Told | None:
        """The call that shows the sign; None where the family has none."""
        return None

    async def show(
        self, instance: InstanceUrl, session_id: SessionId, sign: ChatSign, *, timeout_s: float
    ) -> Fault | None:
        told = self.sign_as_told(session_id, sign)
        if told is None:
            return self.cannot("show this to a chat; nothing was sent")
        reply = await self.shown(instance, session_id, told, now_s() + timeout_s)
        return reply if isinstance(reply, Fault) else None

    async def shown(self, instance: InstanceUrl, session_id: SessionId, told: Told, until: float) -> Reply | Fault:
        """The call made, as this session's."""
        return await self.tell(told.method, instance, told.path, told.body, until, headers=told.headers)

    # --- what follows from that ---------------------------------------------------------------------------------

    async def sessions(self, instance: InstanceUrl, *, timeout_s: float) -> Listing:
        listed = await self.listed(instance, now_s() + timeout_s)
        return NoList(instance, str(listed), listed) if isinstance(listed, Fault) else listed

    async def session(self, instance: InstanceUrl, session_id: SessionId, *, timeout_s: float) -> ListedSession | Fault:
        return await self.one(instance, session_id, now_s() + timeout_s)

    async def start(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession | Fault:
        """Open the session, unless it is open already: then it answers how it stands."""
        until = now_s() + timeout_s
        alone = self._starts.setdefault((instance, session.session_id), asyncio.Lock())
        try:
            async with asyncio.timeout(timeout_s):
                await alone.acquire()
        except TimeoutError:
            return Fault(Phase.UNAVAILABLE, "another start of the session is under way there; nothing was sent")
        try:
            held = await self.one(instance, session.session_id, until)
            if isinstance(held, ListedSession) and held.status is not SessionStatus.STOPPED:
                return held
            if isinstance(held, Fault) and held.phase is not Phase.SESSION_NOT_FOUND:
                return held
            return await self.open_one(instance, session, until)
        finally:
            alone.release()

    async def start_many(
        self, instance: InstanceUrl, sessions: Sequence[SessionStart], *, timeout_s: float
    ) -> Mapping[SessionId, ListedSession | Fault] | Fault:
        """Each by a call of its own, a few at a time."""
        until = now_s() + timeout_s

        async def start(session: SessionStart) -> ListedSession | Fault:
            return await self.start(instance, session, timeout_s=left_s(until))

        answers = await side_by_side(start, sessions)
        return {session.session_id: answer for session, answer in zip(sessions, answers, strict=True)}

    async def stop(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        """Close the session. SESSION_NOT_FOUND, with nothing sent, if the instance does not hold it."""
        until = now_s() + timeout_s
        held = await self.one(instance, session.session_id, until)
        if isinstance(held, Fault):
            return held
        return None if held.status is SessionStatus.STOPPED else await self.close_one(instance, session, until)

    async def restart(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession | Fault:
        """Close and open the session where it is held; elsewhere nothing is sent."""
        until = now_s() + timeout_s
        held = await self.one(instance, session.session_id, until)
        if isinstance(held, Fault):
            return held
        if held.status is SessionStatus.STOPPED:
            return await self.open_one(instance, session, until)
        return await self.restart_one(instance, session, until)

    async def renew_pairing(
        self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float
    ) -> PairingCode | Fault:
        """A new code, of a session that is held there and not connected."""
        until = now_s() + timeout_s
        held = await self.one(instance, session.session_id, until)
        if isinstance(held, Fault):
            return held
        if held.can_send:
            return Fault(Phase.REQUEST_REJECTED, "the session is connected; there is nothing to pair")
        return await self.renewed(instance, session, until)

    # --- what several of them need ------------------------------------------------------------------------------

    def remembers_with(self, other: "GatewayDriver") -> None:
        """Know the versions that the other one knows, and the other way round: a doubt about one is told once."""
        self._versions = other._versions

    def key(self, instance: InstanceUrl) -> str:
        return self._api_keys.get(instance, self._default_api_key)

    def secrets(self, instance: InstanceUrl) -> tuple[str, ...]:
        """What must not be shown of this instance's answers."""
        return (self.key(instance),)

    def cannot(self, do: str) -> Fault:
        return Fault(Phase.REQUEST_REJECTED, f"{self.title} cannot {do}")

    async def ask(
        self,
        instance: InstanceUrl,
        path: str,
        until: float,
        *,
        headers: Mapping[str, str] | None = None,
        body_limit_bytes: int = MIB,
    ) -> Reply | Fault:
        """A GET. It has no content type: a GET with that of JSON is never answered by some."""
        return await self._call("GET", instance, path, until, headers, None, body_limit_bytes)

    async def tell(
        self,
        method: str,
        instance: InstanceUrl,
        path: str,
        told: Mapping[str, Any] | None,
        until: float,
        *,
        headers: Mapping[str, str] | None = None,
        hidden: Sequence[str | None] = (),
        body_limit_bytes: int = MIB,
    ) -> Reply | Fault:
        """Any other call, with a JSON body if there is something to be told. `hidden` is not shown of its answer."""
        try:
            body = None if told is None else body_of(told)
        except UnicodeEncodeError:
            return _half_a_character()
        return await self._call(method, instance, path, until, headers, body, body_limit_bytes, hidden)

    async def _call(
        self,
        method: str,
        instance: InstanceUrl,
        path: str,
        until: float,
        headers: Mapping[str, str] | None,
        body: bytes | StreamedBody | None,
        body_limit_bytes: int,
        hidden: Sequence[str | None] = (),
    ) -> Reply | Fault:
        sent = self._shown_to(instance, headers, is_typed=body is not None)
        if isinstance(sent, Fault):
            return sent
        reply = await self._wire.call(
            method,
            instance,
            path,
            body=body,
            headers=sent,
            timeout_s=left_s(until),
            body_limit_bytes=body_limit_bytes,
        )
        if isinstance(reply, Fault) or 200 <= reply.status < 300:
            return reply
        unshown = [each for each in hidden if each]
        return self.fault_of(reply, (*self.secrets(instance), *_credentials(sent), *unshown))

    def _shown_to(
        self, instance: InstanceUrl, headers: Mapping[str, str] | None, *, is_typed: bool
    ) -> Mapping[str, str] | Fault:
        """What a call shows of who we are, and the headers of its own. It is written once for each key and session:
        nearly all calls are sends under the same few."""
        key = self.key(instance)
        shows = (key, is_typed, *headers.items()) if headers else (key, is_typed)
        shown = self._shown.get(shows)
        if shown is None:
            shown = {**self.key_headers(key), **(_JSON if is_typed else {}), **(headers or {})}
            if not _can_be_sent(shown):
                words = "our API key holds characters that no header can carry; nothing was sent"
                return Fault(Phase.UNAUTHORISED, words)
            if len(self._shown) >= _INSTANCES:
                self._shown.clear()
            self._shown[shows] = shown
        return shown

    @asynccontextmanager
    async def fetched(
        self,
        method: str,
        instance: InstanceUrl,
        path: str,
        told: Mapping[str, Any] | None,
        *,
        headers: Mapping[str, str] | None = None,
        most_bytes: int,
        until: float,
    ) -> AsyncIterator[FetchedReply | Fault]:
        """A call whose good answer is given out while it comes. It is read only at the instance's own address."""
        if not isinstance(self._wire, Fetches):
            yield self.cannot("give files out over this wire")
            return
        sent = self._shown_to(instance, headers, is_typed=told is not None)
        if isinstance(sent, Fault):
            yield sent
            return
        body = None if told is None else msgspec.json.encode(told)
        async with self._wire.fetch(
            method, instance, path, body=body, headers=sent, timeout_s=left_s(until), body_limit_bytes=most_bytes
        ) as answer:
            if isinstance(answer, Reply):
                yield self.fault_of(answer, (*self.secrets(instance), *_credentials(sent)))
            else:
                yield answer

    @asynccontextmanager
    async def plain_file(
        self,
        instance: InstanceUrl,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        most_bytes: int,
        until: float,
    ) -> AsyncIterator[FileStream | Fault]:
        """A file that an answer is, as it stands."""
        fetching = self.fetched("GET", instance, path, None, headers=headers, most_bytes=most_bytes, until=until)
        async with fetching as answer:
            if isinstance(answer, Fault):
                yield answer
            else:
                length = answer.headers.get("content-length", "")
                yield FileStream(answer.body.pieces, int(length) if length.isdecimal() else None)

    @asynccontextmanager
    async def file_in_json(
        self,
        method: str,
        instance: InstanceUrl,
        path: str,
        told: Mapping[str, Any] | None,
        name: str,
        *,
        headers: Mapping[str, str] | None = None,
        most_bytes: int,
        until: float,
    ) -> AsyncIterator[FileStream | Fault]:
        """A file that an answer has in base64 under this name."""
        as_text = most_bytes * 4 // 3 + MIB
        fetching = self.fetched(method, instance, path, told, headers=headers, most_bytes=as_text, until=until)
        async with fetching as answer:
            if isinstance(answer, Fault):
                yield answer
            else:
                yield FileStream(partial(out_of_json, answer.body.pieces(), name))

    async def say(
        self, instance: InstanceUrl, message: OutgoingText, write: Callable[[OutgoingText], Told], until: float
    ) -> Reply | Fault:
        """The call by which a message is sent, as `write` writes it."""
        try:
            told = write(message)
            body = body_of(told.body)
        except Unsendable as error:
            return Fault(Phase.REQUEST_REJECTED, f"{self.title} cannot send it: {error}; nothing was sent")
        except UnicodeEncodeError:
            return _half_a_character()
        return await self._call(told.method, instance, told.path, until, told.headers, body, MIB)

    async def listed_by_name(
        self, instance: InstanceUrl, reply: Reply, said: Sequence[object], until: float
    ) -> Listing | Fault:
        """The list of a gateway that lists names alone: each session is asked after, and one that hangs is `unknown`.

        A name that the instance does not have open after all is left out.
        """

        async def row(name: str) -> reading.Row | None:
            session_id = SessionId(name)
            found = await self.one(instance, session_id, min(until, now_s() + _PATIENCE_FOR_ONE_S))
            if not isinstance(found, Fault):
                return None if found.status is SessionStatus.STOPPED else (found, "")
            if found.phase is Phase.SESSION_NOT_FOUND:
                return None
            return ListedSession(session_id, SessionStatus.UNKNOWN), f"did not tell how it stands: {found}"

        if len(said) > reading.ROWS_MAX:
            return reading.list_of(instance, reply, said, lambda _: None)
        names = [reading.name_in(each) for each in said]
        rows = await side_by_side(row, [name for name in names if name is not None])
        unnamed: list[reading.Row | None] = [None] * names.count(None)
        return reading.list_of(
            instance, reply, [*(each for each in rows if each is not None), *unnamed], lambda each: each
        )

    async def code_within(self, instance: InstanceUrl, session: SessionStart, until: float) -> PairingCode | Fault:
        """The code of a session that was just opened, as soon as there is one; without one when time is up."""
        while True:
            found = await self.pairing(instance, session, timeout_s=left_s(until))
            if isinstance(found, Fault) or found.qr or found.connected or left_s(until) <= _CODE_EVERY_S:
                return found
            await asyncio.sleep(_CODE_EVERY_S)

    async def version_of(self, instance: InstanceUrl, until: float) -> str | None:
        """Its version, asked once in a while and remembered; None as long as it does not tell."""
        known = self._versions.get(instance)
        if known is None or now_s() >= known[1]:
            patience_s = min(left_s(until) / 2, _PATIENCE_FOR_ONE_S)
            version = await self.told_version(instance, now_s() + patience_s)
            if (doubt := self.unchecked(version)) is not None and (known is None or known[0] != version):
                log.warning("The version of a gateway was not checked", url=instance, reason=doubt)
            if len(self._versions) >= _INSTANCES:
                self._versions.clear()
            known = self._versions[instance] = version, now_s() + _VERSION_IS_GOOD_FOR_S
        return known[0]

    def unchecked(self, version: str | None) -> str | None:
        """What is to be said of a version that this driver was not checked against; None of one that it was."""
        if version is None or is_checked(version, self.checked):
            return None
        oldest, newest = self.checked
        named = oldest if oldest == newest else f"{oldest} to {newest}"
        return f"{self.title} {shown(version)} is not one of the versions that Homing was checked against ({named})"

    async def told_version(self, instance: InstanceUrl, until: float) -> str | None:
        """What it says its version is."""
        return None


_MAY_HAVE_DONE = frozenset({
    Phase.INTERRUPTED, Phase.REPLY_TIMED_OUT, Phase.REPLY_MALFORMED, Phase.PATH_NOT_FOUND, Phase.SERVER_ERROR,
    Phase.BAD_GATEWAY, Phase.GATEWAY_TIMED_OUT, Phase.OUTCOME_UNKNOWN,
})  # fmt: skip


def unsent(fault: Fault) -> Fault:
    """The fault of a call that had to be made before the message could be handed over: nothing was sent."""
    if fault.phase not in _MAY_HAVE_DONE:
        return fault
    return Fault(Phase.UNAVAILABLE, f"{fault}, before the message was handed over", fault.status)


def _half_a_character() -> Fault:
    return Fault(Phase.REQUEST_REJECTED, "the text holds half a character, which no JSON can carry")


def _can_be_sent(headers: Mapping[str, str]) -> bool:
    return all(value.isascii() and value.isprintable() for value in headers.values())


def _credentials(headers: Mapping[str, str]) -> list[str]:
    """What these headers show to prove who we are, with and without the scheme before it."""
    proofs = [value for name, value in headers.items() if any(word in name.lower() for word in _PROVING)]
    return [*proofs, *(proof.rpartition(" ")[2] for proof in proofs)]


def now_s() -> float:
    return asyncio.get_running_loop().time()


def left_s(until: float) -> float:
    return max(0.0, until - now_s())


@lru_cache(maxsize=16_384)
def quoted(name: str) -> str:
    """A name as one part of a path."""
    return quote(name, safe="")


async def side_by_side(do: Callable[[T], Awaitable[R]], many: Sequence[T]) -> list[R]:
    """The results in order, of at most `AT_ONCE` under way at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def placed(each: T) -> R:
        async with places:
            return await do(each)

    return await asyncio.gather(*map(placed, many))
