"""Sessions taken out of a vault and into one, on every store: whole, and with one holder all the way."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import func, select
from vaults import KEY, LOGIN, TWO, opened, saved, unsent, vault_of

from homing.model.instances.vault import Committed, Grant, Holder, InboxMessage, RatchetStep, SessionKey, StaleEpoch
from homing.model.sessions.carried import CarriedSession
from homing.ports.sessions.carrying import HasLogin
from homing.store.db.database import Database
from homing.store.db.schema.device_state import inbox, session_keys
from homing.store.db.schema.tables import reservations
from homing.store.vault.carrying import SqlCarrying
from homing.store.vault.sealing import KeyRing, fresh_key
from homing.store.vault.vault import SqlVault

RATCHET = SessionKey("session", "62811.0", b"after the first message")
PREKEYS = SessionKey("pre-keys", "0", b"a pack of them")
HELLO = InboxMessage("3AFF", "digest of it", b"hello")
KNOWN = InboxMessage("3AEE", "digest of another", None)
EXPORTER = Holder("an export", "of this moment")


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[SqlVault]:
    made = await vault_of(database)
    yield made
    await made.close()


@pytest.fixture
async def carrying(database: Database, vault: SqlVault) -> SqlCarrying:
    return await SqlCarrying.of(database, KeyRing(KEY))


async def at_work(vault: SqlVault, session: str = "s") -> Grant:
    """A session with keys, two messages under way and an inbox."""
    grant = await saved(vault, await opened(vault, session))
    step = RatchetStep([RATCHET, PREKEYS], [HELLO, KNOWN], unsent("m1", "m2"))
    assert isinstance(await vault.commit(grant, step), Committed)
    return grant


async def taken(carrying: SqlCarrying, session: str = "s") -> tuple[Grant, CarriedSession]:
    found = await carrying.take_out(session, holder=EXPORTER)
    assert found is not None
    return found


async def count(database: Database) -> list[int]:
    tables = (session_keys, inbox, reservations)
    return [await database.read(lambda c, t=table: c.scalar(select(func.count()).select_from(t))) for table in tables]


async def test_all_that_is_kept_of_a_session_goes_with_it(vault: SqlVault, carrying: SqlCarrying) -> None:
    await at_work(vault)
    _, carried = await taken(carrying)
    assert (carried.session_id, carried.login, carried.next_counter) == ("s", LOGIN, 3)
    assert {(key.kind, key.id, key.value) for key in carried.keys} == {
        ("session", "62811.0", RATCHET.value),
        ("pre-keys", "0", PREKEYS.value),
    }
    assert [(each.counter, each.message_id, each.frame) for each in carried.unfinished] == [
        (1, "m1", b"frame of m1"),
        (2, "m2", b"frame of m2"),
    ]
    assert carried.inbox == [HELLO, KNOWN]


async def test_whoever_held_it_can_write_nothing_from_then_on(vault: SqlVault, carrying: SqlCarrying) -> None:
    grant = await at_work(vault)
    await taken(carrying)
    assert await vault.save(grant, {"noise": "late"}) == StaleEpoch(2)
    assert await vault.reserve(grant, unsent("m3")) == StaleEpoch(2)


async def test_what_was_taken_out_and_forgotten_leaves_nothing_but_its_epoch(
    vault: SqlVault, carrying: SqlCarrying, database: Database
) -> None:
    await at_work(vault)
    grant, _ = await taken(carrying)
    assert await carrying.forget(grant) is None
    assert await count(database) == [0, 0, 0]
    again = await opened(vault, holder=TWO)
    assert (again.login, again.epoch, again.unfinished, again.untold) == (None, 3, (), ())


async def test_what_was_opened_meanwhile_is_not_forgotten(vault: SqlVault, carrying: SqlCarrying) -> None:
    await at_work(vault)
    grant, _ = await taken(carrying)
    other = await opened(vault, holder=TWO)
    assert await carrying.forget(grant) == StaleEpoch(3)
    assert other.login == LOGIN
    assert await vault.keys("s", "session", ["62811.0"]) == {"62811.0": RATCHET.value}


async def test_what_is_put_back_is_as_it_was_and_held_by_nobody(vault: SqlVault, carrying: SqlCarrying) -> None:
    await at_work(vault)
    grant, _ = await taken(carrying)
    await carrying.put_back(grant)
    assert [each.epoch for each in await vault.unheld(["s"])] == [2]
    again = await opened(vault, holder=TWO)
    assert (again.login, len(again.unfinished), again.untold) == (LOGIN, 2, (HELLO,))


@pytest.mark.parametrize("session", ["s", "never heard of"])
async def test_without_a_login_there_is_nothing_to_take_out(
    vault: SqlVault, carrying: SqlCarrying, session: str
) -> None:
    await opened(vault)
    assert await carrying.take_out(session, holder=EXPORTER) is None
    assert await vault.epoch("s") == 1


async def test_a_session_goes_on_in_another_vault_where_it_was(
    vault: SqlVault, carrying: SqlCarrying, database: Database
) -> None:
    await at_work(vault)
    grant, carried = await taken(carrying)
    await carrying.forget(grant)
    there = KeyRing(fresh_key("second"), [KEY])
    assert await SqlCarrying(database, there).take_in(replace(carried, session_id="t"), replace=False) is None
    other = SqlVault(database, there)
    now = await opened(other, "t", holder=TWO)
    assert (now.login, now.next_counter, now.untold) == (LOGIN, 3, (HELLO,))
    assert [(each.counter, each.message_id, each.frame) for each in now.unfinished] == [
        (1, "m1", b"frame of m1"),
        (2, "m2", b"frame of m2"),
    ]
    assert await other.keys("t", "session", ["62811.0"]) == {"62811.0": RATCHET.value}
    assert await other.had("t", KNOWN.message_id, KNOWN.digest), "what was read once is known when it comes again"
    await other.close()


async def test_a_login_that_is_there_stays_unless_it_is_to_be_replaced(vault: SqlVault, carrying: SqlCarrying) -> None:
    old = await at_work(vault)
    comes = CarriedSession("s", {"noise": "another device"}, [SessionKey("session", "62899.0", b"its own")])
    assert await carrying.take_in(comes, replace=False) == HasLogin()
    assert isinstance(await vault.save(old, LOGIN), Grant), "nothing was changed"
    assert await carrying.take_in(comes, replace=True) is None
    assert await vault.save(old, LOGIN) == StaleEpoch(1)
    now = await opened(vault, holder=TWO)
    assert (now.login, now.unfinished, now.untold) == ({"noise": "another device"}, (), ())
    assert now.next_counter == 3, "no counter is used a second time"
    assert await vault.keys("s", "session", ["62811.0", "62899.0"]) == {"62899.0": b"its own"}
