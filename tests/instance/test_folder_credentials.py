"""The store in a folder: its rules, its files, and several processes at once."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.instance.credentials import Grant, Holder, Holding, Record, StaleEpoch
from homing.instance.folder_credentials import FolderCredentials

ONE, TWO = Holder("http://one", "boot-1"), Holder("http://two", "boot-2")
LOGIN = {"secret": "x"}


@pytest.fixture
def store(tmp_path: Path) -> FolderCredentials:
    return FolderCredentials(tmp_path / "credentials")


async def granted(store: FolderCredentials, holder: Holder = ONE, epoch: int | None = None) -> Grant:
    grant = await store.open("s1", epoch=epoch, holder=holder)
    assert isinstance(grant, Grant)
    return grant


async def test_every_grant_takes_a_new_epoch(store):
    assert [(await granted(store)).epoch for _ in range(3)] == [1, 2, 3]
    assert (await granted(store, epoch=10)).epoch == 10
    assert await store.epoch("s1") == 10


@pytest.mark.parametrize("epoch", [0, 4, 5])
async def test_an_epoch_not_above_the_stored_one_is_refused(store, epoch):
    await granted(store, epoch=5)
    assert await store.open("s1", epoch=epoch, holder=TWO) == StaleEpoch(5)


async def test_a_session_that_nobody_opened_has_epoch_zero(store):
    assert await store.epoch("s1") == 0


async def test_writes_under_an_older_grant_are_refused_and_change_nothing(store):
    old = await granted(store)
    await store.save(old, LOGIN)
    await granted(store, TWO)
    stale = StaleEpoch(2)
    assert await store.reserve(old, 10) == stale
    assert await store.save(old, {"secret": "stolen"}) == stale
    assert await store.forget(old) == stale
    assert await store.release(old) == stale
    new = await granted(store, TWO)
    assert (new.login, new.next_counter) == (LOGIN, 1)


async def test_a_released_grant_can_write_no_more(store):
    grant = await granted(store)
    assert await store.release(grant) is None
    assert await store.reserve(grant, 1) == StaleEpoch(1)


async def test_counters_are_never_reserved_twice(store):
    first = await granted(store)
    assert await store.reserve(first, 10) == range(1, 11)
    assert await store.reserve(first, 5) == range(11, 16)
    second = await granted(store, TWO)
    assert second.next_counter == 16
    assert await store.reserve(second, 1) == range(16, 17)


async def test_epoch_and_counters_outlive_the_login(store):
    grant = await granted(store)
    await store.save(grant, LOGIN)
    await store.reserve(grant, 10)
    await store.forget(grant)
    again = await granted(store)
    assert (again.epoch, again.login, again.next_counter) == (2, None, 11)


async def test_an_instance_finds_what_it_held_in_an_earlier_boot(store):
    for session_id, holder in (("s1", ONE), ("s2", TWO), ("s3", replace(ONE, incarnation="earlier"))):
        grant = await store.open(session_id, epoch=None, holder=holder)
        await store.save(grant, LOGIN)
    unpaired = await store.open("s4", epoch=None, holder=ONE)
    assert isinstance(unpaired, Grant)
    assert await store.held_by("http://one") == [Holding("s1", 1), Holding("s3", 1)]


async def test_an_adopted_login_is_used_by_the_next_holder(store):
    await store.adopt("s1", LOGIN)
    assert await store.held_by("http://one") == []
    assert (await granted(store)).login == LOGIN


async def test_a_second_store_on_the_folder_sees_the_same(store, tmp_path: Path):
    grant = await granted(store)
    await store.save(grant, LOGIN)
    assert (await granted(FolderCredentials(tmp_path / "credentials"))).login == LOGIN


def files_outside(folder: Path) -> list[Path]:
    return [path for path in folder.parent.rglob("*") if path.is_file() and path.parent != folder]


@pytest.mark.parametrize(
    "session_id", ["../../etc/passwd", "..", "/absolute", "a/b", "nul\0byte", "ümlaut", "x" * 300, "~tilde", ""]
)
async def test_no_session_id_leaves_the_folder(store, tmp_path: Path, session_id):
    grant = await store.open(session_id, epoch=None, holder=ONE)
    assert grant.session_id == session_id
    assert files_outside(tmp_path / "credentials") == []
    assert await store.epoch(session_id) == 1


async def test_a_file_is_whole_and_readable_by_its_owner_only(store, tmp_path: Path):
    await granted(store)
    path = tmp_path / "credentials" / "s1.json"
    assert json.loads(path.read_text())["epoch"] == 1
    assert path.stat().st_mode & 0o077 == 0
    assert not list(path.parent.glob("*.tmp"))


steps = st.lists(st.sampled_from(["open one", "open two", "reserve", "save", "forget", "release"]), max_size=25)


@given(steps)
def test_whatever_happens_epochs_rise_and_counters_are_used_once(order):
    record, grants, epochs, used = Record("s1"), [], [], []
    for step in order:
        if step.startswith("open"):
            record = record.granted(None, ONE if step.endswith("one") else TWO)
            grants.append(record.grant())
            epochs.append(record.epoch)
        elif grants:
            for grant in grants:
                changed = {
                    "reserve": lambda record, grant: record.reserved(grant, 3),
                    "save": lambda record, grant: record.saved(grant, LOGIN),
                    "forget": lambda record, grant: record.forgotten(grant),
                    "release": lambda record, grant: record.released(grant),
                }[step](record, grant)
                if grant is not grants[-1]:
                    assert changed == StaleEpoch(record.epoch)
                elif isinstance(changed, Record):
                    used.extend(range(record.reserved_to + 1, changed.reserved_to + 1))
                    record = changed
    assert epochs == sorted(set(epochs))
    assert used == sorted(set(used))


RACER = """
import asyncio, json, sys
from pathlib import Path
from homing.instance.credentials import Grant, Holder
from homing.instance.folder_credentials import FolderCredentials

async def race(folder, name):
    store, epochs, counters = FolderCredentials(Path(folder)), [], []
    for _ in range(40):
        grant = await store.open("s1", epoch=None, holder=Holder(name, "boot"))
        epochs.append(grant.epoch)
        reserved = await store.reserve(grant, 5)
        if isinstance(reserved, range):
            counters.extend(reserved)
    print(json.dumps([epochs, counters]))

asyncio.run(race(*sys.argv[1:]))
"""


@pytest.mark.e2e
async def test_processes_that_race_get_different_epochs_and_counters(tmp_path: Path):
    racers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", RACER, str(tmp_path), name, stdout=PIPE)
        for name in ("one", "two")
    ]
    results = [json.loads(out) for out, _ in [await racer.communicate() for racer in racers]]
    epochs = [epoch for result in results for epoch in result[0]]
    counters = [counter for result in results for counter in result[1]]
    assert sorted(epochs) == list(range(1, 81))
    assert counters
    assert len(counters) == len(set(counters))


async def test_unheld_are_those_with_a_login_and_without_a_holder(store):
    await store.adopt("free", LOGIN)
    await store.adopt("taken", LOGIN)
    await store.open("taken", epoch=None, holder=ONE)
    await store.adopt("given up", LOGIN)
    await store.release(await store.open("given up", epoch=7, holder=TWO))
    assert await store.unheld(["free", "taken", "given up", "unknown"]) == [Holding("free", 0), Holding("given up", 7)]
