"""The code that links an account's phone: shown without disturbing anything, and renewed when somebody asks for it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from homing.decide.reports.meanings import QR_CODE, QR_FIELD
from homing.decide.starting import linking
from homing.flows.operations.accounts import HEALTH_TIMEOUT_S, START_TIMEOUT_S, as_start, instance_fault, running
from homing.flows.operations.routed import check_routed
from homing.model.errors import Code, Problem
from homing.model.fleet import Account, InstanceUrl, SessionStatus
from homing.model.instances.events import Event
from homing.model.sends.faults import Fault
from homing.ports import Clock, Directory, Events, Fleet, PairingCode

RENEWED_EVERY_S = 20.0
"""Renewing closes the session and opens it again: whoever is scanning just then would scan in vain."""
REPORTED_WITHIN_S = 30.0
_LOOK_EVERY_S = 0.5
_LIVES_S = 60
_LIVES_AT_MOST_S = 600
_PICTURE = "data:image/"
_TROUBLED = {
    SessionStatus.FAILED,
    SessionStatus.DISCONNECTED,
    SessionStatus.PAIRING,
    SessionStatus.LOGGED_OUT,
    SessionStatus.UNKNOWN,
}

ReadPicture = Callable[[str], Awaitable[str | None]]
"""What the QR code in a picture says, given as a data URL; None if it cannot be read."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A code, by the newest that is known. `picture` is a data URL, where the instance drew the QR code itself."""

    qr: str | None
    picture: str | None
    code: str | None
    expires_in_s: int
    received_at: datetime | None

    @property
    def expired(self) -> bool:
        return self.expires_in_s <= 0


