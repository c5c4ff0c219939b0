"""The audit log: with the change or not at all, in one chain, and what was done to it afterwards is found."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fleets import A, B, new_account, placed_account
from sqlalchemy import Connection, text

from clocks import SteppedClock
from homing.decide.access.audit import ChainKeys
from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.background.auditing import AuditBroken, Auditing
from homing.model.alerts import AlertKind
from homing.model.directory.access import Key, Scope
from homing.model.directory.audit import Act, ChainVerdict, Entry, Mark, Via, carrying_out
from homing.model.fleet import InstanceState, MoveKind, Rebinding, Takeover
from homing.model.work import NewJob, Tick
from homing.ports import NameTaken, Page
from homing.store.db.database import Database
from homing.store.db.opening import open_database
from homing.store.directory.directory import SqlDirectory
from homing.store.records.audit import SqlAudit
from homing.store.work.queue import SqlWork

BY_HAND = Act("a1", Via.API, "ops", "POST /accounts", "192.0.2.7", "k1", None)
KEYS = ChainKeys.of("a secret of the gateways")
TICK = Tick("audit-log", datetime(2026, 1, 1, tzinfo=UTC), 1, taken_over=False, reason="due")


@pytest.fixture
def audit(database: Database) -> SqlAudit:
    return SqlAudit(database, KEYS)


async def entries(audit: SqlAudit) -> list[Entry]:
    return list(reversed(await audit.page(Page(limit=500))))


async def some(audit: SqlAudit, directory: SqlDirectory, count: int = 5) -> None:
    with carrying_out(BY_HAND):
        for number in range(count):
            await directory.create_account(new_account(number))


def keeping(audit: SqlAudit, keys: ChainKeys = KEYS, *, keep_days: float = 0.0) -> Auditing:
    return Auditing(audit, SteppedClock(), keys, keep_days=keep_days)


async def chained(audit: SqlAudit, keys: ChainKeys = KEYS) -> None:
    await keeping(audit, keys).tick(TICK)


async def verified(audit: SqlAudit, keys: ChainKeys = KEYS) -> ChainVerdict:
    return await keeping(audit, keys).verify()


# --- entries --------------------------------------------------------------------------------------------------


async def test_a_change_by_nobodys_act_leaves_no_entry(audit: SqlAudit, directory: SqlDirectory) -> None:
    await directory.create_account(new_account(1))
    await audit.note("cache.cleared", "cache")
    assert await entries(audit) == []


async def test_an_entry_says_who_by_what_from_where_and_what_was_before_and_is_after(
    audit: SqlAudit, directory: SqlDirectory
) -> None:
    account = await directory.create_account(new_account(1))
    with carrying_out(BY_HAND):
        await directory.change_account(account, {"takeover": Takeover.NEVER})
    [entry] = await entries(audit)
    assert entry.act == BY_HAND
    assert (entry.action, entry.subject) == ("account.changed", f"account {account.id}")
    assert (entry.before, entry.after) == ({"takeover": "auto"}, {"takeover": "never"})
    assert abs(datetime.now(UTC) - entry.at) < timedelta(minutes=5)


async def test_what_is_set_to_what_it_was_is_no_change(audit: SqlAudit, directory: SqlDirectory) -> None:
    account = await directory.create_account(new_account(1))
    with carrying_out(BY_HAND):
        await directory.change_account(account, {"takeover": account.takeover})
    assert await entries(audit) == []


async def test_a_change_that_fails_leaves_no_entry(audit: SqlAudit, directory: SqlDirectory) -> None:
    with carrying_out(BY_HAND):
        await directory.create_instance(A)
        with pytest.raises(NameTaken):
            await directory.create_instance(A)
    assert [entry.action for entry in await entries(audit)] == ["instance.added"]


async def test_a_change_that_is_undone_takes_its_entry_along(
    audit: SqlAudit, directory: SqlDirectory, database: Database
) -> None:
    """The entry is in the change's own transaction: what fails behind it undoes both."""

    class Undone(Exception):
        pass

    write = database.write

    async def failing(fn: Callable[[Connection], Any]) -> Any:
        def undone(connection: Connection) -> None:
            fn(connection)
            raise Undone

        return await write(undone)

    with carrying_out(BY_HAND):
        database.write = failing  # type: ignore[method-assign]
        with pytest.raises(Undone):
            await directory.create_account(new_account(1))
        database.write = write  # type: ignore[method-assign]
    assert await directory.account(None, uuid="account-1") is None
    assert await entries(audit) == []


