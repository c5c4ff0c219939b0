"""The phones of the demo's accounts. Each scans the code of its own account, as its owner would.

WhatsApp does not know whose session a code belongs to; a phone of its own making would be a stranger's to the gateway,
which sends nothing through it.
"""

import asyncio
from contextlib import suppress

import aiohttp

from homing.decide.phones.reading import read
from homing.demo.calls import DemoCaller, Document
from homing.demo.plan import Unworkable
from homing.model.directory.phones import Bare, PhoneNumber
from simulated_whatsapp.client import Administration, RefusedByWhatsApp

SCAN_AFTER_S = 3.0
"""An account that was created and started later is scanned by its phone after this time."""
LOOK_EVERY_S = 0.5

_NOT_NOW = (aiohttp.ClientError, TimeoutError, OSError, ValueError, Unworkable, RefusedByWhatsApp)
"""What a killed gateway or WhatsApp, or an account that has no code, brings: the phone looks again."""


async def scan_codes(gateway: DemoCaller, whatsapp_address: str) -> None:
    """Link each account that waits for it, with the account's own number; ends only by being cancelled."""
    waiting_since_s: dict[str, float] = {}
    now = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            accounts = (await gateway.get("/accounts", status="pairing"))["data"]
        except _NOT_NOW:
            continue
        waiting_since_s = {each["uuid"]: waiting_since_s.get(each["uuid"], now()) for each in accounts}
        for account in accounts:
            if now() - waiting_since_s[account["uuid"]] >= SCAN_AFTER_S:
                with suppress(*_NOT_NOW):
                    await _scan(gateway, whatsapp_address, account)


async def _scan(gateway: DemoCaller, whatsapp_address: str, account: Document) -> None:
    workspace = await gateway.get(f"/workspaces/{account['workspace_id']}")
    number = read(account["phone"], workspace["region"], Bare(workspace["bare_digits"]))
    shown = await gateway.get(f"/accounts/{account['uuid']}/qr")
    if isinstance(number, PhoneNumber) and shown["code"] is not None:
        async with Administration(whatsapp_address) as whatsapp:
            await whatsapp.link(shown["code"], number.digits)
