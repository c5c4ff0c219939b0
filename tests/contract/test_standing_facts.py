"""What the store knows of conditions that alerts are about, on every store."""

from datetime import timedelta

from fleets import A
from sqlalchemy import update
from vaults import KEY, opened, saved, vault_of

from homing.model.fleet import AccountUuid, WorkspaceId
from homing.model.sends.messages import MessageRecord, MessageState
from homing.store.db.database import Database
from homing.store.db.schema.tables import messages
from homing.store.records.standing_facts import SqlFacts, SqlVaultKeys
from homing.store.sends.messages import SqlMessages
from homing.store.vault.sealing import KeyRing, fresh_key

W = WorkspaceId(1)
HOUR, DAY, QUARTER = timedelta(hours=6), timedelta(hours=24), timedelta(minutes=15)


async def test_unknown_messages_count_once_they_have_been_so_for_long(database: Database) -> None:
    facts, store = SqlFacts(database), SqlMessages(database)
    now = await facts.now()
    for number, (state, age) in enumerate(
        [(MessageState.UNKNOWN, 20), (MessageState.UNKNOWN, 40), (MessageState.UNKNOWN, 5), (MessageState.FAILED, 50)]
    ):
        at = now - timedelta(minutes=age)
        uuid, account = f"u{number}", AccountUuid("a")
        await store.record(
            MessageRecord(uuid, W, account, f"m{number}", "62811", "", state, None, "because", 1, A, at, at)
        )
        await database.write(
            lambda c, u=uuid, t=at: c.execute(update(messages).where(messages.c.uuid == u).values(updated_at=t))
        )  # type: ignore[misc]
    found = await facts.facts(short=HOUR, long=DAY, unknown_after=QUARTER)
    assert (found.unknown, found.oldest_unknown_at) == (2, now - timedelta(minutes=40))


async def test_nothing_is_found_in_an_empty_store(database: Database) -> None:
    found = await SqlFacts(database).facts(short=HOUR, long=DAY, unknown_after=QUARTER)
    assert (found.added_short, found.added_long, found.unknown, found.oldest_unknown_at) == (0, 0, 0, None)


async def test_a_key_that_is_not_at_hand_is_named_and_one_that_is_not(database: Database) -> None:
    vault = await vault_of(database)
    await saved(vault, await opened(vault))
    await vault.close()
    assert await SqlVaultKeys(database, KeyRing(KEY)).lacking() is None
    lacking = await SqlVaultKeys(database, KeyRing(fresh_key("other"))).lacking()
    assert lacking is not None and f"the vault key {KEY.id!r} is not at hand" in lacking
    assert await SqlVaultKeys(database, None).lacking() is None