async def test_acts_at_the_same_time_do_not_mix(audit: SqlAudit, directory: SqlDirectory) -> None:
    """On a file they share one thread and one commit."""

    async def by(number: int) -> None:
        with carrying_out(Act(f"act {number}", Via.API, "ops", "POST /accounts")):
            await directory.create_account(new_account(number))

    await asyncio.gather(*(by(number) for number in range(20)), directory.create_account(new_account(99)))
    found = {entry.act.id: entry.after["uuid"] for entry in await entries(audit) if entry.after is not None}
    assert found == {f"act {number}": f"account-{number}" for number in range(20)}


async def test_no_phone_and_no_secret_is_in_an_entry(
    audit: SqlAudit, directory: SqlDirectory, clock: SteppedClock
) -> None:
    with carrying_out(BY_HAND):
        await directory.create_account(new_account(7))
        await directory.add_key(Key("k9", None, Scope.ADMIN, "+62 816-1086-412", "the-hash", clock.now()))
        await directory.rotate_key("k9", "another-hash", clock.now() + timedelta(hours=1))
    told = repr(await entries(audit))
    assert "62812000007" not in told
    assert "007" in told, "the last digits are enough to recognise it"
    assert "hash" not in told
    assert "1086-412" not in told, "a phone in a name is one too"


async def test_a_bulk_change_is_one_entry_with_its_number_and_digest(
    audit: SqlAudit, directory: SqlDirectory, work: SqlWork
) -> None:
    placed = [await placed_account(directory, number) for number in range(30)]
    changes = [
        Rebinding(each.placement, B, each.placement.epoch, MoveKind.REDISCOVERY, "found there") for each in placed
    ]
    jobs = [NewJob("rehome", {"reason": "by request"}, dedup=each.session_id) for each in placed]
    with carrying_out(BY_HAND):
        await directory.rebind(changes)
        await work.enqueue(jobs)
        await work.enqueue(jobs)
    moved, wanted = await entries(audit)
    assert (moved.action, moved.subject, moved.count) == ("session.placed", "30 sessions", 30)
    assert (wanted.action, wanted.count) == ("rehome.wanted", 30)
    assert moved.digest == wanted.digest, "of the same things"


async def test_every_change_of_the_directory_that_an_operator_asks_for_leaves_an_entry(
    audit: SqlAudit, directory: SqlDirectory, clock: SteppedClock
) -> None:
    with carrying_out(BY_HAND):
        await directory.create_instance(A)
        await directory.change_instance(A, {"capacity": 7})
        await directory.set_instance_state(A, InstanceState.DRAINING)
        await directory.set_instance_state(A, InstanceState.ACTIVE)
        await directory.delete_instance(A)
        await directory.add_key(Key("k9", None, Scope.ADMIN, "x", "hash", clock.now()))
        await directory.change_key("k9", {"name": "y"})
        await directory.rotate_key("k9", "hash-2", clock.now())
        await directory.revoke_key("k9", clock.now())
        account = await directory.create_account(new_account(1))
        await directory.change_workspace(account.workspace_id, {"region": "BR"})
        await directory.change_account(account, {"requires": {"rack": "b"}})
        await directory.delete_account(account)
    assert [entry.action for entry in await entries(audit)] == [
        "instance.added",
        "instance.changed",
        "instance.drained",
        "instance.undrained",
        "instance.removed",
        "key.created",
        "key.changed",
        "key.rotated",
        "key.revoked",
        "account.created",
        "workspace.changed",
        "account.changed",
        "account.deleted",
    ]


# --- the chain ------------------------------------------------------------------------------------------------


async def test_what_is_chained_holds_and_what_is_new_waits(audit: SqlAudit, directory: SqlDirectory) -> None:
    assert (await verified(audit)).holds
    await some(audit, directory, 3)
    await chained(audit)
    with carrying_out(BY_HAND):
        await directory.create_account(new_account(7))
    verdict = await verified(audit)
    assert (verdict.holds, verdict.entries, verdict.waiting, verdict.unkeyed) == (True, 3, 1, 0)
    await chained(audit)
    await chained(audit)
    verdict = await verified(audit)
    assert (verdict.holds, verdict.entries, verdict.waiting) == (True, 4, 0)


TAMPERING = {
    "an entry was changed": "UPDATE audit_log SET actor = 'somebody else' WHERE id = {third}",
    "what was before was changed": "UPDATE audit_log SET after = '{{}}' WHERE id = {third}",
    "its time was changed": "UPDATE audit_log SET at = '2020-01-01T00:00:00.000000Z' WHERE id = {third}",
    "an entry was removed": "DELETE FROM audit_log WHERE id = {third}",
    "the first one was removed": "DELETE FROM audit_log WHERE id = {first}",
    "the last ones were cut off": "DELETE FROM audit_log WHERE id >= {third}",
    "all were removed": "DELETE FROM audit_log",
    "an entry was made unchained": "UPDATE audit_log SET chain = NULL WHERE id = {third}",
    "the head was moved": "UPDATE audit_marks SET entry_id = {third} WHERE mark = 'head'",
    "the head was removed": "DELETE FROM audit_marks",
    "the chain was said to be unkeyed": "UPDATE audit_log SET keyed_by = '' WHERE id = {third}",
    "an entry was put in": (
        "INSERT INTO audit_log (id, at, act_id, via, actor, origin, request, action, subject, things, chain, keyed_by)"
        " SELECT {first} - 1, at, act_id, via, actor, origin, request, action, subject, things, chain, keyed_by"
        " FROM audit_log WHERE id = {third}"
    ),
}


