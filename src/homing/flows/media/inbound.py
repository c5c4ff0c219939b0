"""Files that came with messages: links to them, for customers, and their bytes, from wherever they are.

A link names a stored event and nothing else; whose it is, and where its session is held today, is looked up when it is
followed. Bytes that came in a report are kept, since their gateway gives them out only once.
"""

from base64 import b64decode
from binascii import Error
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from homing.decide.media import inbound
from homing.decide.media.inbound import EventLink
from homing.decide.media.sniffing import HEAD_BYTES
from homing.decide.reports.meanings import message_of
from homing.flows.media.places import FilePlaces
from homing.model.deliveries.deliveries import ToldEvent
from homing.model.errors import Code, Problem
from homing.model.fleet import Route
from homing.model.instances.events import Event, Report
from homing.model.sends.calls import MediaUnavailable
from homing.model.sends.content import KeptMedia
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.inbound import FileStream, InboundFile
from homing.ports import Clock, Events, Fleet, Routes
from homing.ports.aside import Aside, at_once
from homing.ports.sends.media import MediaStore

log = structlog.get_logger("homing")

PATH = "/media/in"
_GONE = frozenset({Phase.PATH_NOT_FOUND, Phase.REQUEST_REJECTED})
"""Who holds the session has no such file. That the session is somewhere else says nothing of it."""


