"""The vault: one holder at a time, nothing under a stale epoch, no counter twice, on every store."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, text
from vaults import LOGIN, ONE, THREE, TWO, opened, reserved, saved, unsent, vault_of

from clocks import PassTime, SteppedClock
from homing.model.fleet import PlacementState, SessionStatus
from homing.model.instances.vault import Grant, Holder, Holding, Reserved, ReservedBefore, StaleEpoch
from homing.ports import StoreUnavailable
from homing.store.db.database import Database
from homing.store.db.opening import open_database
from homing.store.db.schema.tables import credentials, incarnations, reservations, sessions
from homing.store.grants.leases import SqlLeases
from homing.store.vault.settling import SqlReservations
from homing.store.vault.vault import SqlVault


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[SqlVault]:
    opened = await vault_of(database)
    yield opened
    await opened.close()


# --- opening ------------------------------------------------------------------------------------------------------


async def test_a_session_is_opened_and_its_login_comes_back_to_the_next_holder(vault: SqlVault) -> None:
    grant = await opened(vault)
    assert (grant.epoch, grant.login, grant.login_version, grant.next_counter) == (1, None, 0, 1)
    kept = await saved(vault, grant)
    assert (kept.login, kept.login_version, kept.epoch) == (LOGIN, 1, 1)
    after = await opened(vault, holder=TWO)
    assert (after.epoch, after.login, after.login_version, after.holder) == (2, LOGIN, 1, TWO)
    assert await vault.epoch("s") == 2
    assert await vault.epoch("never opened") == 0


async def test_who_names_no_epoch_takes_the_next_one_on_the_same_boot_too(vault: SqlVault) -> None:
    assert [(await opened(vault)).epoch for _ in range(3)] == [1, 2, 3]


async def test_a_higher_epoch_is_taken_and_a_lower_one_refused(vault: SqlVault) -> None:
    assert (await opened(vault, epoch=7)).epoch == 7
    assert await vault.open("s", epoch=6, holder=TWO) == StaleEpoch(7)
    assert await vault.open("s", epoch=0, holder=ONE) == StaleEpoch(7)
    assert (await opened(vault, epoch=9, holder=TWO)).epoch == 9


async def test_the_same_epoch_opens_again_only_for_the_boot_that_has_it(vault: SqlVault) -> None:
    await opened(vault, epoch=3)
    assert (await opened(vault, epoch=3)).epoch == 3
    assert await vault.open("s", epoch=3, holder=TWO) == StaleEpoch(3)
    assert await vault.open("s", epoch=3, holder=Holder(ONE.instance_url, "its next boot")) == StaleEpoch(3)
    assert await vault.open("s", epoch=3, holder=Holder("elsewhere", ONE.incarnation)) == StaleEpoch(3)


async def test_the_next_epoch_is_above_the_directorys_too(vault: SqlVault, database: Database) -> None:
    row = {"session_id": "s", "epoch": 41, "state": PlacementState.HELD, "status": SessionStatus.UNKNOWN}
    at = SteppedClock().now()
    await database.write(lambda c: c.execute(insert(sessions).values(**row, updated_at=at)))
    assert (await opened(vault)).epoch == 42
    assert (await opened(vault)).epoch == 43


async def test_many_are_opened_at_once_each_at_its_own_epoch(vault: SqlVault) -> None:
    await saved(vault, await opened(vault, "known", epoch=5, holder=TWO))
    answers = await vault.open_many({"known": 5, "also": 4, "fresh": None, "odd \0 \ud800": None}, holder=ONE)
    assert answers.pop("known") == StaleEpoch(5)
    grants = {session: grant.epoch for session, grant in answers.items() if isinstance(grant, Grant)}
    assert grants == {"also": 4, "fresh": 1, "odd \0 \ud800": 1}
    assert await vault.open_many({}, holder=ONE) == {}
    odd = answers["odd \0 \ud800"]
    assert isinstance(odd, Grant)
    assert await reserved(vault, await saved(vault, odd), "m \0") == [1]
    assert (await opened(vault, "odd \0 \ud800")).unfinished[0].frame == b"frame of m \0"


async def test_thousands_are_opened_at_once(vault: SqlVault) -> None:
    answers = await vault.open_many({f"s{number}": None for number in range(2_500)}, holder=ONE)
    assert all(isinstance(answer, Grant) for answer in answers.values())
    assert len(await vault.held_by_boot(ONE)) == 2_500


async def test_a_boot_hears_how_many_grants_were_taken_from_it(vault: SqlVault, database: Database) -> None:
    leases = SqlLeases(database)
    for holder in (ONE, TWO):
        await leases.begin(holder, expiry_s=6)
    await vault.open_many({f"s{number}": None for number in range(3)}, holder=ONE)
    await vault.open_many({"s0": None, "s1": 9, "s2": 1}, holder=TWO)
    await opened(vault, "s0", holder=TWO)
    await opened(vault, "s3", holder=ONE)
    renewals = [await leases.renew(holder, expiry_s=6) for holder in (ONE, TWO)]
    assert [renewal.revoked for renewal in renewals if renewal is not None] == [2, 0]


async def test_of_openers_at_the_same_time_each_has_an_epoch_of_its_own(vault: SqlVault) -> None:
    boots = [Holder(f"http://localhost:{number}", f"boot-{number}") for number in range(12)]
    grants = await asyncio.gather(*(opened(vault, holder=boot) for boot in boots))
    assert sorted(grant.epoch for grant in grants) == list(range(1, 13))
    last = max(grants, key=lambda grant: grant.epoch)
    answers = await asyncio.gather(*(vault.reserve(grant, unsent(f"m{grant.epoch}")) for grant in grants))
    for grant, answer in zip(grants, answers, strict=True):
        assert answer == ([Reserved(1)] if grant is last else StaleEpoch(12))


async def test_overlapping_batches_of_openers_do_not_block_each_other(vault: SqlVault) -> None:
    names = [f"s{number}" for number in range(200)]

    async def open_all(holder: Holder, seed: int) -> list[int]:
        mixed = random.Random(seed).sample(names, len(names))
        grants = await vault.open_many(dict.fromkeys(mixed), holder=holder)
        return [grants[name].epoch for name in names]  # type: ignore[union-attr]

    epochs = await asyncio.gather(*(open_all(holder, seed) for seed, holder in enumerate((ONE, TWO, THREE))))
    assert all(sorted(of_one) == [1, 2, 3] for of_one in zip(*epochs, strict=True))


# --- writing under a grant ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [TWO, Holder(ONE.instance_url, "its next boot"), ONE])
async def test_a_holder_whose_grant_was_superseded_can_change_nothing(
    vault: SqlVault, database: Database, by: Holder
) -> None:
    old = await saved(vault, await opened(vault))
    await reserved(vault, old, "m1")
    await opened(vault, holder=by)

    async def all_rows() -> list[object]:
        return await database.read(lambda c: [*c.execute(select(credentials)), *c.execute(select(reservations))])

    before = await all_rows()
    assert await vault.reserve(old, unsent("m1", "m2")) == StaleEpoch(2)
    assert await vault.save(old, {"stolen": True}) == StaleEpoch(2)
    assert await vault.forget(old) == StaleEpoch(2)
    assert await vault.release([old]) == {"s": StaleEpoch(2)}
    assert await vault.redeclare([old]) == {"s": StaleEpoch(2)}
    assert await vault.drop(old, [1]) == StaleEpoch(2)
    await vault.acknowledge(old, [1])
    await vault.close()
    assert await all_rows() == before


async def test_a_grant_is_of_use_to_the_boot_that_it_was_given_to_and_to_no_other(vault: SqlVault) -> None:
    """One that says the right epoch and address, and is another boot there."""
    mine = await saved(vault, await opened(vault))
    await reserved(vault, mine, "m1")
    other = replace(mine, holder=Holder(ONE.instance_url, "its next boot"))
    assert await vault.reserve(other, unsent("m2")) == StaleEpoch(1)
    assert await vault.save(other, {"stolen": True}) == StaleEpoch(1)
    assert await vault.release([other]) == {"s": StaleEpoch(1)}
    await vault.acknowledge(other, [1])
    await vault.close()
    assert [left.message_id for left in (await opened(vault, holder=TWO)).unfinished] == ["m1"]


async def test_saves_that_meet_are_kept_in_their_order(vault: SqlVault) -> None:
    grant = await opened(vault)
    other = await opened(vault, "other")
    stale = replace(other, epoch=0)
    answers = await asyncio.gather(
        vault.save(grant, {"n": 1}),
        vault.save(stale, {"n": 9}),
        vault.save(grant, {"n": 2}),
        vault.save(other, {"n": 3}),
    )
    assert [each.login_version if isinstance(each, Grant) else each for each in answers] == [1, StaleEpoch(1), 2, 1]
    assert (await opened(vault)).login == {"n": 2}
    assert await vault.save(replace(grant, session_id="unknown"), LOGIN) == StaleEpoch(0)


async def test_a_forgotten_login_is_gone_and_its_epoch_and_counters_stay(vault: SqlVault) -> None:
    grant = await saved(vault, await opened(vault))
    await reserved(vault, grant, "m1", "m2")
    assert await vault.forget(grant) is None
    assert await reserved(vault, grant, "m1") == [3]
    after = await opened(vault)
    assert (after.epoch, after.login, after.next_counter) == (2, None, 4)
    assert (await saved(vault, after)).login_version > grant.login_version


async def test_a_released_session_is_held_by_nobody_and_keeps_its_login(vault: SqlVault) -> None:
    grant = await saved(vault, await opened(vault))
    empty = await opened(vault, "never linked")
    gone = replace(await opened(vault, "elsewhere"), epoch=99)
    assert await vault.release([grant, empty, gone]) == {"elsewhere": StaleEpoch(1)}
    assert await vault.release([]) == {}
    assert await vault.unheld(["s", "never linked", "elsewhere", "unknown"]) == [Holding("s", 1)]
    assert await vault.held_by_boot(ONE) == {"elsewhere": 1}
    assert await vault.reserve(grant, unsent("m")) == StaleEpoch(1)
    assert await vault.open("s", epoch=1, holder=ONE) == StaleEpoch(1), "what was given up takes a new epoch"
    assert (await opened(vault)).login == LOGIN


async def test_who_holds_what_is_told_by_address_and_by_boot(vault: SqlVault) -> None:
    earlier = Holder(ONE.instance_url, "an earlier boot")
    await saved(vault, await opened(vault, "a", holder=earlier))
    await saved(vault, await opened(vault, "b", epoch=4))
    await opened(vault, "no login", epoch=5)
    await saved(vault, await opened(vault, "c", holder=TWO))
    assert await vault.held_by(ONE.instance_url) == [Holding("a", 1), Holding("b", 4)]
    assert await vault.held_by_boot(ONE) == {"b": 4, "no login": 5}
    assert await vault.held_by_boot(earlier) == {"a": 1}


async def test_an_adopted_login_waits_for_whoever_opens_the_session(vault: SqlVault) -> None:
    held = await saved(vault, await opened(vault, "held"))
    await reserved(vault, held, "m")
    await vault.adopt({"fresh": LOGIN, "held": {"new": 1}})
    await vault.adopt({})
    assert await vault.unheld(["fresh", "held"]) == [Holding("fresh", 0), Holding("held", 1)]
    assert (await opened(vault, "fresh")).login == LOGIN
    assert await vault.save(held, LOGIN) == StaleEpoch(1)
    after = await opened(vault, "held", holder=TWO)
    assert (after.epoch, after.login, after.next_counter) == (2, {"new": 1}, 2)


# --- counters -----------------------------------------------------------------------------------------------------


async def test_messages_are_numbered_in_their_order_and_each_once(vault: SqlVault) -> None:
    grant = await opened(vault)
    assert await vault.reserve(grant, unsent("a", "b")) == [Reserved(1), Reserved(2)]
    assert await vault.reserve(grant, unsent("b", "c", "c")) == [
        ReservedBefore(2, acknowledged=False),
        Reserved(3),
        ReservedBefore(3, acknowledged=False),
    ]
    assert await vault.reserve(grant, []) == []


async def test_calls_that_meet_share_a_batch_and_keep_their_order(vault: SqlVault, statements: list[str]) -> None:
    grants = [await opened(vault, f"s{number}") for number in range(4)]
    statements.clear()
    answers = await asyncio.gather(*(vault.reserve(grants[n % 4], unsent(f"m{n}")) for n in range(400)))
    assert [answer[0].counter for answer in answers] == [1 + n // 4 for n in range(400)]  # type: ignore[index]
    assert len([each for each in statements if "reservations" in each]) <= 4


async def test_a_stale_holder_in_a_batch_harms_no_other(vault: SqlVault) -> None:
    stale, other = await opened(vault), await opened(vault, "other")
    held = await opened(vault, holder=TWO)
    answers = await asyncio.gather(
        vault.reserve(stale, unsent("m")), vault.reserve(other, unsent("m")), vault.reserve(held, unsent("m"))
    )
    assert answers == [StaleEpoch(2), [Reserved(1)], [Reserved(1)]]


async def test_the_next_holder_gets_what_is_unfinished_as_it_was(vault: SqlVault, pass_time: PassTime) -> None:
    grant = await opened(vault)
    await reserved(vault, grant, "m1", "m2", "m3", "m4")
    await vault.acknowledge(grant, [2])
    await vault.drop(grant, [4])
    await pass_time(40)
    await reserved(vault, grant, "m5")
    after = await opened(vault, holder=TWO)
    assert [(each.counter, each.message_id, each.frame) for each in after.unfinished] == [
        (1, "m1", b"frame of m1"),
        (3, "m3", b"frame of m3"),
        (5, "m5", b"frame of m5"),
    ]
    assert [each.age_s for each in after.unfinished] == pytest.approx([40, 40, 0], abs=5)
    assert after.next_counter == 6
    assert await vault.reserve(after, unsent("m1", "m2", "m4", "m6")) == [
        ReservedBefore(1, acknowledged=False),
        ReservedBefore(2, acknowledged=True),
        Reserved(6),
        Reserved(7),
    ]
    await vault.acknowledge(after, [1, 3, 5, 6])
    assert [each.message_id for each in (await opened(vault)).unfinished] == ["m6"]


async def test_an_acknowledgement_counts_at_once_and_is_written_soon(vault: SqlVault, database: Database) -> None:
    grant = await opened(vault)
    await reserved(vault, grant, "m1", "m2")
    await vault.acknowledge(grant, [1])
    assert await vault.reserve(grant, unsent("m1")) == [ReservedBefore(1, acknowledged=True)]
    frames = select(reservations.c.frame.is_not(None)).order_by(reservations.c.counter)
    for _ in range(500):
        if await database.read(lambda c: list(c.scalars(frames))) == [False, True]:
            return
        await asyncio.sleep(0.01)
    pytest.fail("the acknowledgement was never written, or its frame is kept")


async def test_what_was_acknowledged_is_forgotten_after_a_while(
    vault: SqlVault, database: Database, pass_time: PassTime
) -> None:
    house = SqlReservations(database)
    grant = await opened(vault)
    await reserved(vault, grant, *(f"m{number}" for number in range(6)))
    await vault.acknowledge(grant, [1, 2, 3])
    await vault.drop(grant, [4])
    grant = await opened(vault)
    assert await house.prune(keep_s=60, limit=100) == 0
    await pass_time(61)
    assert await house.prune(keep_s=60, limit=2) == 2
    assert await house.prune(keep_s=60, limit=2) == 1
    assert [each.message_id for each in (await opened(vault)).unfinished] == ["m4", "m5"]


async def test_a_closed_vault_has_written_what_it_was_told(database: Database) -> None:
    vault = await vault_of(database)
    grant = await opened(vault)
    waiting = asyncio.ensure_future(vault.reserve(grant, unsent("m1")))
    await asyncio.sleep(0)
    await vault.acknowledge(grant, [1])
    await vault.close()
    assert await waiting == [Reserved(1)]
    with pytest.raises(StoreUnavailable):
        await vault.reserve(grant, unsent("m2"))
    await vault.acknowledge(grant, [1])
    again = await vault_of(database)
    await opened(again, holder=TWO)
    await again.close()


async def test_a_store_that_is_away_is_unavailable_to_everybody_in_the_batch(sqlite_url: str) -> None:
    database = open_database(sqlite_url)
    vault = await vault_of(database)
    grants = [await opened(vault, f"s{number}") for number in range(3)]
    await database.write(lambda c: c.execute(text("ALTER TABLE reservations RENAME TO gone")))
    answers = await asyncio.gather(*(vault.reserve(g, unsent("m")) for g in grants), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 3
    await vault.acknowledge(grants[0], [1])
    await database.write(lambda c: c.execute(text("ALTER TABLE gone RENAME TO reservations")))
    assert await reserved(vault, grants[0], "m") == [1]
    assert await vault.reserve(grants[0], unsent("m")) == [ReservedBefore(1, acknowledged=True)], "the note was kept"
    await vault.close()
    await database.close()


async def test_a_reservation_that_is_done_twice_answers_the_same(postgres_url: str, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """As when the connection is lost between the commit and the answer."""
    database = open_database(postgres_url)
    vault = await vault_of(database)
    grant = await opened(vault)
    at_once = database.write_at_once

    async def twice(fn):  # type: ignore[no-untyped-def]
        await asyncio.gather(at_once(fn), at_once(fn))
        return await at_once(fn)

    monkeypatch.setattr(database, "write_at_once", twice)
    assert await vault.reserve(grant, unsent("a", "b")) == [Reserved(1), Reserved(2)]
    assert (await vault.reserve(grant, unsent("b", "c")))[0] == ReservedBefore(2, acknowledged=False)  # type: ignore[index]
    rows = await database.read(lambda c: list(c.execute(select(reservations.c.counter).order_by("counter"))))
    assert len(rows) == 3
    await vault.close()
    await database.close()


async def test_connections_that_died_meanwhile_cost_nobody_a_reservation(postgres_url: str) -> None:
    database, other = open_database(postgres_url), open_database(postgres_url)
    vault = await vault_of(database)
    grant = await opened(vault)
    await reserved(vault, grant, "m1")
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    await other.read(lambda c: c.execute(text(f"{kill} AND pid <> pg_backend_pid()")).all())
    answers = await asyncio.gather(*(vault.reserve(grant, unsent(f"n{number}")) for number in range(5)))
    assert answers == [[Reserved(2 + number)] for number in range(5)]
    await vault.close()
    for each in (database, other):
        await each.close()


# --- after a store lost its newest commits ------------------------------------------------------------------------


async def test_what_is_said_again_raises_what_the_store_forgot(vault: SqlVault, database: Database) -> None:
    grant = await saved(vault, await opened(vault))
    await reserved(vault, grant, "m1")
    async with _rolled_back(database):
        grant = await saved(vault, await opened(vault), {"newer": True})
        await reserved(vault, grant, "m2", "m3")
        fresh = await saved(vault, await opened(vault, "fresh", epoch=4))
    assert await vault.epoch("s") == 1
    assert await vault.reserve(grant, unsent("m4")) == StaleEpoch(1)
    assert await vault.redeclare([replace(grant, next_counter=4), fresh]) == {}
    assert await vault.held_by_boot(ONE) == {"s": 2, "fresh": 4}
    assert await reserved(vault, grant, "m4") == [4]
    after = await opened(vault, holder=TWO)
    assert (after.epoch, after.login, after.login_version) == (3, {"newer": True}, 2)
    assert [each.message_id for each in after.unfinished] == ["m1", "m4"]


async def test_a_counter_is_not_given_twice_though_the_store_forgot_that_it_was(
    vault: SqlVault, database: Database
) -> None:
    grant = await saved(vault, await opened(vault))
    await reserved(vault, grant, "m1")
    async with _rolled_back(database):
        await reserved(vault, grant, "m2", "m3")
    assert await reserved(vault, replace(grant, next_counter=4), "m4", "m5") == [4, 5]
    assert (await opened(vault, holder=TWO)).next_counter == 6


async def test_what_is_said_again_brings_back_a_lost_login_under_the_same_epoch(
    vault: SqlVault, database: Database
) -> None:
    grant = await opened(vault)
    async with _rolled_back(database):
        grant = await saved(vault, grant)
        await reserved(vault, grant, "m1")
    assert await vault.redeclare([replace(grant, next_counter=2)]) == {}
    assert await reserved(vault, grant, "m2") == [2]
    assert (await opened(vault)).login == LOGIN


async def test_a_higher_epoch_stands_against_what_is_said_again(vault: SqlVault, database: Database) -> None:
    grant = await opened(vault)
    async with _rolled_back(database):
        grant = await opened(vault)
    other = await opened(vault, epoch=2, holder=TWO)
    assert await vault.redeclare([grant]) == {"s": StaleEpoch(2)}
    assert await vault.redeclare([]) == {}
    assert await reserved(vault, other, "m") == [1]


class _rolled_back:  # noqa: N801
    """What the block commits is lost afterwards, as when a replica that lags becomes the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __aenter__(self) -> None:
        read = self._database.read
        self._kept = await read(lambda c: [(table, list(c.execute(select(table)))) for table in _VAULT])

    async def __aexit__(self, *_: object) -> None:
        def restore(connection) -> None:  # type: ignore[no-untyped-def]
            for table, rows in self._kept:
                connection.execute(table.delete())
                if rows:
                    connection.execute(insert(table), [row._asdict() for row in rows])

        await self._database.write(restore)


