"""A backup that was made, outlived and restored, by the databases' own means."""

import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, make_url, select
from vaults import LOGIN, ONE, TWO, opened, reserved, saved, unsent, vault_of

from homing.decide.fleet.leases import BEYOND_A_BACKUP
from homing.model.fleet import PlacementState, SessionStatus
from homing.model.instances.vault import Grant, Holder, StaleEpoch
from homing.model.work import JobState, NewJob
from homing.ports import StoreUnavailable
from homing.store.db.database import Database
from homing.store.db.opening import open_database
from homing.store.db.schema.tables import jobs, reservations, sessions
from homing.store.grants.leases import SqlLeases
from homing.store.notices.notices import LocalNotices
from homing.store.vault import grants as vault_grants
from homing.store.vault.restored import Restored, declare
from homing.store.vault.vault import SqlVault
from homing.store.work.queue import SqlWork
from services import PostgresServer

PG_DUMP, PG_RESTORE = (shutil.which(name) for name in ("pg_dump", "pg_restore"))
NEWER_LOGIN = {**LOGIN, "noise": "as it was when the backup was long made"}


@dataclass
class Backup:
    """A database, and what turns the copy of it that was made last into another one."""

    url: str
    make: Callable[[], None]
    restore: Callable[[], str]


@pytest.fixture
def backup(store_url: str, request: pytest.FixtureRequest, tmp_path: Path) -> Backup:
    copy = tmp_path / "backup"
    if store_url.startswith("sqlite"):
        return Backup(
            store_url, lambda: _copied(Path(str(make_url(store_url).database)), copy), lambda: f"sqlite:///{copy}"
        )
    if PG_DUMP is None or PG_RESTORE is None:
        pytest.skip("NOT RUN: pg_dump and pg_restore are not installed (Debian: postgresql-client)")
    server: PostgresServer = request.getfixturevalue("_postgres")

    def restored() -> str:
        url = server.create_empty()
        request.addfinalizer(lambda: server.drop(url))
        _run(PG_RESTORE, "--no-owner", "--dbname", url, str(copy))
        return url

    return Backup(store_url, lambda: _run(PG_DUMP, "--format=custom", "--file", str(copy), store_url), restored)


def _copied(source: Path, target: Path) -> None:
    with sqlite3.connect(source) as from_, sqlite3.connect(target) as to:
        from_.backup(to)
    from_.close()
    to.close()


def _run(*command: Any) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@dataclass
class Outlived:
    """A restored database, in which a session is with ONE under epoch 1; TWO has had it under epoch 2 since."""

    database: Database
    vault: SqlVault
    leases: SqlLeases
    first: Grant
    second: Grant

    async def declared(self) -> Restored:
        return await self.database.write(lambda c: declare(c, self.database, moves=["rehome"]))

    async def epochs(self) -> tuple[int, int]:
        """The vault's, and the directory's."""
        recorded = await self.database.read(lambda c: c.scalar(select(sessions.c.epoch)))
        return await self.vault.epoch("s"), int(recorded or 0)


async def _lived(database: Database, make: Callable[[], None]) -> tuple[Grant, Grant]:
    vault, leases, work = await vault_of(database), SqlLeases(database), SqlWork(database, LocalNotices())
    await leases.begin(ONE, expiry_s=6)
    first = await saved(vault, await opened(vault))
    row = {"session_id": "s", "instance_url": ONE.instance_url, "epoch": first.epoch, "state": PlacementState.HELD}
    row |= {"status": SessionStatus.CONNECTED, "updated_at": await database.read(database.now)}
    await database.write(lambda c: c.execute(insert(sessions).values(row)))
    assert await reserved(vault, first, "m1", "m2") == [1, 2]
    await work.enqueue([NewJob("rehome", {"session_id": "s"}), NewJob("other", {})])
    make()
    await leases.begin(TWO, expiry_s=6)
    second = await saved(vault, await opened(vault, holder=TWO), NEWER_LOGIN)
    assert await reserved(vault, second, "m3", "m4", "m5") == [3, 4, 5]
    await vault.close()
    return first, replace(second, next_counter=6)


@pytest.fixture
async def outlived(backup: Backup) -> AsyncIterator[Outlived]:
    before = open_database(backup.url)
    first, second = await _lived(before, backup.make)
    await before.close()
    database = open_database(backup.restore())
    vault = await vault_of(database)
    yield Outlived(database, vault, SqlLeases(database), first, second)
    await vault.close()
    await database.close()