@dataclass(frozen=True, slots=True)
class InboundPolicy:
    """`link_s`: how long a link is good for. `fetch_s`: how long one file may take. `keep`: for how long one is kept
    that came in a report."""

    link_s: float
    fetch_s: float
    most_bytes: int
    keep: timedelta


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that is given out: as what, under which name, its size if that is known, and its bytes."""

    content_type: str
    name: str
    size: int | None
    chunks: Callable[[], AsyncIterator[bytes]]


class InboundFiles:
    """Links to files that came in, and the files themselves."""

    def __init__(
        self,
        store: MediaStore,
        events: Events,
        routes: Routes,
        fleet: Fleet,
        clock: Clock,
        secret: bytes,
        base_url: str,
        policy: InboundPolicy,
        aside: Aside = at_once,
        places: FilePlaces | None = None,
    ) -> None:
        """`aside` does what takes long with a large report."""
        self._store, self._events, self._routes, self._fleet = store, events, routes, fleet
        self._clock, self._secret, self._base_url, self.policy = clock, secret, base_url, policy
        self._aside = aside
        self.places = places or FilePlaces()

    # --- links --------------------------------------------------------------------------------------------------

    def shown(self, event: Event) -> dict[str, Any]:
        """What an event told, with our address of its file in the place of its gateway's."""
        if not inbound.has_file(event.kind, event.payload):
            return event.payload
        return inbound.with_file(event.payload, self.told(event))

    def told(self, event: ToldEvent | Event) -> Mapping[str, Any] | None:
        """What a customer is told of an event's file beside what it is: where it is to be had, or why nowhere; None
        where there is no file."""
        if not inbound.has_file(event.kind, event.payload):
            return None
        url, kept = event.instance_url, inbound.kept_of(event.payload)
        if kept is None and inbound.reference_of(event.payload) is None:
            if url is None:
                return inbound.unavailable(None)
            if not self._fleet.driver(url).base.fetch_files:
                return inbound.unavailable(self._fleet.traits(url).title)
        until_s = int(self._clock.now().timestamp() + self.policy.link_s)
        token = inbound.link_token(self._secret, EventLink(event.id, until_s))
        return {"url": f"{self._base_url}{PATH}/{token}", "expires_at": until_s}

    # --- the files ----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def opened(self, token: str) -> AsyncIterator[OpenedFile]:
        """What a link leads to, as long as the block. Raises Problem: MEDIA_NOT_FOUND for whatever does not lead to a
        file, all alike; MEDIA_UNAVAILABLE where it cannot be had just now."""
        link = inbound.linked(self._secret, token, self._clock.now().timestamp())
        event = await self._events.event(link.event_id) if link is not None else None
        if event is None or event.workspace_id is None or not inbound.has_file(event.kind, event.payload):
            raise _not_there()
        async with self.places.held(event.workspace_id):
            kept = inbound.kept_of(event.payload)
            if kept is not None:
                stream = FileStream(lambda: self._store.chunks(kept.id), kept.size)
                yield await self._begun(event, stream)
                return
            async with self._fetched(event) as stream:
                yield await self._begun(event, stream)

    @asynccontextmanager
    async def _fetched(self, event: Event) -> AsyncIterator[FileStream]:
        """From the instance that holds the session now; where that is news, from where it is really."""
        file = inbound.file_of(event.kind, event.payload)
        if file is None or event.account_uuid is None or event.workspace_id is None:
            raise _not_there()
        route, _ = await self._routes.route(event.workspace_id, event.account_uuid, None)
        if route is None:
            raise _not_there()
        async with self._asked(route, file) as answer:
            if not isinstance(answer, Fault):
                yield answer
                return
        again = None
        if answer.phase not in _GONE:
            again = await self._routes.reread_unless_moved(event.account_uuid, route.placement)
        if again is None or again.placement.instance_url in (None, route.placement.instance_url):
            raise _refused(route, answer)
        async with self._asked(again, file) as answer:
            if isinstance(answer, Fault):
                raise _refused(again, answer)
            yield answer

    def _asked(self, route: Route, file: InboundFile) -> AbstractAsyncContextManager[FileStream | Fault]:
        url = route.placement.instance_url
        if url is None:
            raise _unavailable("its session is nowhere just now")
        most_bytes, timeout_s = self.policy.most_bytes, self.policy.fetch_s
        driver = self._fleet.driver(url)
        return driver.file(url, route.session_id, file, most_bytes=most_bytes, timeout_s=timeout_s)

    async def _begun(self, event: Event, stream: FileStream) -> OpenedFile:
        """The file with its beginning read, by which it is known what it is, and that it is there at all."""
        pieces, head = stream.chunks(), b""
        try:
            async for piece in pieces:
                head += piece
                if len(head) >= HEAD_BYTES:
                    break
        except MediaUnavailable as error:
            raise _unavailable(str(error)) from error
        file, most = inbound.file_of(event.kind, event.payload), self.policy.most_bytes

        async def whole() -> AsyncIterator[bytes]:
            """Raises MediaUnavailable where it breaks off, or is larger than files may be."""
            came = len(head)
            yield head
            async for piece in pieces:
                came += len(piece)
                if came > most:
                    raise MediaUnavailable(f"it has more than {most} bytes")
                yield piece

        return OpenedFile(inbound.served_as(head[:HEAD_BYTES]), inbound.named(file), stream.size, whole)

    # --- bytes that come in reports -----------------------------------------------------------------------------

    async def kept(self, report: Report) -> Report:
        """The report with the file in it kept, and named in its place. Without room for it the file is lost, and the
        message is not."""
        message = message_of(report.data)
        media = message.get("media")
        data = media.get("data") if isinstance(media, dict) else None
        if report.kind not in inbound.KINDS or not isinstance(media, dict) or not isinstance(data, str) or not data:
            return report
        about = {name: value for name, value in media.items() if name in inbound.ABOUT}
        try:
            raw = await self._aside(partial(b64decode, data.rpartition(",")[2], validate=True))
            found = await self._keep(raw)
            about["kept"] = {each: getattr(found, each) for each in ("id", "sha256", "size", "mime_type")}
        except (Error, ValueError, MediaUnavailable) as error:
            log.warning("The file of a report could not be kept", session_id=report.session_id, error=str(error))
        changed = {**message, "media": about}
        told = {**report.data, "message": changed} if message is not report.data else changed
        return replace(report, data=told)

    async def _keep(self, raw: bytes) -> KeptMedia:
        until = (self._clock.now() + self.policy.keep).date().isoformat()
        spool = await self._store.spool()
        try:
            await spool.write(raw)
            whole = await spool.whole()
            kept_as = f"{until}/{whole.sha256}"
            await self._store.keep(spool, kept_as)
        finally:
            await spool.discard()
        return KeptMedia(kept_as, whole.sha256, whole.size, inbound.served_as(whole.head))


def _refused(route: Route, fault: Fault) -> Problem:
    url, session_id = route.placement.instance_url, route.session_id
    log.info("An inbound file could not be had", url=url, session_id=session_id, reason=str(fault))
    return _not_there() if fault.phase in _GONE else _unavailable("its session's instance does not give it")


def _not_there() -> Problem:
    return Problem(Code.MEDIA_NOT_FOUND, "There is no file at this address, or the address is over")


def _unavailable(why: str) -> Problem:
    return Problem(Code.MEDIA_UNAVAILABLE, f"The file cannot be had just now: {why}", retry_after_s=5)
