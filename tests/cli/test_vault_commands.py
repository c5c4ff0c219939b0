"""Keys of the vault: made, taken into use, and done without again, all by command."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from homing.model.instances.vault import Grant, Holder
from homing.store.db.opening import open_database
from homing.store.vault.opening import open_vault
from homing.store.vault.sealing import VaultKey
from tests.cli.conftest import CommandLine

HOLDER = Holder("http://localhost:3001", "boot")


def in_vault(url: str, key: str, ask: Any) -> Any:
    async def story() -> Any:
        async with open_vault(url, key=key) as (vault, *_):
            return await ask(vault)

    return asyncio.run(story())


async def _two_logins(vault: Any) -> None:
    for session in "ab":
        grant = await vault.open(session, epoch=None, holder=HOLDER)
        await vault.save(grant, {"of": session})


async def _login_of_b(vault: Any) -> Any:
    grant = await vault.open("b", epoch=None, holder=HOLDER)
    assert isinstance(grant, Grant)
    return grant.login


def fresh(homing: CommandLine) -> str:
    return homing("db", "vault-key").out.strip()


def test_each_key_is_a_fresh_one_that_can_be_read(homing: CommandLine, tmp_path: Path):
    first, second = fresh(homing), homing("db", "vault-key", "--json").document
    assert VaultKey.read(first) != VaultKey.read(second["key"])
    assert VaultKey.read(second["key"]).id == second["id"]
    assert list(tmp_path.iterdir()) == []


def test_a_new_key_takes_over_and_the_old_one_can_be_done_without(homing: CommandLine, sqlite_url: str):
    old, new = fresh(homing), fresh(homing)
    in_vault(sqlite_url, old, _two_logins)
    homing.setting("HOMING_DATABASE_URL", sqlite_url)
    homing.setting("HOMING_VAULT_KEY", new)
    ran = homing("db", "rotate-vault-key")
    assert ran.code == 2
    assert ran.err.startswith(f"The vault key {old.split(':')[0]!r} is not at hand, and 2 sealed rows")
    homing.setting("HOMING_VAULT_OLD_KEYS", old)
    ran = homing("db", "rotate-vault-key", "--json")
    assert (ran.code, ran.document) == (0, {"resealed": 2, "left": 0, "unreadable": []})
    assert "2 of 2 sealed anew" in ran.err
    assert homing("db", "rotate-vault-key", "--json").document["resealed"] == 0
    assert in_vault(sqlite_url, new, _login_of_b) == {"of": "b"}


def test_what_does_not_open_is_named_and_holds_up_nothing(homing: CommandLine, sqlite_url: str):
    old, new = fresh(homing), fresh(homing)
    in_vault(sqlite_url, old, _two_logins)

    async def swap() -> None:
        database = open_database(sqlite_url)
        of_b = "(SELECT login FROM credentials WHERE session_id = 'b')"
        swapped = text(f"UPDATE credentials SET login = {of_b} WHERE session_id = 'a'")
        await database.write(lambda c: c.execute(swapped))
        await database.close()

    asyncio.run(swap())
    homing.setting("HOMING_DATABASE_URL", sqlite_url)
    homing.setting("HOMING_VAULT_KEY", new)
    homing.setting("HOMING_VAULT_OLD_KEYS", old)
    ran = homing("db", "rotate-vault-key", "--json")
    assert ran.code == 1
    assert (ran.document["resealed"], ran.document["left"]) == (1, 1)
    assert ran.document["unreadable"][0]["session_id"] == "a"
    assert "of session a does not open" in ran.err


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HOMING_VAULT_KEY", "", "HOMING_VAULT_KEY is not set; `homing db vault-key` makes one"),
        ("HOMING_VAULT_KEY", "k:QUJD", "the key 'k' has 3 bytes"),
        ("HOMING_VAULT_OLD_KEYS", "k:QUJD", "the key 'k' has 3 bytes"),
        ("HOMING_DATABASE_URL", "sqlite:///not-there.db", "There is no database at"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(homing: CommandLine, sqlite_url: str, name: str, value: str, said: str):
    homing.setting("HOMING_DATABASE_URL", sqlite_url)
    homing.setting("HOMING_VAULT_KEY", fresh(homing))
    homing.setting(name, value)
    ran = homing("db", "rotate-vault-key")
    assert ran.code == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert "QUJD" not in ran.err


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HOMING_LEASE_EXPIRY", "4", "an instance would pause 4 s after its last renewal, when its lease has run out"),
        ("HOMING_LEASE_HEARTBEAT", "3", "one lost renewal would pause an instance"),
        ("HOMING_LEASE_REPEAT", "2", "HOMING_LEASE_REPEAT (2) must be above 0 and at most HOMING_LEASE_HEARTBEAT"),
        ("HOMING_LEASE_HEARTBEAT", "often", "HOMING_LEASE_HEARTBEAT is set to 'often'"),
    ],
)
def test_times_that_cannot_be_safe_together_are_refused(homing: CommandLine, name: str, value: str, said: str):
    homing.setting(name, value)
    ran = homing("db", "current")
    assert ran.code == 2
    assert said in ran.err
