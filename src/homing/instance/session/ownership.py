"""What one session's grant lets its holder do in the vault, beside reserving messages."""

import asyncio
from dataclasses import replace

import structlog

from homing.instance.lease import LeaseKeeper
from homing.model.instances.vault import Grant, Login, StaleEpoch
from homing.ports import Credentials, StoreUnavailable

log = structlog.get_logger("homing")


class Ownership:
    """A grant, and the login under it. Nothing is written while this boot may not act."""

    def __init__(self, grant: Grant, credentials: Credentials, lease: LeaseKeeper, ask_again_s: float) -> None:
        self.grant = grant
        self._credentials = credentials
        self._lease = lease
        self._ask_again_s = ask_again_s

    async def save(self, login: Login) -> StaleEpoch | None:
        """Keep the login; what the vault is at, if the session is another's by now. Raises StoreUnavailable.

        A vault that has lost its newest commits, our grant among them, proves nothing. Whoever left then would take the
        epoch along, and another could be given the same; so this waits until the lease has said again what we hold.
        """
        while True:
            await self._lease.trusted()
            saved = await self._credentials.save(self.grant, login)
            if not isinstance(saved, StaleEpoch):
                self.grant = saved
                return None
            if saved.current >= self.grant.epoch:
                return saved
            await asyncio.sleep(self._ask_again_s)

    async def forget(self) -> None:
        """Delete the login. One that could not be is refused by WhatsApp when it is used again, and deleted then."""
        self.grant = replace(self.grant, login=None)
        await self._lease.trusted()
        try:
            await self._credentials.forget(self.grant)
        except StoreUnavailable as problem:
            log.warning(
                "Login could not be deleted; WhatsApp refuses it when it is used",
                session_id=self.grant.session_id,
                error=str(problem),
            )

    async def vault_epoch(self) -> int:
        """The session's epoch, as soon as the vault can tell."""
        while True:
            try:
                return await self._credentials.epoch(self.grant.session_id)
            except StoreUnavailable as problem:
                log.warning(
                    "Epoch could not be read; asking again", session_id=self.grant.session_id, error=str(problem)
                )
            await asyncio.sleep(self._ask_again_s)
