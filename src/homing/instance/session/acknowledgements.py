"""What became of reserved messages, on its way into the vault. It may come a little later than it happened."""

import asyncio
from collections.abc import Callable

from homing.model.instances.vault import Grant
from homing.ports import Credentials, StoreUnavailable


class Acknowledgements:
    """The notes of one grant, written together and never while this boot may not act."""

    def __init__(
        self, credentials: Credentials, grant: Grant, *, may_act: Callable[[], bool], ask_again_s: float
    ) -> None:
        self._credentials = credentials
        self._grant = grant
        self._may_act = may_act
        self._ask_again_s = ask_again_s
        self._acknowledged: list[int] = []
        self._dropped: list[tuple[int, Callable[[bool], None]]] = []
        self._writing: asyncio.Task[None] | None = None

    def acknowledge(self, counter: int) -> None:
        """WhatsApp has it."""
        self._acknowledged.append(counter)
        self._write_soon()

    def drop(self, counter: int, then: Callable[[bool], None]) -> None:
        """It is not to be said again. ``then`` hears whether that is certain: not if the grant was superseded."""
        self._dropped.append((counter, then))
        self._write_soon()

    async def written(self) -> None:
        """Returns once the vault has all of them."""
        if self._writing is not None:
            await asyncio.wait([self._writing])

    def end(self) -> None:
        """Write no more: the grant is over, and with it what it could say."""
        if self._writing is not None:
            self._writing.cancel()

    def _write_soon(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        while self._acknowledged or self._dropped:
            try:
                if self._may_act():
                    await self._write_down()
                    continue
            except StoreUnavailable:
                pass
            await asyncio.sleep(self._ask_again_s)

    async def _write_down(self) -> None:
        acknowledged, dropped = tuple(self._acknowledged), tuple(self._dropped)
        if acknowledged:
            await self._credentials.acknowledge(self._grant, acknowledged)
            del self._acknowledged[: len(acknowledged)]
        if dropped:
            stale = await self._credentials.drop(self._grant, [counter for counter, _ in dropped])
            del self._dropped[: len(dropped)]
            for _, then in dropped:
                then(stale is None)
