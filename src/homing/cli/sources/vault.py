"""The vault of the settings' database, for the commands that keep it."""

from collections.abc import Callable
from typing import Any

from homing.cli.sources.database import must_be_there, told
from homing.cli.terminal.stops import CannotStart
from homing.config import Settings
from homing.model.instances.vault import VaultSealed
from homing.store.vault.opening import open_vault

_AT_ONCE = 200


def rotate(settings: Settings, progress: Callable[[str], None]) -> dict[str, Any]:
    """Seal all anew under the newest key, in steps that hold up nobody for long; says what it came to."""
    must_be_there(settings)

    async def story() -> dict[str, Any]:
        opened = open_vault(
            settings.homing_database_url, key=settings.homing_vault_key, old_keys=settings.homing_vault_old_keys
        )
        async with opened as (vault, *_):
            left = await vault.left_to_rotate()
            progress(f"{left} rows to seal anew")
            resealed, unreadable = 0, dict[str, str]()
            while True:
                step = await vault.rotate(_AT_ONCE, skip=unreadable)
                if not step.resealed and not step.unreadable:
                    break
                resealed += step.resealed
                unreadable |= step.unreadable
                progress(f"{resealed} of {left} sealed anew")
            return {
                "resealed": resealed,
                "left": await vault.left_to_rotate(),
                "unreadable": [{"session_id": session, "reason": why} for session, why in unreadable.items()],
            }

    try:
        return told(story)
    except VaultSealed as error:
        raise CannotStart(str(error)[:1].upper() + str(error)[1:]) from error
