"""Files in every kind of object store: the folder always, a cloud's where HOMING_TEST_OBJECT_STORE names one.

Such as `s3://bucket/prefix`, with AWS_ENDPOINT_URL and the like in the environment; a server of S3's protocol will do.
"""

import os
from datetime import date
from pathlib import Path

import pytest

from homing.model.sends.calls import MediaUnavailable
from homing.store.media.objects import PART_BYTES, ObjectMedia

CLOUD = os.environ.get("HOMING_TEST_OBJECT_STORE", "")
LATE, LATER, GONE = "2031-01-02", "2031-02-01", "2030-12-31"


@pytest.fixture(
    params=[
        "folder",
        pytest.param("cloud", marks=pytest.mark.skipif(not CLOUD, reason="NOT RUN: no HOMING_TEST_OBJECT_STORE")),
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectMedia:
    url = f"file://{tmp_path / 'media'}" if request.param == "folder" else f"{CLOUD}/{os.urandom(4).hex()}"
    return ObjectMedia(url, tmp_path / "incoming")


async def kept(store: ObjectMedia, id: str, data: bytes) -> None:
    spool = await store.spool()
    for begin in range(0, len(data), 1_000_000):
        await spool.write(data[begin : begin + 1_000_000])
    whole = await spool.whole()
    assert whole.size == len(data)
    await store.keep(spool, id)
    await spool.discard()


async def read(store: ObjectMedia, id: str) -> bytes:
    return b"".join([piece async for piece in store.chunks(id)])


async def test_a_file_in_several_parts_comes_back_as_it_was(store: ObjectMedia, tmp_path: Path) -> None:
    data = os.urandom(2 * PART_BYTES + 17)
    await kept(store, f"{LATE}/large", data)
    assert await read(store, f"{LATE}/large") == data
    assert list((tmp_path / "incoming").iterdir()) == []


async def test_a_copy_outlives_what_it_was_made_of(store: ObjectMedia) -> None:
    await kept(store, f"{GONE}/a", b"first")
    await kept(store, f"{LATE}/b", b"second")
    for _ in range(2):
        await store.copy(f"{GONE}/a", f"{LATER}/a")
    assert await store.forget_before(date.fromisoformat(LATE)) == 1
    assert (await read(store, f"{LATER}/a"), await read(store, f"{LATE}/b")) == (b"first", b"second")
    with pytest.raises(MediaUnavailable):
        await read(store, f"{GONE}/a")


async def test_what_is_not_there_is_said_and_nothing_is_made_up(store: ObjectMedia) -> None:
    with pytest.raises(MediaUnavailable):
        await read(store, f"{LATE}/nothing")
    with pytest.raises(MediaUnavailable):
        await store.copy(f"{LATE}/nothing", f"{LATER}/nothing")
