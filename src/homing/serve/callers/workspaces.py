"""How does a workspace read numbers, and how often may it ask? Held in memory: no send waits for the database."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog

from homing.decide.phones import numbering
from homing.decide.phones.addressing import read_recipient
from homing.decide.phones.reading import read
from homing.model.directory.access import RateLimit
from homing.model.directory.phones import Bare, PhoneNumber, UnreadablePhone
from homing.model.directory.workspaces import Workspace
from homing.model.errors import Code, Problem
from homing.model.fleet import WorkspaceId
from homing.model.sends.addresses import Recipient
from homing.ports import Clock, Directory, Notice, StoreUnavailable, WorkspacesChanged

log = structlog.get_logger("homing")

_BREATH_S = 0.1
"""Between two readings: what changes together is read together."""
REFRESH_S = 5.0
"""A setting changed past this gateway's notices is in force after this time at the latest."""


class Workspaces:
    """What is set of each workspace; one that is not known here has what the settings say."""

    def __init__(self, directory: Directory, clock: Clock, default_region: str) -> None:
        self._directory, self._clock, self.default_region = directory, clock, default_region
        self._known: dict[WorkspaceId, tuple[str, Bare]] = {}
        self._limits: dict[WorkspaceId, RateLimit] = {}
        self._changed = asyncio.Event()

    def number(self, workspace: WorkspaceId, text: str) -> PhoneNumber:
        """The number that somebody of the workspace wrote. Raises Problem `phone_invalid` or `phone_ambiguous`."""
        region, bare = self._known.get(workspace, (self.default_region, Bare.STRICT))
        return read_or_refuse(text, region, bare)

    def recipient(self, workspace: WorkspaceId, text: str) -> Recipient:
        """Whom somebody of the workspace wrote to: a phone, a group, a channel… Raises Problem as `number` does."""
        region, bare = self._known.get(workspace, (self.default_region, Bare.STRICT))
        found = read_recipient(text, region, bare)
        if isinstance(found, UnreadablePhone):
            raise Problem(found.code, found.reason, field="phone")
        return found

    def rate_limit(self, workspace: WorkspaceId) -> RateLimit | None:
        """How often all of its keys together may ask, if that is limited."""
        return self._limits.get(workspace)

    def hear(self, notice: Notice) -> None:
        if isinstance(notice, WorkspacesChanged):
            self._changed.set()

    async def refresh(self) -> None:
        """Read the settings now. Raises StoreUnavailable."""
        self._changed.clear()
        workspaces = await self._directory.workspaces()
        self._known = _settings(workspaces, self.default_region)
        self._limits = {each.id: each.rate_limit for each in workspaces if each.rate_limit is not None}

    async def run(self) -> None:
        """Keep them fresh until cancelled. While the store is away the last ones stay."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await self._changed.wait()
            try:
                await self.refresh()
            except StoreUnavailable as error:
                log.warning("The workspaces' settings could not be read again", error=str(error))
            await self._clock.sleep(_BREATH_S)


def read_or_refuse(text: str, region: str, bare: Bare) -> PhoneNumber:
    """The number that was written. Raises Problem."""
    found = read(text, region, bare)
    if isinstance(found, UnreadablePhone):
        raise Problem(found.code, found.reason, field="phone")
    return found


def region_of(given: str) -> str:
    """A region's code, in upper case. Raises Problem for one that does not exist."""
    region = given.strip().upper()
    if not numbering.region_exists(region):
        detail = f"There is no region {given[:20]!r}; write its ISO 3166 code, such as ID, BR or US"
        raise Problem(Code.INVALID_REQUEST, detail, field="region")
    return region


def _settings(workspaces: Sequence[Workspace], default_region: str) -> dict[WorkspaceId, tuple[str, Bare]]:
    return {each.id: (each.region or default_region, each.bare_digits) for each in workspaces}
