"""What each instance declared that it can do, remembered so that a send need not ask.

An instance declares it in its health answer (`/health` for webjs). An answer is believed for a minute; after that
it serves on while a new one is fetched beside it.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from homing.model.fleet import Capabilities, InstanceUrl
from homing.model.sends.faults import Fault, Phase
from homing.ports import Clock, Driver, InstanceHealth

BELIEVED_S: Final = 60.0
ASKED_AGAIN_AFTER_S: Final = 5.0
"""How soon an instance whose refresh failed is asked again."""
WITHDRAWN_S: Final = 3_600.0
"""How long a capability stays withdrawn where the instance does not tell its boots apart."""
_INSTANCES = 10_000


@dataclass(frozen=True, slots=True)
class _DeclaredHealth:
    health: InstanceHealth
    believed_until: float


@dataclass(frozen=True, slots=True)
class _Withdrawal:
    """`incarnation` is None where none was told; then only time ends it."""

    incarnation: str | None
    until: float


class Declared:
    """The capabilities of one family's instances, as each declared them."""

    def __init__(
        self, driver: Driver, clock: Clock, *, believed_s: float = BELIEVED_S, refresh_timeout_s: float = 5.0
    ) -> None:
        self._driver, self._clock = driver, clock
        self._believed_s, self._refresh_timeout_s = believed_s, refresh_timeout_s
        self._known: dict[InstanceUrl, _DeclaredHealth] = {}
        self._asking: dict[InstanceUrl, asyncio.Task[InstanceHealth | Fault]] = {}
        self._withdrawn: dict[InstanceUrl, _Withdrawal] = {}

    async def capabilities(
        self, instance: InstanceUrl, *, timeout_s: float, fresh: bool = False
    ) -> Capabilities | Fault:
        """What the instance can do. Asked of it only if nothing is remembered, once for all who want to know.

        `fresh`: it is asked now, and an answer on its way counts no more.
        """
        if fresh:
            self._asking.pop(instance, None)
        known = None if fresh else self._known.get(instance)
        if known is not None:
            if self._clock.monotonic() >= known.believed_until:
                self._ask(instance, self._refresh_timeout_s)
            return self._granted(instance, known.health)
        health = await self._answer(instance, timeout_s)
        return health if isinstance(health, Fault) else self._granted(instance, health)

    def incarnation(self, instance: InstanceUrl) -> str | None:
        """The boot of the instance that the remembered answer came from, if it told."""
        known = self._known.get(instance)
        return known.health.incarnation if known else None

    def forget(self, instance: InstanceUrl) -> None:
        """Ask again before the next use: another incarnation may be behind the address now.

        An answer on its way counts no more. What was withdrawn stays withdrawn.
        """
        self._known.pop(instance, None)
        self._asking.pop(instance, None)

    def withdraw_message_id(self, instance: InstanceUrl, incarnation: str | None = None) -> None:
        """The instance answered with another message id than ours: it does not take ours, whatever it declares.

        That stands until another incarnation is met than the one given, or the one remembered; for an hour where
        neither is known.
        """
        if len(self._withdrawn) >= _INSTANCES:
            self._withdrawn.clear()
        self._withdrawn[instance] = _Withdrawal(
            incarnation or self.incarnation(instance), self._clock.monotonic() + WITHDRAWN_S
        )

    async def close(self) -> None:
        """Stop asking."""
        asking = list(self._asking.values())
        self._asking.clear()
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _answer(self, instance: InstanceUrl, timeout_s: float) -> InstanceHealth | Fault:
        """The answer under way or a new one; each caller waits no longer than it wants to."""
        asking = self._ask(instance, timeout_s)
        await asyncio.wait({asking}, timeout=timeout_s)
        if not asking.done() or asking.cancelled():
            return Fault(Phase.REPLY_TIMED_OUT, f"its health was still being asked for after {timeout_s:g} s")
        return asking.result()

    def _ask(self, instance: InstanceUrl, timeout_s: float) -> "asyncio.Task[InstanceHealth | Fault]":
        asking = self._asking.get(instance)
        if asking is None:
            asking = asyncio.create_task(self._driver.health(instance, timeout_s=timeout_s))
            self._asking[instance] = asking
            asking.add_done_callback(lambda done: self._learn(instance, done))
        return asking

    def _learn(self, instance: InstanceUrl, done: "asyncio.Task[InstanceHealth | Fault]") -> None:
        if self._asking.get(instance) is not done:
            return  # forgotten meanwhile
        del self._asking[instance]
        if done.cancelled() or done.exception() is not None:
            return
        answer, now = done.result(), self._clock.monotonic()
        if isinstance(answer, InstanceHealth):
            self._remember(instance, _DeclaredHealth(answer, now + self._believed_s))
        elif (old := self._known.get(instance)) is not None:
            self._known[instance] = _DeclaredHealth(old.health, now + ASKED_AGAIN_AFTER_S)

    def _remember(self, instance: InstanceUrl, known: _DeclaredHealth) -> None:
        if len(self._known) >= _INSTANCES:
            self._known.clear()
        self._known[instance] = known

    def _granted(self, instance: InstanceUrl, health: InstanceHealth) -> Capabilities:
        withdrawal = self._withdrawn.get(instance)
        if withdrawal is None:
            return health.capabilities
        if self._still_stands(withdrawal, health):
            return health.capabilities.without_message_id()
        del self._withdrawn[instance]
        return health.capabilities

    def _still_stands(self, withdrawal: _Withdrawal, health: InstanceHealth) -> bool:
        if withdrawal.incarnation is not None and health.incarnation is not None:
            return withdrawal.incarnation == health.incarnation
        return self._clock.monotonic() < withdrawal.until
