"""The journal of notifications: what is in it survives, in order, whatever was torn."""

import asyncio
import os
from pathlib import Path

import pytest

from homing.instance.notify.journal import Journal, JournalFull
from homing.instance.notify.journal_file import JournalFile, JournalInUse, NotAJournal
from homing.instance.notify.notifications import Notification


def note(n: int, session: str = "s1", body: bytes = b'{"text":"\\n\xc3\xa9"}') -> Notification:
    return Notification(f"id-{n}", session, 1000.0 + n, body)


async def kept(journal: Journal, *notes: Notification) -> None:
    for each in notes:
        journal.add(each)
    await journal.durable()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journals" / "one.jsonl"


async def reopened(path: Path, **limits: int) -> list[Notification]:
    journal = await Journal.open(path, **limits)
    pending = journal.pending()
    await journal.close()
    return pending


def crash(journal: Journal) -> None:
    """What the kernel does to a killed process: its files are closed as they are."""
    journal._file.close()


async def test_what_is_durable_survives_a_crash_in_its_order(path):
    journal = await Journal.open(path)
    await kept(journal, note(1), note(2, "s2"), note(3))
    crash(journal)
    assert await reopened(path) == [note(1), note(2, "s2"), note(3)]


async def test_what_is_finished_does_not_come_back(path):
    journal = await Journal.open(path)
    await kept(journal, note(1), note(2))
    journal.finish(note(1))
    await journal.close()
    assert await reopened(path) == [note(2)]


async def test_what_comes_anew_after_it_was_finished_is_kept_anew(path):
    journal = await Journal.open(path)
    await kept(journal, note(1))
    journal.finish(note(1))
    assert journal.add(note(1)) is True
    await journal.durable()
    crash(journal)
    assert await reopened(path) == [note(1)]


@pytest.mark.parametrize("cut", [1, 5, 60])
async def test_a_line_torn_by_a_crash_costs_only_itself(path, cut, logged):
    journal = await Journal.open(path)
    await kept(journal, note(1), note(2))
    crash(journal)
    os.truncate(path, path.stat().st_size - cut)
    survived = [note(1)] if cut > 1 else [note(1), note(2)]
    assert await reopened(path) == survived
    assert [line["lines"] for line in logged] == ([1] if cut > 1 else [])
    logged.clear()
    assert await reopened(path) == survived
    assert not logged, "what was torn is gone"


async def test_the_same_notification_waits_once(path):
    journal = await Journal.open(path)
    assert (journal.add(note(1)), journal.add(note(1))) == (True, False)
    await journal.durable()
    await journal.close()
    assert path.read_text().count("id-1") == 1


async def test_lines_of_the_same_moment_share_one_synchronisation(path, monkeypatch):
    journal = await Journal.open(path)
    calls = []
    monkeypatch.setattr(os, "fsync", calls.append)

    async def keep(n: int) -> None:
        journal.add(note(n))
        await journal.durable()

    await asyncio.gather(*(keep(n) for n in range(50)))
    assert len(calls) == 1
    journal.finish(note(1))
    await journal.durable()
    assert len(calls) == 1, "an end needs none"
    await journal.close()


async def test_nothing_is_durable_before_it_is_synchronised(path, monkeypatch):
    journal = await Journal.open(path)
    happened = []
    append = JournalFile.append
    monkeypatch.setattr(JournalFile, "append", lambda *a, **k: (append(*a, **k), happened.append("on disk")))
    await kept(journal, note(1))
    happened.append("durable")
    assert happened == ["on disk", "durable"]
    await journal.close()


async def test_what_is_over_is_left_out_of_the_file_again_and_again(path):
    journal = await Journal.open(path, compact_above_bytes=2_000)
    await kept(journal, note(0))
    sizes = []
    for n in range(1, 200):
        await kept(journal, note(n))
        journal.finish(note(n))
        await journal.durable()
        sizes.append(path.stat().st_size)
    assert max(sizes) < 2_500
    await kept(journal, note(200, "s2"))
    crash(journal)
    assert await reopened(path) == [note(0), note(200, "s2")]


async def test_lines_added_while_the_file_is_rewritten_are_in_it(path, monkeypatch):
    journal = await Journal.open(path, compact_above_bytes=300)
    loop, rewrite = asyncio.get_running_loop(), JournalFile.rewrite

    def meanwhile(file, lines):
        rewrite(file, lines)
        asyncio.run_coroutine_threadsafe(_interfere(), loop).result(1)

    async def _interfere() -> None:
        if len(journal) < 8:
            journal.add(note(100 + len(journal)))
            journal.finish(note(0))

    monkeypatch.setattr(JournalFile, "rewrite", meanwhile)
    await kept(journal, *(note(n) for n in range(6)))
    while journal._writing is not None and not journal._writing.done():
        await asyncio.wait([journal._writing])
    monkeypatch.undo()
    expected = journal.pending()
    assert note(0) not in expected
    assert expected[-1].id.startswith("id-10")
    crash(journal)
    assert await reopened(path) == expected


async def test_a_full_journal_takes_nothing_more_and_says_so_once(path, logged):
    journal = await Journal.open(path, pending_max_bytes=1_000)
    with pytest.raises(JournalFull):
        for n in range(100):
            journal.add(note(n))
    held = len(journal)
    with pytest.raises(JournalFull):
        journal.add(note(99))
    assert journal.add(note(0)) is False, "what is in it already needs no room"
    [line] = logged
    assert line["event"].startswith("Journal is full")
    assert line["notifications"] == held
    for n in range(held // 2):
        journal.finish(note(n))
    assert journal.add(note(99)) is True
    assert logged[-1]["event"] == "Journal has room again"
    await journal.close()


async def test_what_could_not_be_written_is_not_durable_until_it_is(path, monkeypatch):
    journal = await Journal.open(path)
    await kept(journal, note(1))

    def no_space(descriptor: int, content: object) -> int:
        real_write(descriptor, bytes(content)[:10])
        raise OSError(28, "No space left on device")

    real_write = os.write
    monkeypatch.setattr(os, "write", no_space)
    journal.add(note(2))
    with pytest.raises(OSError, match="No space left"):
        await journal.durable()
    monkeypatch.undo()
    assert journal.add(note(2)) is False
    await journal.durable()
    await kept(journal, note(3))
    crash(journal)
    assert await reopened(path) == [note(1), note(2), note(3)]


async def test_a_failed_rewriting_leaves_the_journal_as_it_was(path, monkeypatch):
    journal = await Journal.open(path, compact_above_bytes=200)

    def fail(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(Path, "replace", fail)
    await kept(journal, *(note(n) for n in range(5)))
    await kept(journal, note(5))
    crash(journal)
    monkeypatch.undo()
    assert await reopened(path) == [note(n) for n in range(6)]


async def test_two_instances_do_not_share_a_journal(path):
    journal = await Journal.open(path)
    with pytest.raises(JournalInUse, match="belongs to another running instance"):
        await Journal.open(path)
    await journal.close()
    await reopened(path)


async def test_another_file_is_not_taken_for_a_journal(path):
    path.parent.mkdir()
    path.write_text("precious\n")
    with pytest.raises(NotAJournal):
        await Journal.open(path)
    assert path.read_text() == "precious\n"


async def test_others_cannot_read_it(path):
    journal = await Journal.open(path)
    await kept(journal, note(1))
    await journal.close()
    assert path.stat().st_mode & 0o077 == 0


async def test_after_its_end_it_takes_nothing(path):
    journal = await Journal.open(path)
    await journal.close()
    with pytest.raises(OSError, match="closed"):
        journal.add(note(1))
