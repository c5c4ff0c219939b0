"""The code that links an account's phone, from the instance or from what it reported."""

from homing.decide.events import QR_CODE, QR_FIELD
from homing.flows.accounts import Accounts
from homing.model.fleet import Account
from homing.ports import Clock, Events, PairingCode

QR_LIVES_S = 60


async def pairing_code(account: Account, accounts: Accounts, events: Events, clock: Clock) -> PairingCode:
    """The instance's answer; where that holds no code, the newest one it reported in the last minute."""
    answered = await accounts.pairing(account)
    if answered.qr is not None or answered.code is not None:
        return answered
    now = clock.now()
    url = account.placement.instance_url
    reported = await events.newest(account.session_id, QR_CODE, told_by=url) if url is not None else None
    code = reported.payload.get(QR_FIELD) if reported is not None else None
    if reported is None or not isinstance(code, str):
        return answered
    left_s = QR_LIVES_S - (now - reported.received_at).total_seconds()
    return PairingCode(code, None, max(0, int(left_s)))