_VAULT = (credentials, reservations, incarnations)


# --- any history --------------------------------------------------------------------------------------------------

BOOTS = [ONE, TWO, THREE]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.sampled_from(BOOTS), st.none() | st.integers(0, 9)),
        st.tuples(st.just("reserve"), st.sampled_from(BOOTS), st.lists(st.integers(0, 12), max_size=3)),
        st.tuples(st.just("acknowledge"), st.sampled_from(BOOTS), st.integers(1, 12)),
        st.tuples(st.just("release"), st.sampled_from(BOOTS), st.none()),
        st.tuples(st.just("save"), st.sampled_from(BOOTS), st.integers()),
        st.tuples(st.just("redeclare"), st.sampled_from(BOOTS), st.none()),
        st.tuples(st.just("forget"), st.sampled_from(BOOTS), st.none()),
    ),
    max_size=30,
)


@given(steps)
@settings(max_examples=80)
async def test_in_any_history_epochs_and_counters_only_rise(history: list[tuple[str, Holder, object]]) -> None:
    database = open_database("sqlite://", now=SteppedClock().now)
    vault = await vault_of(database)
    told = Told(vault)
    for what, boot, how in history:
        await getattr(told, what)(boot, how)
    await vault.close()
    await database.close()


class Told:
    """Boots that use one session's credentials as they like, and what must hold whatever they do."""

    def __init__(self, vault: SqlVault) -> None:
        self.vault = vault
        self.grants: dict[Holder, Grant] = {}
        self.epoch, self.holder = 0, None
        self.counters: dict[str, int] = {}
        self.finished: set[str] = set()
        self.last = 0
        self.login: object = None

    async def open(self, boot: Holder, epoch: int | None) -> None:
        answer = await self.vault.open("s", epoch=epoch, holder=boot)
        again = epoch == self.epoch and self.holder == boot
        if isinstance(answer, StaleEpoch):
            assert epoch is not None
            assert epoch <= self.epoch == answer.current
            assert not again
            return
        assert again or answer.epoch > self.epoch
        assert epoch is None or answer.epoch == epoch
        self.epoch, self.holder = answer.epoch, boot
        self.grants[boot] = answer
        assert answer.next_counter == self.last + 1
        assert answer.login == self.login
        unfinished = {each.message_id: each.counter for each in answer.unfinished}
        assert unfinished == {name: own for name, own in self.counters.items() if name not in self.finished}

    async def reserve(self, boot: Holder, numbers: list[int]) -> None:
        if boot not in self.grants:
            return
        ids = [f"m{number}" for number in numbers]
        answers = await self.vault.reserve(self.grants[boot], unsent(*ids))
        if ids and not self._stands(boot):
            assert answers == StaleEpoch(self.epoch)
            return
        assert isinstance(answers, list)
        for name, answer in zip(ids, answers, strict=True):
            if isinstance(answer, Reserved):
                assert name not in self.counters
                assert answer.counter == self.last + 1
                self.last = self.counters[name] = answer.counter
            else:
                assert answer == ReservedBefore(self.counters[name], acknowledged=name in self.finished)

    async def acknowledge(self, boot: Holder, counter: int) -> None:
        """Of a frame that left. What is acknowledged is written a moment later: a number that nobody has yet would by
        then be that of a message."""
        if counter <= self.last and boot in self.grants and self._stands(boot):
            await self.vault.acknowledge(self.grants[boot], [counter])
            self.finished |= {name for name, own in self.counters.items() if own == counter}

    async def release(self, boot: Holder, _: object) -> None:
        if boot in self.grants:
            stands = self._stands(boot)
            answer = await self.vault.release([self.grants[boot]])
            assert answer == ({} if stands else {"s": StaleEpoch(self.epoch)})
            self.holder = None if stands else self.holder

    async def save(self, boot: Holder, number: int) -> None:
        if boot in self.grants:
            answer = await self.vault.save(self.grants[boot], {"n": number})
            assert isinstance(answer, Grant) == self._stands(boot)
            if isinstance(answer, Grant):
                self.grants[boot], self.login = answer, {"n": number}

    async def redeclare(self, boot: Holder, _: object) -> None:
        if boot in self.grants:
            answer = await self.vault.redeclare([self.grants[boot]])
            assert answer == ({} if self._stands(boot) else {"s": StaleEpoch(self.epoch)})

    async def forget(self, boot: Holder, _: object) -> None:
        if boot in self.grants and await self.vault.forget(self.grants[boot]) is None:
            assert self._stands(boot)
            self.login = None
            self.counters.clear()
            self.finished.clear()

    def _stands(self, boot: Holder) -> bool:
        return self.holder == boot and self.grants[boot].epoch == self.epoch


async def test_a_message_that_was_dropped_has_a_new_counter_when_it_is_wanted_again(vault: SqlVault) -> None:
    grant = await opened(vault)
    assert await reserved(vault, grant, "a", "b") == [1, 2]
    assert await vault.drop(grant, [1]) is None
    assert await vault.drop(grant, []) is None
    assert await vault.reserve(grant, unsent("c", "a", "a")) == [
        Reserved(3),
        Reserved(4),
        ReservedBefore(4, acknowledged=False),
    ]
    again = await opened(vault)
    assert [(each.counter, each.message_id) for each in again.unfinished] == [(2, "b"), (3, "c"), (4, "a")]
