"""Links by which a phone's owner pairs it: no key, one browser, once.

Whoever opens a link first has it: its browser gets a proof, without which the link looks like one that never was. It
ends when the phone is linked, when its time is over, or when the account is given another one.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass

import structlog

from homing.flows.operations.pairing import Pairing, Shown
from homing.model.errors import Code, Problem
from homing.model.fleet import Account, SessionStatus
from homing.ports import Directory, Entropy
from homing.ports.directory.pairing_links import KnownLink, PairingLinkStore

log = structlog.get_logger("homing")

LIVES_S = 900.0
SECRET_BYTES = 24


@dataclass(frozen=True, slots=True)
class LinkRefused:
    """Used, expired, ended or guessed: which of these is not told."""


@dataclass(frozen=True, slots=True)
class Unopened:
    """It may be opened, by whoever asks for it."""


@dataclass(frozen=True, slots=True)
class CodeToScan:
    """What to link the phone with now; None while there is no code (yet), for the reason `why`."""

    shown: Shown | None
    left_s: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class PhoneLinked:
    """The phone is linked, and the link has ended."""


LinkState = LinkRefused | Unopened | CodeToScan | PhoneLinked


class PairingLinks:
    """Gives out links and answers what is behind them."""

    def __init__(
        self, store: PairingLinkStore, directory: Directory, pairing: Pairing, entropy: Entropy, secret: bytes
    ) -> None:
        """`secret` proves to us that a browser has opened a link."""
        self._store, self._directory, self._pairing = store, directory, pairing
        self._entropy, self._secret = entropy, secret

    async def give(self, account: Account, *, for_s: float = LIVES_S) -> str:
        """The secret of a new link; earlier ones of the account end. Raises Problem: NOTHING_TO_PAIR."""
        if account.status is SessionStatus.CONNECTED:
            raise Problem(Code.NOTHING_TO_PAIR, f"Account {account.uuid} is connected; there is nothing to pair")
        secret = urlsafe_b64encode(self._entropy.token(SECRET_BYTES)).decode().rstrip("=")
        await self._store.add(_hash(secret), account.id, for_s=for_s)
        return secret

    async def open(self, secret: str) -> str | None:
        """The proof for the browser that opens it; None if it cannot be opened (any more)."""
        return self._proof(secret) if await self._store.open(_hash(secret)) else None

    async def state(self, secret: str, proof: str) -> LinkState:
        """What is behind the link now. Raises StoreUnavailable."""
        known = await self._store.find(_hash(secret))
        if known is None:
            return LinkRefused()
        if not known.opened:
            return Unopened()
        if not hmac.compare_digest(proof, self._proof(secret)):
            return LinkRefused()
        account = await self._directory.account(None, id=known.account_id)
        if account is None:
            return LinkRefused()
        return await self._code(secret, account, known)

    async def _code(self, secret: str, account: Account, known: KnownLink) -> LinkState:
        if account.status is SessionStatus.CONNECTED:
            await self._store.end(_hash(secret))
            log.info("Phone linked by its owner's link", session_id=account.session_id)
            return PhoneLinked()
        try:
            return CodeToScan(await self._pairing.shown(account), known.left_s)
        except Problem as problem:
            if problem.code is Code.NOTHING_TO_PAIR:
                await self._store.end(_hash(secret))
                return PhoneLinked()
            return CodeToScan(None, known.left_s, "The next code is on its way")

    def _proof(self, secret: str) -> str:
        return hmac.new(self._secret, b"pairing link " + secret.encode(), hashlib.sha256).hexdigest()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
