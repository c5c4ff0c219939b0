"""Which API key is this? All keys are held in memory, so that no request waits for the database to know its caller.

A key reads `hk_<id>_<secret>`; only the SHA-256 of its secret is stored, which is enough for 192 random bits.
"""

import asyncio
import hashlib
import hmac
from base64 import urlsafe_b64encode
from contextlib import suppress

import structlog

from homing.model.access import Key, Scope
from homing.model.fleet import WorkspaceId
from homing.ports import Clock, Directory, Entropy, KeysChanged, Notice, StoreUnavailable

log = structlog.get_logger("homing")

PREFIX = "hk"
_BREATH_S = 0.1
"""Between two readings: what changes together is read together."""
REFRESH_S = 5.0
"""A key revoked past this gateway's notices is refused after this time at the latest."""


def new_key(
    entropy: Entropy, clock: Clock, *, workspace: WorkspaceId | None, scope: Scope, name: str
) -> tuple[Key, str]:
    """A new key and its only appearance in clear."""
    key_id = entropy.token(6).hex()
    secret = urlsafe_b64encode(entropy.token(24)).decode().replace("-", "A").replace("_", "B")
    key = Key(key_id, workspace, scope, name, _hash(secret), clock.now())
    return key, f"{PREFIX}_{key_id}_{secret}"


class Keyring:
    """The keys in force."""

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self._directory, self._clock = directory, clock
        self._keys: dict[str, Key] = {}
        self._changed = asyncio.Event()

    def find(self, token: str) -> Key | None:
        """The key that a bearer token is, or None."""
        parts = token.split("_", 2)
        if len(parts) != 3 or parts[0] != PREFIX:
            return None
        key = self._keys.get(parts[1])
        if key is None or not hmac.compare_digest(key.secret_hash, _hash(parts[2])):
            return None
        return key

    def in_force(self, key_id: str) -> Key | None:
        """The key of this id, if it may be used."""
        return self._keys.get(key_id)

    @property
    def empty(self) -> bool:
        return not self._keys

    def hear(self, notice: Notice) -> None:
        if isinstance(notice, KeysChanged):
            self._changed.set()

    async def refresh(self) -> None:
        """Read the keys now. Raises StoreUnavailable."""
        self._changed.clear()
        self._keys = {key.id: key for key in await self._directory.keys()}

    async def run(self) -> None:
        """Keep the keys fresh until cancelled. While the store is away the last ones stay."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await self._changed.wait()
            try:
                await self.refresh()
            except StoreUnavailable as error:
                log.warning("The API keys could not be read again", error=str(error))
            await self._clock.sleep(_BREATH_S)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
