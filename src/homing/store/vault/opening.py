"""Opening the vault of a database, for an instance."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from homing.store.db.database import Database, StoreMisconfigured
from homing.store.db.migrating import migrate
from homing.store.db.opening import open_database
from homing.store.directory.exit_proxies import SqlExitProxies
from homing.store.grants.leases import SqlLeases
from homing.store.vault.sealing import KeyRing
from homing.store.vault.vault import SqlVault

LEASE_CONNECTIONS = 8
"""One, as long as renewals are answered. Each further one is for a renewal that is repeated, for two seconds."""


@asynccontextmanager
async def open_vault(
    database_url: str, *, key: str, old_keys: str = ""
) -> AsyncIterator[tuple[SqlVault, SqlLeases, SqlExitProxies]]:
    """The vault, the leases and the sealed exit proxies of this database, brought up to date first.

    Raises StoreMisconfigured, VaultSealed and StoreUnavailable, each with one sentence.
    """
    keys = key_ring(key, old_keys)
    async with AsyncExitStack() as stack:
        database = open_database(database_url)
        stack.push_async_callback(database.close)
        await migrate(database_url)
        vault = await SqlVault.of(database, keys)
        stack.push_async_callback(vault.close)
        leases = SqlLeases(await stack.enter_async_context(_for_leases(database, database_url)))
        yield vault, leases, SqlExitProxies(database)


@asynccontextmanager
async def _for_leases(database: Database, url: str) -> AsyncIterator[Database]:
    """On PostgreSQL, connections that nobody else has: when all wait, renewals neither take those of the messages nor
    wait for them."""
    if database.dialect == "sqlite":
        yield database
        return
    own = open_database(url, pool_size=LEASE_CONNECTIONS)
    try:
        yield own
    finally:
        await own.close()


def key_ring(key: str, old_keys: str) -> KeyRing:
    """The keys of the settings. Raises StoreMisconfigured."""
    if not key:
        raise StoreMisconfigured("HOMING_VAULT_KEY is not set; `homing db vault-key` makes one")
    try:
        return KeyRing.read(key, old_keys)
    except ValueError as error:
        raise StoreMisconfigured(f"HOMING_VAULT_KEY or HOMING_VAULT_OLD_KEYS cannot be used: {error}") from error
