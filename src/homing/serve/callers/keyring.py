"""Which API key is this? All keys are held in memory, so that no request waits for the database to know its caller.

A key reads `hk_<id>_<secret>`; only the SHA-256 of its secret is stored, which is enough for 192 random bits. After a
rotation it has two secrets for a while. When each key was last used is noted here and written now and then, so that no
request waits for that either.
"""

import asyncio
import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

import structlog

from homing.model.directory.access import Key, RateLimit, Scope
from homing.model.errors import Code, Problem
from homing.model.fleet import WorkspaceId
from homing.ports import CacheCleared, Clock, Directory, Entropy, KeysChanged, Notice, StoreUnavailable

log = structlog.get_logger("homing")

PREFIX = "hk"
_BREATH_S = 0.1
"""Between two readings: what changes together is read together."""
REFRESH_S = 5.0
"""A key revoked past this gateway's notices is refused after this time at the latest."""


USES_WRITTEN_EVERY_S = 60.0
LOOK_AGAIN_AFTER_S = 0.25


def new_key(
    entropy: Entropy,
    clock: Clock,
    *,
    workspace: WorkspaceId | None,
    scope: Scope,
    name: str,
    expires_at: datetime | None = None,
    rate_limit: RateLimit | None = None,
) -> tuple[Key, str]:
    """A new key and its only appearance in clear."""
    key_id = entropy.token(6).hex()
    secret_hash, token = new_secret(entropy, key_id)
    made_at = clock.now()
    key = Key(key_id, workspace, scope, name, secret_hash, made_at, expires_at=expires_at, rate_limit=rate_limit)
    return key, token


def new_secret(entropy: Entropy, key_id: str) -> tuple[str, str]:
    """A secret's hash, and the key with it in clear."""
    secret = urlsafe_b64encode(entropy.token(24)).decode().replace("-", "A").replace("_", "B")
    return _hash(secret), f"{PREFIX}_{key_id}_{secret}"


def to_come(expires_at: datetime | None, now: datetime) -> datetime | None:
    """The end of a key. Raises Problem for one that is over already."""
    if expires_at is not None and expires_at <= now:
        detail = "A key cannot expire in the past; to end it now, revoke it"
        raise Problem(Code.INVALID_REQUEST, detail, field="expires_at")
    return expires_at


class Keyring:
    """The keys in force."""

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self._directory, self._clock = directory, clock
        self._keys: dict[str, Key] = {}
        self._changed = asyncio.Event()
        self._used: dict[str, datetime] = {}
        self._uses_written_s = clock.monotonic()
        self._reading: asyncio.Future[None] | None = None
        self._read_s = float("-inf")
        self._readings = self._newest_reading = 0
        self.on_change: Callable[[], None] = lambda: None
        """Called when other keys are in force than before."""

    def find(self, token: str) -> Key | None:
        """The key that a bearer token is, or None. It may have expired: see `has_expired`."""
        parts = token.split("_", 2)
        if len(parts) != 3 or parts[0] != PREFIX:
            return None
        key = self._keys.get(parts[1])
        if key is None:
            return None
        now, given = self._clock.now(), _hash(parts[2])
        if not hmac.compare_digest(key.secret_hash, given) and not _is_previous(key, given, now):
            return None
        self._used[key.id] = now
        return key

    def in_force(self, key_id: str) -> Key | None:
        """The key of this id, if it may be used."""
        key = self._keys.get(key_id)
        return key if key is not None and not self.has_expired(key) else None

    def has_expired(self, key: Key) -> bool:
        return key.has_expired(self._clock.now())

    async def look_again(self) -> None:
        """Read the keys once more, if that was not done just now: a key that is not known here may have been made, or
        rotated, through another gateway, whose word of it is still on its way.

        However many bring unknown keys, that is a few readings in a second.
        """
        if self._reading is None and self._clock.monotonic() - self._read_s < LOOK_AGAIN_AFTER_S:
            return
        if self._reading is None:
            self._reading = asyncio.ensure_future(self.refresh())
            self._reading.add_done_callback(self._was_read)
        with suppress(StoreUnavailable):
            await asyncio.shield(self._reading)

    def _was_read(self, reading: "asyncio.Future[None]") -> None:
        self._reading, self._read_s = None, self._clock.monotonic()
        if not reading.cancelled():
            reading.exception()  # whoever waits for it hears of it

    @property
    def empty(self) -> bool:
        return not self._keys

    def hear(self, notice: Notice) -> None:
        if isinstance(notice, KeysChanged | CacheCleared):
            self._changed.set()

    async def refresh(self) -> None:
        """Read the keys now. Raises StoreUnavailable.

        Of several readings at the same time the one that began last counts, whichever is answered last.
        """
        self._changed.clear()
        self._readings += 1
        this = self._readings
        found = {key.id: key for key in await self._directory.keys()}
        if this < self._newest_reading:
            return
        before, self._keys, self._newest_reading = self._keys, found, this
        if found != before:
            self.on_change()

    async def run(self) -> None:
        """Keep the keys fresh until cancelled. While the store is away the last ones stay."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await self._changed.wait()
            try:
                await self.refresh()
                if self._clock.monotonic() - self._uses_written_s >= USES_WRITTEN_EVERY_S:
                    await self.write_uses()
            except StoreUnavailable as error:
                log.warning("The API keys could not be read again", error=str(error))
            await self._clock.sleep(_BREATH_S)

    async def write_uses(self) -> None:
        """Write down when keys were last used, since that was last done. Raises StoreUnavailable."""
        self._uses_written_s = self._clock.monotonic()
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._directory.note_key_uses(used)
        except StoreUnavailable:
            self._used = used | self._used
            raise


def _is_previous(key: Key, given_hash: str, now: datetime) -> bool:
    """Whether it is the secret from before the last rotation, while that may still be used."""
    if key.previous_hash is None or key.previous_until is None or now >= key.previous_until:
        return False
    return hmac.compare_digest(key.previous_hash, given_hash)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
