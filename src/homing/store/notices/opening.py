"""Which carrier brings word of changes to the gateways on a database."""

from homing.store.db.database import Database, StoreMisconfigured
from homing.store.db.opening import database_name
from homing.store.notices.notices import LocalNotices, StagedNotices


async def open_notices(
    database: Database, url: str, redis_url: str | None = None, listen_url: str | None = None
) -> StagedNotices:
    """Notices for the gateways on this database, listening already: over Redis if one is named, else its own way.

    `listen_url` leads to the same PostgreSQL database without a pooler, for listening only. Raises StoreMisconfigured.
    """
    notices = _carrier(database, url, redis_url, listen_url)
    await notices.start()
    return notices


def _carrier(database: Database, url: str, redis_url: str | None, listen_url: str | None) -> StagedNotices:
    # Imported only where needed: most commands talk to nobody but the database.
    if redis_url:
        try:
            from homing.store.notices.redis import CHANNEL, RedisNotices
        except ModuleNotFoundError as error:
            raise StoreMisconfigured(
                "HOMING_REDIS_URL is set, and the client for it is not installed: pip install 'homing[redis]'"
            ) from error

        # Several databases may share one Redis; their gateways have nothing to tell each other.
        return RedisNotices(redis_url, channel=f"{CHANNEL}:{database_name(url)}")
    if database.dialect == "postgresql":
        from homing.store.notices.postgres import PostgresNotices
        from homing.store.postgres.engine import PostgresDatabase

        assert isinstance(database, PostgresDatabase)
        return PostgresNotices(database, listen_url=listen_url)
    return LocalNotices()
