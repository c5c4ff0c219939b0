"""One session's connection to WhatsApp: at most one at a time, and nothing heard from those before it."""

import asyncio
from collections.abc import Callable
from functools import partial

from homing.instance.engine import DeviceState, Engine, EngineEvent, EngineSession
from homing.model.sessions.exit_proxies import ExitProxy


class SessionConnection:
    """``on_event`` hears what comes over the present connection. ``down`` is set when that is no use any more."""

    def __init__(self, engine: Engine, on_event: Callable[[EngineEvent], None]) -> None:
        self._engine = engine
        self._on_event = on_event
        self._number = 0
        self.wire: EngineSession | None = None
        self.down = asyncio.Event()

    def is_live(self, wire: EngineSession | None) -> bool:
        """Whether this is still the connection."""
        return wire is self.wire

    async def open(self, state: DeviceState, proxy: ExitProxy | None = None) -> EngineSession:
        """A new one, not logged in, by this exit proxy. Raises ``OSError`` when WhatsApp cannot be reached so."""
        self._number += 1
        self.wire = await self._engine.connect(partial(self._arrived, self._number), state, proxy)
        return self.wire

    def close(self) -> None:
        wire, self.wire = self.wire, None
        self._number += 1
        if wire is not None:
            wire.close()

    def _arrived(self, number: int, event: EngineEvent) -> None:
        if number == self._number:
            self._on_event(event)
