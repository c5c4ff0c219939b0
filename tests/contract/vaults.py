"""Small vaults for the suites of the store."""

from homing.model.instances.vault import Grant, Holder, StaleEpoch, Unsent
from homing.store.db.database import Database
from homing.store.vault.sealing import KeyRing, VaultKey, fresh_key
from homing.store.vault.vault import SqlVault

ONE = Holder("http://localhost:3001", "boot-one")
TWO = Holder("http://localhost:3002", "boot-two")
THREE = Holder("http://localhost:3003", "boot-three")
LOGIN = {"noise": "secret of the device", "registered": True, "ünï": [1, None, 2.5]}
KEY = fresh_key("first")


async def vault_of(database: Database, key: VaultKey = KEY, *old: VaultKey) -> SqlVault:
    """The vault of a database under these keys. Whoever opens it closes it."""
    return await SqlVault.of(database, KeyRing(key, old))


async def opened(vault: SqlVault, session: str = "s", *, epoch: int | None = None, holder: Holder = ONE) -> Grant:
    grant = await vault.open(session, epoch=epoch, holder=holder)
    assert isinstance(grant, Grant)
    return grant


async def saved(vault: SqlVault, grant: Grant, login: object = LOGIN) -> Grant:
    kept = await vault.save(grant, login)  # type: ignore[arg-type]
    assert isinstance(kept, Grant)
    return kept


def unsent(*ids: str) -> list[Unsent]:
    return [Unsent(each, f"frame of {each}".encode()) for each in ids]


async def reserved(vault: SqlVault, grant: Grant, *ids: str) -> list[int]:
    """The counters of these messages."""
    answers = await vault.reserve(grant, unsent(*ids))
    assert not isinstance(answers, StaleEpoch)
    return [answer.counter for answer in answers]
