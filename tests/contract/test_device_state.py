"""What a linked device has beside its login, on every store: kept whole under the grant, or not at all."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, literal_column, select, update
from sqlalchemy.dialects import sqlite
from vaults import KEY, LOGIN, ONE, TWO, opened, reserved, saved, unsent, vault_of

from homing.model.instances.vault import (
    SENT,
    Committed,
    Grant,
    Holder,
    InboxMessage,
    RatchetStep,
    Reserved,
    ReservedBefore,
    SessionKey,
    StaleEpoch,
)
from homing.ports import StoreUnavailable
from homing.store.db.database import Database
from homing.store.db.schema.device_state import inbox, session_keys
from homing.store.db.schema.tables import credentials, reservations
from homing.store.vault.sealing import fresh_key
from homing.store.vault.settling import REPEATED_WITHIN_S, SqlReservations, sent_before
from homing.store.vault.vault import SqlVault

RATCHET = SessionKey("session", "62811.0", b"after the first message")
HELLO = InboxMessage("3AFF", "digest of it", b"hello")


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[SqlVault]:
    made = await vault_of(database)
    yield made
    await made.close()


async def committed(vault: SqlVault, grant: Grant, *keys: SessionKey, **more: object) -> Committed:
    done = await vault.commit(grant, RatchetStep(keys, **more))  # type: ignore[arg-type]
    assert isinstance(done, Committed)
    return done


async def rows(database: Database) -> list[object]:
    tables = (credentials, reservations, session_keys, inbox)
    return await database.read(lambda c: [row for table in tables for row in c.execute(select(table))])


async def test_a_step_is_kept_whole(vault: SqlVault) -> None:
    grant = await saved(vault, await opened(vault))
    done = await committed(vault, grant, RATCHET, arrived=[HELLO], unsent=unsent("m1", "m2"), login={"noise": "newer"})
    assert done.reservations == [Reserved(1), Reserved(2)]
    assert (done.known, done.grant.login, done.grant.login_version) == (frozenset(), {"noise": "newer"}, 2)
    after = await opened(vault, holder=TWO)
    assert [(each.counter, each.frame) for each in after.unfinished] == [(1, b"frame of m1"), (2, b"frame of m2")]
    assert (after.untold, after.login) == ((HELLO,), {"noise": "newer"})
    assert await vault.keys("s", "session", ["62811.0", "62899.0"]) == {"62811.0": RATCHET.value}


@pytest.mark.parametrize("by", [TWO, Holder(ONE.instance_url, "its next boot"), ONE])
async def test_nothing_of_a_step_is_kept_under_a_grant_that_was_superseded(
    vault: SqlVault, database: Database, by: Holder
) -> None:
    old = await saved(vault, await opened(vault))
    await committed(vault, old, RATCHET)
    await opened(vault, holder=by)
    before = await rows(database)
    late = RatchetStep([SessionKey("session", "62811.0", b"late")], [HELLO], unsent("m1"), {"noise": "late"})
    assert await vault.commit(old, late) == StaleEpoch(2)
    await vault.told(old, [("3AFF", "digest of it")])
    assert await rows(database) == before


async def test_of_steps_together_one_that_is_refused_harms_no_other(vault: SqlVault) -> None:
    grants = [await opened(vault, f"s{number}") for number in range(6)]
    for number in (1, 4):
        await opened(vault, f"s{number}", holder=TWO)
    steps = [RatchetStep([RATCHET], [HELLO], unsent(f"m{number}")) for number in range(6)]
    answers = await asyncio.gather(*(vault.commit(*each) for each in zip(grants, steps, strict=True)))
    assert [type(answer) for answer in answers] == [
        StaleEpoch if number in (1, 4) else Committed for number in range(6)
    ]
    for number in range(6):
        kept = await vault.keys(f"s{number}", "session", ["62811.0"])
        assert kept == ({} if number in (1, 4) else {"62811.0": RATCHET.value})


async def test_what_fails_half_way_leaves_nothing(
    vault: SqlVault, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from homing.store.vault import stepping

    grant = await opened(vault)
    before = await rows(database)

    def fail(*_: object) -> None:
        raise StoreUnavailable("cut in the middle")

    monkeypatch.setattr(stepping, "_taken_in", fail)
    with pytest.raises(StoreUnavailable):
        await vault.commit(grant, RatchetStep([RATCHET], [HELLO], unsent("m1")))
    assert await rows(database) == before


async def test_the_last_of_a_key_counts_and_none_removes_it(vault: SqlVault) -> None:
    grant = await opened(vault)
    steps = [RatchetStep([SessionKey("session", "a", bytes([number]))]) for number in range(20)]
    await asyncio.gather(*(vault.commit(grant, step) for step in steps))
    assert await vault.keys("s", "session", ["a"]) == {"a": bytes([19])}
    await committed(vault, grant, SessionKey("session", "a", None), SessionKey("pre-key", "a", b"another kind"))
    assert await vault.keys("s", "session", ["a"]) == {}
    assert await vault.keys("s", "pre-key", ["a"]) == {"a": b"another kind"}
    assert await vault.keys("another session", "pre-key", ["a"]) == {}
    assert await vault.keys("s", "pre-key", []) == {}


async def test_what_comes_again_is_known_and_kept_once(vault: SqlVault) -> None:
    grant = await opened(vault)
    assert not await vault.had("s", "3AFF", "digest of it")
    assert (await committed(vault, grant, arrived=[HELLO])).known == frozenset()
    assert await vault.had("s", "3AFF", "digest of it")
    again = await committed(vault, grant, arrived=[HELLO])
    assert again.known == {("3AFF", "digest of it")}
    anew = InboxMessage("3AFF", "encrypted anew", b"hello")
    assert (await committed(vault, grant, arrived=[anew])).known == frozenset()
    assert (await opened(vault)).untold == (HELLO, anew)


async def test_what_was_told_is_told_to_no_later_holder_and_still_known(vault: SqlVault) -> None:
    grant = await opened(vault)
    others = [InboxMessage(f"3A{number}", "", str(number).encode()) for number in range(30)]
    await committed(vault, grant, arrived=[HELLO, *others])
    await vault.told(grant, [("3AFF", "digest of it")])
    after = await opened(vault, holder=TWO)
    assert list(after.untold) == others, "in the order of their coming"
    assert (await committed(vault, after, arrived=[HELLO])).known == {("3AFF", "digest of it")}


async def test_what_nobody_is_to_hear_is_only_known(vault: SqlVault) -> None:
    grant = await opened(vault)
    await committed(vault, grant, arrived=[InboxMessage("3A00", "of no content", None)])
    assert await vault.had("s", "3A00", "of no content")
    assert (await opened(vault)).untold == ()


async def test_a_message_of_an_id_that_is_reserved_keeps_its_counter_and_its_frame(vault: SqlVault) -> None:
    grant = await opened(vault)
    assert await reserved(vault, grant, "m1") == [1]
    done = await committed(vault, grant, RATCHET, unsent=unsent("m1", "m2", "m2"))
    assert done.reservations == [ReservedBefore(1, acknowledged=False), Reserved(2), Reserved(2)]
    await vault.acknowledge(grant, [1])
    again = await committed(vault, grant, RATCHET, unsent=unsent("m1"))
    assert again.reservations == [ReservedBefore(1, acknowledged=True)]


async def test_keys_die_with_the_login_and_what_came_in_stays(vault: SqlVault) -> None:
    grant = await saved(vault, await opened(vault))
    await committed(vault, grant, RATCHET, arrived=[HELLO], unsent=unsent("m1"))
    assert await vault.forget(grant) is None
    assert await vault.keys("s", "session", ["62811.0"]) == {}
    after = await opened(vault)
    assert (after.login, after.unfinished, after.untold) == (None, (), (HELLO,))


async def test_a_login_that_is_taken_in_brings_its_keys_and_ends_those_before(vault: SqlVault) -> None:
    grant = await opened(vault)
    await committed(vault, grant, RATCHET)
    await vault.adopt({"s": LOGIN, "t": LOGIN}, {"s": [SessionKey("session", "62899.0", b"brought along")]})
    assert await vault.keys("s", "session", ["62811.0", "62899.0"]) == {"62899.0": b"brought along"}
    assert (await opened(vault)).login == LOGIN


async def test_keys_and_messages_are_sealed_and_a_new_vault_key_takes_them_over(
    vault: SqlVault, database: Database
) -> None:
    grant = await opened(vault)
    await committed(vault, grant, RATCHET, arrived=[HELLO])
    assert b"hello" not in repr(await rows(database)).encode()
    newer = await vault_of(database, fresh_key("second"), KEY)
    assert await newer.left_to_rotate() == 2
    assert (await newer.rotate(10)).resealed == 2
    assert await newer.left_to_rotate() == 0
    assert await newer.keys("s", "session", ["62811.0"]) == {"62811.0": RATCHET.value}
    assert (await opened(newer)).untold == (HELLO,)
    await newer.close()


async def test_told_messages_are_forgotten_when_whatsapp_offers_them_no_more(
    vault: SqlVault, database: Database
) -> None:
    grant = await opened(vault)
    await committed(vault, grant, arrived=[HELLO, InboxMessage("3A01", "", b"untold")])
    await vault.told(grant, [("3AFF", "digest of it")])
    await vault.release([grant])
    house = SqlReservations(database)

    async def kept() -> int | None:
        return await database.read(lambda c: c.scalar(select(func.count()).select_from(inbox)))

    assert (await house.prune(keep_s=0, limit=10), await kept()) == (0, 2)
    old = update(inbox).values(arrived_at=database.instant(-REPEATED_WITHIN_S - 60))
    await database.write(lambda c: c.execute(old))
    told = update(inbox).where(inbox.c.told_at.is_not(None)).values(told_at=inbox.c.arrived_at)
    await database.write(lambda c: c.execute(told))
    assert (await house.prune(keep_s=0, limit=10), await kept()) == (1, 1)


async def test_what_was_sent_is_forgotten_after_a_while_and_no_other_key_is(
    vault: SqlVault, database: Database
) -> None:
    grant = await opened(vault)
    sent = [SessionKey(SENT, f"3EB0{number}", b"what it said") for number in range(5)]
    await committed(vault, grant, RATCHET, *sent)
    house = SqlReservations(database)
    assert await house.forget_sent(keep_s=60, limit=10) == 0
    aged = update(session_keys).values(updated_at=database.instant(-120))
    await database.write(lambda c: c.execute(aged))
    await committed(vault, grant, SessionKey(SENT, "3EB00", b"sealed anew"))
    assert await house.forget_sent(keep_s=60, limit=3) == 3
    assert await house.forget_sent(keep_s=60, limit=3) == 1
    assert await vault.keys("s", SENT, [f"3EB0{number}" for number in range(5)]) == {"3EB00": b"sealed anew"}
    assert await vault.keys("s", RATCHET.kind, [RATCHET.id]) == {RATCHET.id: RATCHET.value}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_was_sent_is_found_by_its_index_and_not_among_all_keys(database: Database) -> None:
    asked = sent_before(literal_column("'2026-01-01'")).limit(10).compile(dialect=sqlite.dialect())
    given = tuple(asked.params[name] for name in asked.positiontup or ())
    plan = await database.read(lambda c: c.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}", given).all())
    assert any("session_keys_sent_idx" in row.detail for row in plan), plan