class Pairing:
    """Shows and renews codes."""

    def __init__(
        self, directory: Directory, fleet: Fleet, events: Events, clock: Clock, read_picture: ReadPicture
    ) -> None:
        self._directory, self._fleet, self._events = directory, fleet, events
        self._clock, self._read_picture = clock, read_picture

    async def shown(self, account: Account) -> Shown:
        """The newest code, with the time that it has left. Nothing is started, stopped or renewed for it.

        Raises Problem: NOTHING_TO_PAIR while the session is connected, NO_PAIRING_CODE if there is none (yet).
        """
        url = running(account)
        told = await self._told(account, url)
        shown = await self._known(account, url, told)
        if shown is not None:
            return shown
        if isinstance(told, Fault):
            raise instance_fault(url, told)
        if (why := await self.trouble(account)) is not None:
            raise Problem(Code.NO_PAIRING_CODE, f"There is no code for account {account.uuid}: {url} says: {why}")
        raise Problem(
            Code.NO_PAIRING_CODE,
            f"{url} has reported no code for account {account.uuid} since it was last started or ready; wait for one if"
            f" it is just starting, or ask for a new one: `homing accounts qr {account.id} --renew`",
            retry_after_s=2,
        )

    async def trouble(self, account: Account) -> str | None:
        """Why the session cannot go on, in its gateway's word; None if it says nothing of that, or nothing at all."""
        url = account.placement.instance_url
        if url is None or account.status not in _TROUBLED:
            return None
        row = await self._fleet.driver(url).session(url, account.session_id, timeout_s=HEALTH_TIMEOUT_S)
        return None if isinstance(row, Fault) else row.error

    async def renew(self, account: Account, *, typed: bool = False) -> Shown:
        """A new code, once the instance has told it. Once in 20 s for each session, whoever asks.

        Asked sooner it is the code that there is. `typed`: one to type into the account's own phone. Raises Problem:
        NOTHING_TO_PAIR, and PAIRING_RENEWED_LATELY or NO_PAIRING_CODE where there is none to show; NOT_SUPPORTED where
        codes can only be scanned.
        """
        url = running(account)
        check_routed(self._fleet.roster, url, "no code is renewed there")
        into = await self._phone_to_type_into(account, url) if typed else None
        told = await self._told(account, url)
        wait_s = await self._directory.claim_renewal(account.session_id, every_s=RENEWED_EVERY_S)
        if wait_s > 0:
            return await self._renewed_lately(account, url, told, wait_s)
        before = await self._reported(account, url)
        await self._directory.note_start(account.session_id, url)
        wanted = replace(as_start(account), typed_for=into)
        answer = await self._fleet.driver(url).renew_pairing(url, wanted, timeout_s=START_TIMEOUT_S)
        if isinstance(answer, Fault):
            raise instance_fault(url, answer)
        if answer.qr is not None or answer.code is not None:
            return await self._as_shown(answer.qr, answer.code, answer.expires_in_s, self._clock.now())
        return await self._until_reported(account, url, before.sequence if before is not None else 0)

    async def _phone_to_type_into(self, account: Account, url: InstanceUrl) -> str:
        can = await self._fleet.capabilities(url, timeout_s=HEALTH_TIMEOUT_S)
        if isinstance(can, Fault):
            raise instance_fault(url, can)
        if not can.typed_codes:
            raise Problem(Code.NOT_SUPPORTED, f"{url} makes codes to scan, and none to type (typed_codes)")
        if account.person is None:
            raise Problem(
                Code.PHONE_AMBIGUOUS, f"Of which country {account.phone} is cannot be told; scan a code instead"
            )
        return account.person

    async def _told(self, account: Account, url: InstanceUrl) -> PairingCode | Fault:
        """What the instance tells when it is only looked at."""
        told = await self._fleet.driver(url).pairing(url, as_start(account), timeout_s=HEALTH_TIMEOUT_S)
        if isinstance(told, PairingCode) and told.connected:
            raise Problem(Code.NOTHING_TO_PAIR, f"Account {account.uuid} is connected on {url}: its phone is linked")
        return told

    async def _known(self, account: Account, url: InstanceUrl, told: PairingCode | Fault) -> Shown | None:
        event = await self._reported(account, url)
        if isinstance(told, PairingCode) and (told.qr is not None or told.code is not None):
            if event is not None and event.payload.get(QR_FIELD) == told.qr:
                return await self._of(event)
            return await self._as_shown(told.qr, told.code, told.expires_in_s, None)
        waits = linking.waits_for_a_scan(account.linking)
        return await self._of(event) if event is not None and waits else None

    async def _reported(self, account: Account, url: InstanceUrl) -> Event | None:
        return await self._events.newest(account.session_id, QR_CODE, told_by=url)

    async def _renewed_lately(
        self, account: Account, url: InstanceUrl, told: PairingCode | Fault, wait_s: float
    ) -> Shown:
        shown = await self._known(account, url, told)
        if shown is not None and not shown.expired:
            return shown
        raise Problem(
            Code.PAIRING_RENEWED_LATELY,
            f"A new code for account {account.uuid} was asked for less than {RENEWED_EVERY_S:.0f} s ago, and it is not"
            " here yet; ask for it again in a moment",
            retry_after_s=wait_s,
        )

    async def _until_reported(self, account: Account, url: InstanceUrl, after: int) -> Shown:
        """The code that is reported next."""
        until_s = self._clock.monotonic() + REPORTED_WITHIN_S
        while self._clock.monotonic() < until_s:
            event = await self._reported(account, url)
            if event is not None and event.sequence > after:
                return await self._of(event)
            await self._clock.sleep(_LOOK_EVERY_S)
        raise Problem(
            Code.NO_PAIRING_CODE,
            f"{url} was told to make a new code for account {account.uuid}, and has not reported one in"
            f" {REPORTED_WITHIN_S:.0f} s; see in its log whether its browser starts",
            retry_after_s=5,
        )

    async def _of(self, event: Event) -> Shown:
        qr, code = event.payload.get(QR_FIELD), event.payload.get("pairing_code")
        lives_s = event.payload.get("expires_in")
        if not isinstance(lives_s, int | float) or isinstance(lives_s, bool) or not 0 < lives_s <= _LIVES_AT_MOST_S:
            lives_s = _LIVES_S
        return await self._as_shown(
            qr if isinstance(qr, str) and qr else None,
            code if isinstance(code, str) and code else None,
            lives_s,
            event.received_at,
        )

    async def _as_shown(self, qr: str | None, code: str | None, lives_s: float, received_at: datetime | None) -> Shown:
        picture = qr if qr is not None and qr.startswith(_PICTURE) else None
        if picture is not None:
            qr = await self._read_picture(picture)
        ago_s = (self._clock.now() - received_at).total_seconds() if received_at is not None else 0.0
        return Shown(qr, picture, code, max(0, int(lives_s - max(0.0, ago_s))), received_at)
