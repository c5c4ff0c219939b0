"""Signing in to the page: a key once, then a random cookie that stands for it, on every gateway of the directory.

The cookie is over with its key, after twelve hours, or when its owner signs out. What a browser sends along by itself
proves nothing of who asked for it, so a request that changes anything has to show a token that only our pages know.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections import deque
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection

from homing.model.directory.access import Key
from homing.model.errors import Code, Problem
from homing.ports import Clock, Entropy, StoreUnavailable
from homing.ports.directory.logins import LoginKind, LoginStore
from homing.serve.callers.access import Caller
from homing.serve.callers.keyring import Keyring

COOKIE = "homing"
CSRF_HEADER = "X-CSRF-Token"
COOKIE_S = 12 * 3600.0
CODE_S = 300.0
CHECKED_EVERY_S = 3.0
"""Signing out on another gateway is heard of after this time at the latest."""
CHECKED_MAX = 10_000
FAILURES_OF_ONE, FAILURES_OF_ALL, FAILURES_WITHIN_S = 10, 200, 60.0
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

Connection = ASGIConnection[Any, Any, Any, Any]


@dataclass(slots=True)
class _Checked:
    """What the store last said of a cookie."""

    key_id: str
    over_s: float
    checked_s: float


class FailedLogins:
    """How often it was tried in vain, of late: by one address, and by all."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._of: dict[str, deque[float]] = {}
        self._all: deque[float] = deque()

    def check(self, address: str) -> None:
        """Raises Problem for an address that has tried too often."""
        before_s = self._clock.monotonic() - FAILURES_WITHIN_S
        for failed in (self._all, *self._of.values()):
            while failed and failed[0] < before_s:
                failed.popleft()
        self._of = {each: failed for each, failed in self._of.items() if failed}
        if len(self._of.get(address, ())) >= FAILURES_OF_ONE or len(self._all) >= FAILURES_OF_ALL:
            detail = f"Too many logins failed within {FAILURES_WITHIN_S:.0f} s; wait a minute"
            raise Problem(Code.RATE_LIMITED, detail, retry_after_s=FAILURES_WITHIN_S)

    def failed(self, address: str) -> None:
        at_s = self._clock.monotonic()
        self._all.append(at_s)
        self._of.setdefault(address, deque()).append(at_s)


class SignIns:
    """Who is signed in."""

    def __init__(self, store: LoginStore, keyring: Keyring, clock: Clock, entropy: Entropy) -> None:
        self._store, self._keyring, self._clock, self._entropy = store, keyring, clock, entropy
        self._checked: dict[str, _Checked] = {}
        self._failed = FailedLogins(clock)

    async def sign_in(self, token: str, address: str) -> tuple[str, Key]:
        """A new cookie for whoever shows a key, and that key.

        Raises Problem: 401 without a key in force, 429 after too many such.
        """
        self._failed.check(address)
        key = self._keyring.find(token)
        if key is None or self._keyring.in_force(key.id) is None:
            self._failed.failed(address)
            raise Problem(Code.UNAUTHENTICATED, "This API key is not known, or was revoked, or has expired")
        return await self._cookie_for(key.id), key

    async def redeem(self, code: str, address: str) -> tuple[str, Key]:
        """A new cookie for whoever shows a code that was not used yet, and the key it is for. Raises Problem."""
        self._failed.check(address)
        key_id = await self._store.take(hashed(code), LoginKind.CODE)
        key = self._keyring.in_force(key_id) if key_id is not None else None
        if key is None:
            self._failed.failed(address)
            raise Problem(Code.UNAUTHENTICATED, "This link was used already, or is older than five minutes")
        return await self._cookie_for(key.id), key

    async def sign_out(self, cookie: str) -> Key | None:
        """The cookie stands for nothing any more, here at once and elsewhere in a moment. Returns whose it was."""
        self._checked.pop(hashed(cookie), None)
        key_id = await self._store.take(hashed(cookie), LoginKind.COOKIE)
        return self._keyring.in_force(key_id) if key_id is not None else None

    async def key_of(self, cookie: str) -> Key | None:
        """The key in force that a cookie stands for. While the store is away, by what it said last."""
        name, now_s = hashed(cookie), self._clock.monotonic()
        known = self._checked.get(name)
        if known is None or now_s - known.checked_s > CHECKED_EVERY_S:
            try:
                known = await self._check(name, now_s)
            except StoreUnavailable:
                if known is None:
                    raise
        if known is None or known.over_s <= now_s:
            return None
        return self._keyring.in_force(known.key_id)

    def holds(self, cookie: str) -> bool:
        """Whether the cookie, which was good, still is, by what this gateway knows."""
        known = self._checked.get(hashed(cookie))
        return (
            known is not None
            and known.over_s > self._clock.monotonic()
            and self._keyring.in_force(known.key_id) is not None
        )

    async def _cookie_for(self, key_id: str) -> str:
        cookie = secret(self._entropy)
        await self._store.add(hashed(cookie), LoginKind.COOKIE, key_id, for_s=COOKIE_S)
        return cookie

    async def _check(self, name: str, now_s: float) -> _Checked | None:
        found = await self._store.find(name, LoginKind.COOKIE)
        if found is None:
            self._checked.pop(name, None)
            return None
        if len(self._checked) >= CHECKED_MAX:
            self._checked.clear()
        self._checked[name] = _Checked(found[0], now_s + found[1], now_s)
        return self._checked[name]


async def signed_in(connection: Connection) -> Caller | None:
    """The caller by the cookie, if there is a good one. Raises Problem for a change that no page of ours asks for."""
    cookie = connection.cookies.get(COOKIE)
    if not cookie:
        return None
    logins: SignIns = connection.app.state.logins
    key = await logins.key_of(cookie)
    if key is None:
        return None
    if connection.scope.get("method") not in _SAFE:
        check_is_ours(connection, cookie, connection.headers.get(CSRF_HEADER))
    return Caller(key)


def check_is_ours(connection: Connection, cookie: str, token: str | None) -> None:
    """Raises Problem, 403, unless one of our own pages asks: it knows the token, and comes from our address."""
    check_origin(connection)
    if token is None or not hmac.compare_digest(token, csrf_token(cookie)):
        raise Problem(Code.FORBIDDEN, f"A change by cookie needs the page's token in {CSRF_HEADER}; load the page anew")


def check_origin(connection: Connection) -> None:
    """Raises Problem, 403, for a request that another site's page sends."""
    origin, host = connection.headers.get("origin"), connection.headers.get("host", "")
    site = connection.headers.get("sec-fetch-site", "same-origin")
    if site not in ("same-origin", "none") or (origin is not None and urlsplit(origin).netloc != host):
        raise Problem(Code.FORBIDDEN, f"This request comes from {origin or 'another site'}, which is not this gateway")


def csrf_token(cookie: str) -> str:
    """What a page shows to prove that it was served to whoever has the cookie."""
    return hmac.new(cookie.encode(), b"homing csrf", hashlib.sha256).hexdigest()


def secret(entropy: Entropy) -> str:
    return urlsafe_b64encode(entropy.token(32)).decode().rstrip("=")


def hashed(given: str) -> str:
    return hashlib.sha256(given.encode()).hexdigest()


async def code_for(key_id: str, store: LoginStore, entropy: Entropy) -> str:
    """A code to sign in with once, within five minutes."""
    code = secret(entropy)
    await store.add(hashed(code), LoginKind.CODE, key_id, for_s=CODE_S)
    return code
