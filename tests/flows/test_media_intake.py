"""A file's way in: never more of it at once than a piece, never more of it than any file may have."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from homing.decide.media.limits import limits_of
from homing.flows.media.clean_up import MediaCleanUp
from homing.flows.media.intake import IntakePolicy, MediaIntake
from homing.flows.media.outgoing import MediaLinks
from homing.model.errors import Code, Problem
from homing.model.sends.content import MessageType
from homing.store.media.objects import ObjectMedia
from homing.world import SystemClock, SystemEntropy

PDF = b"%PDF-1.7\n"


def intake(tmp_path: Path, **named: Any) -> MediaIntake:
    store = ObjectMedia(f"file://{tmp_path / 'kept'}", tmp_path / "incoming")
    links = MediaLinks(store, SystemClock(), b"secret", "http://homing", link_s=60)
    policy = IntakePolicy(limits_of("image=1,video=1,audio=1,voice=1,document=1,sticker=1"), timedelta(days=1), **named)
    return MediaIntake(links, None, SystemClock(), SystemEntropy(), policy)  # type: ignore[arg-type]


async def test_what_is_larger_than_any_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    written = 0
    with pytest.raises(Problem) as refused:
        async with intake(tmp_path).arriving() as file:
            for _ in range(10_000):
                await file.write(PDF + bytes(65_536))
                written += 1
    assert refused.value.code is Code.MEDIA_REFUSED
    assert written <= 16
    assert list((tmp_path / "incoming").iterdir()) == []


async def test_what_was_taken_in_is_read_again_in_pieces(tmp_path: Path) -> None:
    taking = intake(tmp_path)
    data = PDF + bytes(range(256)) * 4_000
    async with taking.arriving() as file:
        for at in range(0, len(data), 50_000):
            await file.write(data[at : at + 50_000])
        kept = await file.kept(MessageType.DOCUMENT, "a.pdf", "file")
    pieces = [piece async for piece in taking.links.source(kept, None).chunks()]
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) < len(data)
    assert (kept.size, kept.mime_type) == (len(data), "application/pdf")


async def test_a_file_is_gone_after_its_days_and_not_before(tmp_path: Path) -> None:
    taking = intake(tmp_path)
    async with taking.arriving(needed_s=5 * 86_400) as file:
        await file.write(PDF)
        kept = await file.kept(MessageType.DOCUMENT, None, "file")
    store, today = taking.links.store, SystemClock().now().date()
    assert await store.forget_before(today + timedelta(days=4)) == 0
    assert [piece async for piece in store.chunks(kept.id)] == [PDF]
    assert await store.forget_before(today + timedelta(days=7)) == 1
    assert MediaCleanUp(store, SystemClock()) is not None
