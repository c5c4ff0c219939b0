from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from simulated_whatsapp.multidevice.server.listening import MultideviceServer, Settings
from tests.simulated_whatsapp.multidevice.companion import Companion, admin


@pytest.fixture
async def whatsapp(tmp_path: Path) -> AsyncIterator[MultideviceServer]:
    settings = Settings(ledger=tmp_path / "ledger.jsonl", keys=tmp_path / "keys")
    async with await MultideviceServer.start(settings) as server:
        await admin(server, "rules", {"linger_ms": 0})
        yield server


@pytest.fixture
async def linked(whatsapp: MultideviceServer) -> AsyncIterator[Callable[..., Awaitable[Companion]]]:
    """Links a device to a number and logs it in; closed after the test."""
    async with AsyncExitStack() as stack:

        async def link(number: str, *, label: str = "", prekeys: int = 20, **how: Any) -> Companion:
            device = Companion(**how)
            await device.pair(whatsapp, number)
            await device.login(whatsapp, label, prekeys=prekeys)
            stack.push_async_callback(device.close)
            return device

        yield link
