"""The files of a batch: each is taken in once, however many of its lines name it."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import replace

from msgspec import structs

from homing.flows.media.intake import MediaIntake
from homing.flows.outbox.bulk_lines import BulkLine
from homing.model.errors import Code, Problem
from homing.model.fleet import WorkspaceId
from homing.model.sends.content import Content, LinkedMedia, MediaContent
from homing.model.sends.outbox import InvalidLine

TOGETHER = 64
"""So many lines are looked at together: their files come side by side."""
REMEMBERED = 1_000
"""Files of a batch that a later line may name again without their being fetched again; the oldest are forgotten."""

_Name = tuple[str, str, str | None]
Line = BulkLine | InvalidLine


class BatchFiles:
    """Takes in the files that lines name, for as long as the batch may wait."""

    def __init__(self, media: MediaIntake, workspace: WorkspaceId, needed_s: float) -> None:
        self._media, self._workspace, self._needed_s = media, workspace, needed_s
        self._known: dict[_Name, Content | Problem] = {}

    async def beside(self, lines: AsyncIterable[Line]) -> AsyncIterator[Line]:
        """The lines in their order, with their files here; those whose file cannot be had are invalid.

        Raises Problem where our own store takes nothing: then nothing of the batch is accepted.
        """
        together: list[Line] = []
        async for line in lines:
            together.append(line)
            if len(together) >= TOGETHER:
                for each in await self._with_files(together):
                    yield each
                together = []
        for each in await self._with_files(together):
            yield each

    async def _with_files(self, lines: list[Line]) -> list[Line]:
        wanted = {name: content for line in lines if (name := _name(line)) is not None for content in [_content(line)]}
        found: dict[_Name, Content | Problem] = {name: self._known[name] for name in wanted if name in self._known}
        new = [name for name in wanted if name not in found]
        taken = await asyncio.gather(*(self._taken(wanted[name]) for name in new))
        found |= dict(zip(new, taken, strict=True))
        self._remember(found)
        return [_served(line, found) for line in lines]

    async def _taken(self, content: Content) -> Content | Problem:
        try:
            return await self._media.taken(self._workspace, content, needed_s=self._needed_s)
        except Problem as problem:
            if problem.code is Code.MEDIA_UNAVAILABLE:
                raise
            return problem

    def _remember(self, found: dict[_Name, Content | Problem]) -> None:
        for name, content in found.items():
            self._known.pop(name, None)
            self._known[name] = content
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]


def _content(line: Line) -> Content:
    assert isinstance(line, BulkLine)
    return line.asked.content


def _name(line: Line) -> _Name | None:
    """What a file is known by within its batch; None for a line without one."""
    if isinstance(line, InvalidLine) or not isinstance(line.asked.content, MediaContent):
        return None
    content = line.asked.content
    place = content.media.url if isinstance(content.media, LinkedMedia) else content.media.id
    return place, content.type.value, content.file_name


def _served(line: Line, found: dict[_Name, Content | Problem]) -> Line:
    name = _name(line)
    if name is None or isinstance(line, InvalidLine):
        return line
    file = found[name]
    if isinstance(file, Problem):
        return InvalidLine(line.line, file.code.value, file.detail)
    assert isinstance(file, MediaContent) and isinstance(line.asked.content, MediaContent)
    return replace(line, asked=structs.replace(line.asked, content=replace(line.asked.content, media=file.media)))