async def test_every_epoch_is_beyond_what_was_granted_since_the_backup(outlived: Outlived) -> None:
    assert await outlived.epochs() == (1, 1), "the backup knows less than its holder"
    assert (await outlived.declared()).sessions == 1
    vault, recorded = await outlived.epochs()
    assert vault == recorded == 1 + BEYOND_A_BACKUP > outlived.second.epoch


async def test_nobody_from_before_can_act(outlived: Outlived) -> None:
    done = await outlived.declared()
    now = StaleEpoch(1 + BEYOND_A_BACKUP)
    for grant in (outlived.first, outlived.second):
        assert await outlived.vault.reserve(grant, unsent("again")) == now
        assert await outlived.vault.save(grant, LOGIN) == now
    assert [await outlived.leases.renew(each, expiry_s=6) for each in (ONE, TWO)] == [None, None]
    assert await outlived.leases.incarnations() == []
    assert (done.boots, done.moves, done.messages) == (1, 1, 2)
    unfinished = select(reservations.c.message_id).where(reservations.c.settled_at.is_(None))
    assert (await outlived.database.read(lambda c: c.execute(unfinished).all())) == [], "none goes out once more"
    states = await outlived.database.read(lambda c: dict(c.execute(select(jobs.c.kind, jobs.c.state)).all()))  # type: ignore[arg-type]
    assert states == {"rehome": JobState.CANCELLED, "other": JobState.READY}


async def test_whoever_lived_on_tells_what_the_backup_lacks_and_opens_above_it(
    outlived: Outlived, monkeypatch: pytest.MonkeyPatch
) -> None:
    await outlived.declared()
    again = Holder(TWO.instance_url, "another name")
    await outlived.leases.begin(again, expiry_s=6)
    with pytest.raises(StoreUnavailable, match="says so first"):
        await outlived.vault.open("s", epoch=None, holder=Holder(ONE.instance_url, "too early"))
    for grant in (outlived.first, outlived.second, outlived.first):
        assert await outlived.vault.redeclare([grant]) == {"s": StaleEpoch(1 + BEYOND_A_BACKUP)}
    assert await outlived.vault.held_by(ONE.instance_url) == []
    [holding] = await outlived.vault.held_by(TWO.instance_url)
    monkeypatch.setattr(vault_grants, "LIVE_HOLDERS_SPEAK_S", 0.0)
    grant = await opened(outlived.vault, epoch=holding.epoch + 1, holder=again)
    assert grant.epoch == 2 + BEYOND_A_BACKUP
    assert grant.login == NEWER_LOGIN
    assert (grant.next_counter, grant.unfinished) == (6, ()), "no counter that WhatsApp has seen is given again"
    assert await outlived.vault.redeclare([outlived.second]) == {"s": StaleEpoch(grant.epoch)}
    assert await reserved(outlived.vault, grant, "m6") == [6]


async def test_what_nobody_lived_on_with_is_opened_as_the_backup_has_it(
    outlived: Outlived, monkeypatch: pytest.MonkeyPatch
) -> None:
    await outlived.declared()
    monkeypatch.setattr(vault_grants, "LIVE_HOLDERS_SPEAK_S", 0.0)
    await outlived.leases.begin(ONE, expiry_s=6)
    grant = await opened(outlived.vault, holder=ONE)
    assert (grant.epoch, grant.login, grant.next_counter) == (2 + BEYOND_A_BACKUP, LOGIN, 3)


async def test_a_restored_database_is_another_one_by_its_own_word(outlived: Outlived) -> None:
    before = (await outlived.leases.begin(ONE, expiry_s=6)).store
    await outlived.declared()
    after = (await outlived.leases.begin(ONE, expiry_s=6)).store
    assert before != after
    assert (await outlived.leases.heartbeats()).store == after


async def test_it_may_be_said_again(outlived: Outlived) -> None:
    await outlived.declared()
    assert (await outlived.declared()).moves == 0
    assert await outlived.epochs() == (1 + 2 * BEYOND_A_BACKUP,) * 2
    assert await outlived.vault.redeclare([outlived.second]) == {"s": StaleEpoch(1 + 2 * BEYOND_A_BACKUP)}
    assert await outlived.vault.held_by(TWO.instance_url), "what its holder knows is taken all the same"
