"""The database of the settings, for the commands that keep it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy import URL

from homing.cli.sources.client import Document
from homing.cli.terminal.acting import act
from homing.cli.terminal.stops import CannotStart
from homing.compose import open_stores
from homing.config import Settings
from homing.decide.fleet.leases import BEYOND_A_BACKUP
from homing.flows.moves.move_jobs import KIND as REHOME
from homing.model.directory.audit import carrying_out
from homing.ports import CacheCleared, StoreUnavailable
from homing.store.db.database import StoreMisconfigured
from homing.store.db.opening import parse, sqlite_path
from homing.store.vault.restored import Restored, declare

T = TypeVar("T")


def told(story: Callable[[], Awaitable[T]]) -> T:
    """Run something on the database; what goes wrong there ends the command with its sentence."""

    async def run() -> T:
        with carrying_out(act()):
            return await story()

    try:
        return asyncio.run(run())
    except (StoreMisconfigured, StoreUnavailable) as error:
        raise CannotStart(_as_sentence(error)) from error


def declare_restored(settings: Settings) -> Document:
    """Let the database be one that was restored; says what that came to."""
    must_be_there(settings)

    async def story() -> Restored:
        async with open_stores(settings) as stores:
            database = stores.database
            done = await database.write(lambda c: declare(c, database, moves=[REHOME]))
            await stores.notices.publish([CacheCleared("a backup was restored")])
            return done

    done = told(story)
    return {
        "sessions_raised": done.sessions,
        "raised_by": BEYOND_A_BACKUP,
        "boots_forgotten": done.boots,
        "moves_cancelled": done.moves,
        "messages_given_up": done.messages,
    }


def must_be_there(settings: Settings) -> None:
    """Reading a database file that nobody made would make an empty one, and answer as if all were gone."""
    try:
        url = parse(settings.homing_database_url)
    except StoreMisconfigured as error:
        raise CannotStart(_as_sentence(error)) from error
    path = sqlite_path(url) if isinstance(url, URL) else None
    if path is not None and not path.exists():
        raise CannotStart(
            f"There is no database at {path}: set HOMING_DATABASE_URL to the one that the gateway uses, or"
            " HOMING_API_URL and HOMING_API_TOKEN to ask the gateway"
        )


def _as_sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]
