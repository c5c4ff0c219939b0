import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simulated_whatsapp.server import Server, ServerSettings

StartServer = Callable[..., Awaitable[Server]]


@pytest.fixture
async def start_server(tmp_path: Path) -> AsyncIterator[StartServer]:
    """Starts a simulated WhatsApp on a free port of this process; stopped after the test."""
    async with AsyncExitStack() as stack:

        async def start(**changes: Any) -> Server:
            settings = replace(ServerSettings(ledger=tmp_path / "ledger.jsonl"), **changes)
            return await stack.enter_async_context(await Server.start(settings))

        yield start
    await asyncio.sleep(0.005)  # the clients' side of the connections closes, too
