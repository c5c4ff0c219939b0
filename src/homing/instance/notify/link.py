"""What ties an instance to its gateway, from the journal on its disk to the calls."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

import structlog

from homing.instance.notify.gateway import GatewayLink
from homing.instance.notify.journal import Journal
from homing.instance.notify.journal_file import JournalInUse, NotAJournal
from homing.instance.notify.notifier import Notifier
from homing.instance.notify.settings import GatewaySettings, InstanceMisconfigured
from homing.model.disks import may_pass

log = structlog.get_logger("homing")
JOURNAL_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class GatewayTie:
    """What ties an instance to its gateway. ``restores``: the gateway is asked at boot what is placed here."""

    gateway: GatewayLink
    notifier: Notifier
    restores: bool

    @classmethod
    async def open(
        cls, settings: GatewaySettings, url: str, *, waits: Callable[[], None] = lambda: None
    ) -> "GatewayTie":
        """Take up the journal of the instance at this address; ``waits`` is told of a disk that refuses it for now.

        Raises ``InstanceMisconfigured``.
        """
        journal = await _opened(settings.journal_path(url), waits)
        gateway = await GatewayLink.open(settings.url, settings.retries.in_flight_max + 1)
        notifier = Notifier(
            gateway.notify,
            journal,
            secret=settings.hmac_secret,
            instance_url=url,
            clock=time.time,
            random=SystemRandom(),
            policy=settings.retries,
        )
        return cls(gateway, notifier, settings.restore)

    async def close(self) -> None:
        await self.notifier.stop()
        await self.gateway.close()


async def _opened(path: Path, waits: Callable[[], None]) -> Journal:
    """The journal, as soon as its disk lets it be written. Raises ``InstanceMisconfigured``."""
    told = False
    while True:
        try:
            return await Journal.open(path)
        except (JournalInUse, NotAJournal) as problem:
            raise InstanceMisconfigured(str(problem)) from problem
        except OSError as problem:
            why = f"The journal {path} cannot be opened: {problem.strerror or problem}"
            if not may_pass(problem):
                raise InstanceMisconfigured(f"{why}.") from problem
        if not told:
            log.warning("Journal cannot be opened; waiting until it can", reason=why)
            waits()
            told = True
        await asyncio.sleep(JOURNAL_AGAIN_S)
