"""A file's way out: a link of ours that a gateway may follow for a while, or its bytes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from homing.decide.media.tokens import FileGrant, TokenUse, granted, token
from homing.model.errors import Code, Problem
from homing.model.fleet import WorkspaceId
from homing.model.sends.content import KeptMedia
from homing.ports import Clock
from homing.ports.sends.media import MediaStore

PATH = "/media"


@dataclass(frozen=True, slots=True)
class KeptFile:
    """`MediaSource` of one file that is here."""

    url: str
    store: MediaStore
    id: str

    def chunks(self) -> AsyncIterator[bytes]:
        return self.store.chunks(self.id)


class MediaLinks:
    """Names and links of files that are here, and who may use them. `base_url` is where others reach us."""

    def __init__(self, store: MediaStore, clock: Clock, secret: bytes, base_url: str, *, link_s: float) -> None:
        self.store, self.secret = store, secret
        self._clock, self._base_url, self._link_s = clock, base_url, link_s

    def source(self, media: KeptMedia, file_name: str | None) -> KeptFile:
        """The file as a gateway is given it."""
        return KeptFile(self.link(media, file_name), self.store, media.id)

    def link(self, media: KeptMedia, file_name: str | None = None) -> str:
        """A URL at which the bytes are, for whoever has it, until it is over."""
        until_s = int(self._now_s() + self._link_s)
        grant = FileGrant(media, until_s, file_name or "")
        return f"{self._base_url}{PATH}/{token(self.secret, TokenUse.READ, grant)}"

    def name(self, workspace: WorkspaceId, media: KeptMedia, *, for_s: float) -> str:
        """The id by which the workspace's messages name the file."""
        grant = FileGrant(media, int(self._now_s() + for_s), workspace=workspace)
        return token(self.secret, TokenUse.NAME, grant)

    def named(self, workspace: WorkspaceId, media_id: str) -> KeptMedia:
        """The file that an id of the workspace names. Raises Problem MEDIA_NOT_FOUND for all others alike."""
        grant = granted(self.secret, TokenUse.NAME, media_id, self._now_s())
        if grant is None or grant.workspace != workspace:
            raise Problem(Code.MEDIA_NOT_FOUND, "There is no such file, or it is not kept any more", field="media_id")
        return grant.media

    def opened(self, given: str) -> FileGrant:
        """What a link leads to. Raises Problem MEDIA_NOT_FOUND."""
        grant = granted(self.secret, TokenUse.READ, given, self._now_s())
        if grant is None:
            raise Problem(Code.MEDIA_NOT_FOUND, "There is no file at this address, or the address is over")
        return grant

    def _now_s(self) -> float:
        return self._clock.now().timestamp()
