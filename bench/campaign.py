"""A campaign through many accounts, unpaced: how fast it goes, and what it costs the database."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from bench.fleet import Fleet
from bench.report import Report
from homing.model.sends.faults import Fault

BULK = "/api/v1/messages/bulk"
TRANSACTIONS_MAX = 2.0
IDLE_S = 10.0
STATISTICS_S = 2.0
"""PostgreSQL tells what it did with so much delay."""
WITHIN_S = 1_800.0


async def run(up: Fleet, *, messages: int) -> Report:
    """One batch, spread over all accounts; each recipient gets one message."""
    report = Report(f"A campaign of {messages:,} through {len(up.residents)} accounts, no pace set")
    async with _counted(up) as transactions:
        before = await transactions()
        await asyncio.sleep(IDLE_S)
        idle_per_s = (await transactions() - before) / (IDLE_S + STATISTICS_S)
        before = await transactions()
        began_s = time.monotonic()
        batch = await _hand_in(up, messages)
        took_in_s = time.monotonic() - began_s
        shown = await _ended(up, batch)
        took_s = time.monotonic() - began_s
        spent = await transactions() - before - idle_per_s * (took_s + STATISTICS_S)
    report.add("taken in", "", f"{messages / took_in_s:,.0f} lines/s")
    report.add("sent", "", f"{messages / took_s:,.0f} messages/s, from the first line to the last message")
    sent = sum(shown["states"].get(each, 0) for each in ("sent", "delivered", "read"))
    report.add("sent, of those accepted", "all", f"{sent:,} of {messages:,}", sent == messages)
    if spent > 0:
        each = spent / messages
        what = "transactions for each message, the reservations of its instance among them"
        report.add(what, f"≤ {TRANSACTIONS_MAX:g}", f"{each:.2f}", each <= TRANSACTIONS_MAX)
    doubled = sum(1 for times in up.delivered().values() if times > 1)
    report.add("said twice, by the ledger", "0", str(doubled), not doubled)
    return report


async def _hand_in(up: Fleet, messages: int) -> str:
    residents = up.residents
    lines = (
        json.dumps(
            {
                "account_uuid": residents[number % len(residents)].uuid,
                "phone": f"+62812{number:07d}",
                "message": f"campaign {number}",
            }
        )
        for number in range(messages)
    )
    first = residents[0]
    headers = {"Authorization": f"Bearer {up.demo.population.token}", "Content-Type": "application/x-ndjson"}
    path = f"{BULK}?workspace_id={first.workspace_id}&account_uuid={first.uuid}"
    raw = "\n".join(lines).encode()
    reply = await up.wire.call("POST", up.gateways[0], path, body=raw, headers=headers, timeout_s=600)
    assert not isinstance(reply, Fault), reply
    assert reply.status == 202, reply
    return str(json.loads(reply.body)["batch_id"])


async def _ended(up: Fleet, batch: str) -> dict[str, Any]:
    async with asyncio.timeout(WITHIN_S):
        while (shown := await up.api(f"/batches/{batch}"))["waiting"]:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.2)
    return shown


@asynccontextmanager
async def _counted(up: Fleet) -> AsyncIterator[Any]:
    """How many transactions the database has committed; SQLite does not tell (tests/contract counts there)."""
    if not up.demo.database_url.startswith("postgres"):

        async def none() -> float:
            return 0.0

        yield none
        return
    connection = await asyncpg.connect(up.demo.database_url)

    async def committed() -> float:
        await asyncio.sleep(STATISTICS_S)
        asked = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        return float(await connection.fetchval(asked))

    try:
        yield committed
    finally:
        await connection.close()
