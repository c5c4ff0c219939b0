"""Files that no message needs any more are deleted, a day at a time."""

import structlog

from homing.model.sends.calls import MediaUnavailable
from homing.ports import Clock
from homing.ports.sends.media import MediaStore

log = structlog.get_logger("homing")
EVERY_S = 3600.0


class MediaCleanUp:
    """Deletes what was to be kept until a day that is over. Any number of gateways may do so at once."""

    def __init__(self, store: MediaStore, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def run(self) -> None:
        """Until cancelled; a store that is away is tried again an hour later."""
        while True:
            await self._clock.sleep(EVERY_S)
            try:
                gone = await self._store.forget_before(self._clock.now().date())
            except MediaUnavailable as error:
                log.warning("Old files could not be deleted; trying again", retry_s=EVERY_S, error=str(error))
                continue
            if gone:
                log.info("Files that were kept long enough are deleted", files=gone)