@pytest.mark.parametrize("how", TAMPERING)
async def test_whatever_is_done_to_a_chained_log_is_found(
    audit: SqlAudit, directory: SqlDirectory, database: Database, how: str
) -> None:
    await some(audit, directory)
    await chained(audit)
    ids = [entry.id for entry in await entries(audit)]
    assert (await verified(audit)).holds
    statement = TAMPERING[how].format(first=ids[0], third=ids[2])
    assert (await database.write(lambda c: c.execute(text(statement)))).rowcount
    verdict = await verified(audit)
    assert verdict.broken is not None, how
    assert verdict.broken.entry_id <= ids[3]


async def test_the_first_changed_entry_is_named(audit: SqlAudit, directory: SqlDirectory, database: Database) -> None:
    await some(audit, directory)
    await chained(audit)
    third, fourth = [entry.id for entry in await entries(audit)][2:4]
    await database.write(lambda c: c.execute(text(f"UPDATE audit_log SET actor = 'x' WHERE id IN ({third}, {fourth})")))
    verdict = await verified(audit)
    assert verdict.broken is not None
    assert verdict.broken.entry_id == third


async def test_a_chain_does_not_go_on_behind_a_hole(
    audit: SqlAudit, directory: SqlDirectory, database: Database
) -> None:
    """Who cuts entries off and removes the head as well must not have it healed within a minute."""
    await some(audit, directory)
    await chained(audit)
    await database.write(lambda c: c.execute(text("DELETE FROM audit_marks")))
    await database.write(lambda c: c.execute(text("DELETE FROM audit_log WHERE id = (SELECT max(id) FROM audit_log)")))
    with pytest.raises(AuditBroken, match="head of the chain is gone"):
        await chained(audit)
    assert not (await verified(audit)).holds


async def test_a_chain_that_stands_still_is_an_alert_until_it_goes_on(
    audit: SqlAudit, directory: SqlDirectory, database: Database
) -> None:
    alerts = AlertBook(Unkept(), SteppedClock())
    auditing = Auditing(audit, SteppedClock(), KEYS, alerts=alerts)
    await some(audit, directory)
    await auditing.tick(TICK)
    read = text("SELECT signature FROM audit_marks WHERE mark = 'head'")
    kept = await database.read(lambda c: c.execute(read).scalar_one())
    await database.write(lambda c: c.execute(text("UPDATE audit_marks SET signature = 'x' WHERE mark = 'head'")))
    with pytest.raises(AuditBroken):
        await auditing.tick(TICK)
    assert [alert.kind for alert in alerts.standing()] == [AlertKind.AUDIT_STOPPED]
    restored = text("UPDATE audit_marks SET signature = :signature WHERE mark = 'head'")
    await database.write(lambda c: c.execute(restored, {"signature": kept}))
    await auditing.tick(TICK)
    assert not alerts.standing()


async def test_a_head_signed_without_the_secret_is_not_taken_up(
    audit: SqlAudit, directory: SqlDirectory, database: Database
) -> None:
    """Whoever has the database alone can make marks without a key: the chain must not sign them for him."""
    await some(audit, directory)
    await chained(audit)
    ids = [entry.id for entry in await entries(audit)]
    from homing.decide.access.audit import ChainKey, signed

    kept = (await entries(audit))[2]
    assert kept.chain is not None
    forged = signed(Mark.HEAD, kept.id, kept.chain, 3, datetime(2026, 1, 1, tzinfo=UTC), ChainKey())
    await database.write(lambda c: c.execute(text(f"DELETE FROM audit_log WHERE id > {ids[2]}")))
    values = {"entry": forged.entry_id, "chain": forged.chain, "signature": forged.signature}
    await database.write(
        lambda c: c.execute(
            text(
                "UPDATE audit_marks SET entry_id = :entry, chain = :chain, entries = 3, keyed_by = '',"
                " at = '2026-01-01T00:00:00.000000Z', signature = :signature"
            ),
            values,
        )
    )
    assert not (await verified(audit)).holds
    with pytest.raises(AuditBroken, match="without a secret"):
        await chained(audit)


async def test_without_a_secret_the_chain_says_so(database: Database, directory: SqlDirectory) -> None:
    audit = SqlAudit(database, ChainKeys.of(""))
    await some(audit, directory, 2)
    await chained(audit, ChainKeys.of(""))
    verdict = await verified(audit, ChainKeys.of(""))
    assert (verdict.holds, verdict.unkeyed) == (True, 2)


