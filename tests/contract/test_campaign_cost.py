"""What a campaign costs the database: counted in transactions, whoever else is at work on the machine."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fleets import A, placed_account
from test_killed_at_commits import NEVER, ONE, Campaign, World, until

from homing.flows.outbox.bulk import BulkWish
from homing.flows.outbox.bulk_lines import BulkLine
from homing.flows.sending.accept import AskedSend
from homing.model.sends.addresses import Address, Recipient
from homing.model.sends.content import TextContent
from homing.model.sends.messages import MessageState
from homing.store.db.database import Database
from homing.store.db.opening import open_database
from homing.store.directory.directory import SqlDirectory

ACCOUNTS, EACH = 4, 25
WISH = BulkWish(ONE, "", None, None, all_or_nothing=True, after_s=0.0, max_age_s=3600.0)


@pytest.fixture
async def database(store_url: str) -> AsyncIterator[Database]:
    opened = open_database(store_url)
    yield opened
    await opened.close()


async def test_a_campaign_takes_at_most_two_transactions_for_each_message(
    database: Database, directory: SqlDirectory, record_property: Any
) -> None:
    accounts = [await placed_account(directory, number, A) for number in range(1, ACCOUNTS + 1)]
    world = World(database, accounts[0])
    campaign = Campaign(world, NEVER)

    async def lines() -> AsyncIterator[BulkLine]:
        for number in range(ACCOUNTS * EACH):
            phone = f"62811{number:07d}"
            asked = AskedSend(ONE, accounts[number % ACCOUNTS].uuid, TextContent(f"number {number}"), phone=phone)
            yield BulkLine(number + 1, asked, Recipient(phone, Address.of(phone)))

    try:
        await campaign.bulk.take(WISH, lines())

        async def all_said() -> bool:
            return len(world.said) == ACCOUNTS * EACH

        await until(all_said, within_s=120.0)

        async def all_written() -> bool:
            rows = await campaign.outbox.page(ONE, before=None, limit=1_000, state=MessageState.SENT)
            return len(rows) == ACCOUNTS * EACH

        await until(all_written, within_s=120.0)
        transactions = campaign.life.passed - world.calls
        each = transactions / (ACCOUNTS * EACH)
        record_property("transactions_per_message", round(each, 2))
        assert each <= 2.0
    finally:
        await world.close()
