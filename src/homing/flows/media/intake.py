"""A file's way in: to disk, looked at, judged, kept. Only then is there a message that names it.

Nothing of it is ever whole in memory, and nothing half is ever kept: whatever goes wrong before the end leaves nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from homing.decide.media.limits import MediaLimits, Unfit, judged
from homing.flows.media.outgoing import MediaLinks
from homing.model.deliveries.egress import CallFailure, Unfetched, UrlRefused
from homing.model.errors import Code, Problem
from homing.model.fleet import WorkspaceId
from homing.model.sends.calls import MediaUnavailable
from homing.model.sends.content import Content, KeptMedia, MediaContent, MessageType
from homing.ports import Clock, Entropy
from homing.ports.deliveries.egress import Egress
from homing.ports.sends.media import MediaStore, Spool

log = structlog.get_logger("homing")


@dataclass(frozen=True, slots=True)
class IntakePolicy:
    """`fetch_s` is how long one file may take to come; `at_once` how many come at a time, the others wait."""

    limits: MediaLimits
    keep: timedelta
    fetch_s: float = 60.0
    at_once: int = 16


class MediaIntake:
    """Takes files in. Raises Problem: MEDIA_REFUSED for what is no such file, MEDIA_UNAVAILABLE without room for it."""

    def __init__(self, links: MediaLinks, egress: Egress, clock: Clock, entropy: Entropy, policy: IntakePolicy) -> None:
        """`links`: how what was taken in is named, and read again."""
        self.links, self._store = links, links.store
        self._egress, self._clock, self._entropy = egress, clock, entropy
        self.policy = policy
        self._places = asyncio.Semaphore(policy.at_once)

    async def taken(self, workspace: WorkspaceId, content: Content, *, needed_s: float = 0.0) -> Content:
        """The content with its file here, so that it can be frozen. Contents without one are as they were.

        `needed_s`: for how long the message may still wait, if that is longer than files are kept.
        """
        if not isinstance(content, MediaContent):
            return content
        if isinstance(content.media, KeptMedia):
            return replace(content, media=await self._kept_longer(content.media, needed_s))
        url = content.media.url
        try:
            kept = await self._fetched(url, content.type, content.file_name, needed_s)
        except UrlRefused as error:
            raise _refused(f"The URL of the file is not called: {error}") from error
        except Unfetched as error:
            log.info("A message's file could not be fetched", workspace_id=workspace, reason=error.reason)
            raise _not_fetched(error) from error
        return replace(content, media=kept)

    @asynccontextmanager
    async def arriving(self, needed_s: float = 0.0) -> AsyncIterator["ArrivingFile"]:
        """A file that comes with a request. Unless it is kept, nothing of it is left."""
        async with self._places:
            file = ArrivingFile(self._store, self.policy.limits, self._id(needed_s))
            try:
                yield file
            finally:
                await file.discard()

    async def _kept_longer(self, media: KeptMedia, needed_s: float) -> KeptMedia:
        """The same file, where its message may wait longer than it is kept: under its name, until a later day."""
        day, _, name = media.id.partition("/")
        until = (self._clock.now() + timedelta(seconds=needed_s)).date().isoformat()
        if until <= day:
            return media
        with _room():
            await self._store.copy(media.id, f"{until}/{name}")
        return replace(media, id=f"{until}/{name}")

    async def _fetched(self, url: str, kind: MessageType, file_name: str | None, needed_s: float) -> KeptMedia:
        most = self.policy.limits.of(kind)
        async with (
            self.arriving(needed_s) as file,
            self._egress.fetch(url, most_bytes=most, timeout_s=self.policy.fetch_s) as fetched,
        ):
            async for piece in fetched.chunks():
                await file.write(piece)
            return await file.kept(kind, file_name, "media_url")

    def _id(self, needed_s: float) -> str:
        until = (self._clock.now() + max(self.policy.keep, timedelta(seconds=needed_s))).date()
        return f"{until.isoformat()}/{self._entropy.uuid()}"


class ArrivingFile:
    """One file on its way in: to disk, piece by piece, until it is kept. Raises Problem."""

    def __init__(self, store: MediaStore, limits: MediaLimits, id: str) -> None:
        self._store, self._limits, self._kept_as = store, limits, id
        self._spool: Spool | None = None
        self._size = 0

    async def write(self, piece: bytes) -> None:
        """What is larger than any file may be is not read to its end: it may have none."""
        self._size += len(piece)
        if self._size > self._limits.largest:
            raise _refused(f"The file has more than {self._limits.largest} bytes")
        with _room():
            if self._spool is None:
                self._spool = await self._store.spool()
            await self._spool.write(piece)

    async def kept(self, kind: MessageType, file_name: str | None, field: str) -> KeptMedia:
        """The file, whole and kept, if it may be sent as that."""
        if self._spool is None:
            raise _refused("The file is empty", field)
        with _room():
            whole = await self._spool.whole()
            mime_type = judged(kind, whole.head, whole.size, file_name, self._limits)
            if isinstance(mime_type, Unfit):
                raise _refused(_sentence(mime_type.reason), field)
            await self._store.keep(self._spool, self._kept_as)
        return KeptMedia(self._kept_as, whole.sha256, whole.size, mime_type)

    async def discard(self) -> None:
        spool, self._spool = self._spool, None
        if spool is not None:
            await spool.discard()


@contextmanager
def _room() -> Iterator[None]:
    """Our own disk and store: where they take nothing, nothing was accepted."""
    try:
        yield
    except MediaUnavailable as error:
        log.error("A file could not be kept; free space on its disk, or look at its store", reason=str(error))
        detail = f"The file could not be kept, and nothing was accepted: {error}"
        raise Problem(Code.MEDIA_UNAVAILABLE, detail, retry_after_s=10) from error


def _refused(detail: str, field: str = "media_url") -> Problem:
    return Problem(Code.MEDIA_REFUSED, detail, field=field)


def _not_fetched(error: Unfetched) -> Problem:
    """Whether asking again may help is the caller's server's business: nothing was accepted either way."""
    words = f"The file could not be fetched: {error.reason}"
    return _refused(words) if error.failure is not CallFailure.TIMED_OUT else _refused(f"{words}; try again")


def _sentence(reason: str) -> str:
    return reason[:1].upper() + reason[1:]