async def test_a_secret_that_is_replaced_stays_good_for_what_it_chained(
    database: Database, directory: SqlDirectory
) -> None:
    old, new = ChainKeys.of("old"), ChainKeys.of("new", ["old"])
    await some(SqlAudit(database, old), directory, 2)
    await chained(SqlAudit(database, old), old)
    with carrying_out(BY_HAND):
        await directory.create_account(new_account(77))
    audit = SqlAudit(database, new)
    await chained(audit, new)
    assert (await verified(audit, new)).holds
    alone = ChainKeys.of("new")
    verdict = await verified(SqlAudit(database, alone), alone)
    assert verdict.broken is not None
    assert "HOMING_OLD_SECRETS" in verdict.broken.reason


# --- retention ------------------------------------------------------------------------------------------------


async def test_retention_leaves_a_signed_start_from_which_the_rest_still_holds(
    audit: SqlAudit, directory: SqlDirectory, database: Database
) -> None:
    await some(audit, directory)
    await chained(audit)
    third = (await entries(audit))[2]
    assert await audit.prune(third.at, 500) == 2
    assert (await entries(audit))[0].id == third.id
    verdict = await verified(audit)
    assert (verdict.holds, verdict.entries, verdict.removed) == (True, 3, 2)
    assert await audit.prune(third.at + timedelta(microseconds=1), 500) == 1
    with carrying_out(BY_HAND):
        await directory.create_account(new_account(77))
    await chained(audit)
    verdict = await verified(audit)
    assert (verdict.holds, verdict.entries, verdict.removed) == (True, 3, 3)
    await database.write(lambda c: c.execute(text("UPDATE audit_marks SET entries = 4 WHERE mark = 'start'")))
    assert not (await verified(audit)).holds


async def test_removing_more_than_retention_did_is_found(
    audit: SqlAudit, directory: SqlDirectory, database: Database
) -> None:
    await some(audit, directory)
    await chained(audit)
    rows = await entries(audit)
    await audit.prune(rows[1].at, 500)
    await database.write(lambda c: c.execute(text(f"DELETE FROM audit_log WHERE id = {rows[1].id}")))
    verdict = await verified(audit)
    assert verdict.broken is not None
    assert verdict.broken.entry_id == rows[2].id


async def test_what_is_not_chained_yet_is_not_removed(audit: SqlAudit, directory: SqlDirectory) -> None:
    await some(audit, directory, 2)
    assert await audit.prune(datetime.now(UTC) + timedelta(days=1), 500) == 0
    await chained(audit)
    assert await audit.prune(datetime.now(UTC) + timedelta(days=1), 500) == 2
    verdict = await verified(audit)
    assert (verdict.holds, verdict.entries, verdict.removed) == (True, 0, 2)


async def test_the_job_removes_what_is_older_than_it_is_told(audit: SqlAudit, directory: SqlDirectory) -> None:
    await some(audit, directory, 2)
    old = keeping(audit, keep_days=1.0)
    assert await old.tick(TICK) == "2 entries chained, 0 removed"
    old._clock.advance((datetime.now(UTC) - old._clock.now()).total_seconds() + 2 * 86_400)  # type: ignore[attr-defined]
    assert await old.tick(TICK) == "0 entries chained, 2 removed"


# --- on PostgreSQL, where ids are given out before commits -----------------------------------------------------


async def test_an_entry_that_commits_late_is_chained_in_its_place(postgres_url: str, clock: SteppedClock) -> None:
    slow, quick = open_database(postgres_url), open_database(postgres_url)
    from homing.store.notices.notices import LocalNotices

    directory, audit = SqlDirectory(quick, LocalNotices(), clock), SqlAudit(quick, KEYS)
    await directory.create_instance(A)
    held, go_on = asyncio.Event(), asyncio.Event()
    from sqlalchemy.util import await_only

    from homing.store.directory.instances import set_instance_state

    def slowly(connection: Connection) -> None:
        set_instance_state(connection, A, InstanceState.DRAINING)
        held.set()
        await_only(go_on.wait())

    with carrying_out(BY_HAND):
        late = asyncio.ensure_future(slow.write(slowly))
        await held.wait()
        await directory.create_account(new_account(1))
    assert "it waits for the next minute" in await keeping(audit).tick(TICK)
    assert (await verified(audit)).waiting == 1, "nothing is chained past the one that is not there yet"
    go_on.set()
    await late
    assert await keeping(audit).tick(TICK) == "2 entries chained, 0 removed"
    rows = await entries(audit)
    assert [row.action for row in rows] == ["instance.drained", "account.created"]
    assert (await verified(audit)).holds
    await slow.close()
    await quick.close()
