"""`homing audit`, `homing keys` and limits: with a gateway and without one."""

import asyncio
import re
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from homing.cli.terminal import amounts
from homing.cli.terminal.stops import CannotStart
from homing.decide.access.audit import ChainKeys
from homing.store.db.database import Database
from homing.store.db.migrating import migrate
from homing.store.db.opening import open_database
from homing.store.records.audit import SqlAudit
from tests.cli.conftest import CommandLine, ScriptedGateway


@pytest.fixture
def database(homing: CommandLine, sqlite_url: str) -> str:
    homing.setting("HOMING_DATABASE_URL", sqlite_url)
    asyncio.run(_migrated(sqlite_url))
    return sqlite_url


async def _migrated(url: str) -> None:
    await migrate(url)


def within(url: str, ask: Any) -> Any:
    async def story() -> Any:
        opened = open_database(url)
        try:
            return await ask(opened)
        finally:
            await opened.close()

    return asyncio.run(story())


def key_of(homing: CommandLine, *more: str) -> dict[str, Any]:
    made = homing("keys", "create", "--workspace", "1", "--scope", "read", *more, "--json")
    assert made.code == 0, made.err
    return dict(made.document)


def test_a_command_on_the_database_leaves_entries_of_its_user_without_its_arguments(
    homing: CommandLine, database: str
) -> None:
    key = key_of(homing, "--name", "shop")
    homing("contacts", "create", "0816-108-641", "--workspace", "1")
    homing("workspaces", "set", "1", "--region", "BR")
    homing("keys", "revoke", key["id"])
    rows = homing("audit", "--json").document["data"]
    assert [(row["request"], row["action"]) for row in rows] == [
        ("homing keys revoke", "key.revoked"),
        ("homing workspaces set", "workspace.changed"),
        ("homing contacts create", "contact.created"),
        ("homing keys create", "key.created"),
    ]
    assert {(row["via"], row["origin"], row["key_id"]) for row in rows} == {("command", socket.gethostname(), None)}
    assert rows[0]["actor"]
    assert rows[1]["before"] == {"region": None}
    assert rows[1]["after"] == {"region": "BR"}
    assert "816108641" not in homing("audit", "--json").out


def test_the_table_shows_who_changed_what(homing: CommandLine, database: str) -> None:
    key_of(homing, "--name", "shop")
    homing("workspaces", "set", "1", "--region", "BR")
    out = homing("audit").out
    assert "workspace 1" in out
    assert "region: - → BR" in out
    assert homing("audit", "--action", "key.created").out.count("\n") == 2
    assert homing("audit", "--action", "nothing").err.startswith("Nothing was changed")


def test_verifying_says_the_first_entry_that_was_changed_and_exits_1(homing: CommandLine, database: str) -> None:
    homing.setting("HOMING_SECRET", "a secret of the gateways")
    keys = ChainKeys.of("a secret of the gateways")
    for number in range(3):
        key_of(homing, "--name", f"key {number}")
    within(database, lambda opened: SqlAudit(opened, keys).chain(500))
    well = homing("audit", "--verify")
    assert well.code == 0
    assert re.search(r"what was written\s+yes", well.out)
    assert homing("audit", "--verify", "--json").document["entries"] == 3

    async def changed(opened: Database) -> None:
        await opened.write(lambda c: c.execute(text("UPDATE audit_log SET actor = 'nobody' WHERE id = 2")))

    within(database, changed)
    broken = homing("audit", "--verify")
    assert (broken.code, "entry 2: it does not follow" in broken.err) == (1, True)
    told = homing("audit", "--verify", "--json")
    assert (told.code, told.document["holds"], told.document["broken"]["id"]) == (1, False, 2)


def test_without_a_secret_it_says_what_that_means(homing: CommandLine, database: str) -> None:
    key_of(homing)
    within(database, lambda opened: SqlAudit(opened, ChainKeys()).chain(500))
    ran = homing("audit", "--verify")
    assert (ran.code, "without HOMING_SECRET" in ran.err) == (0, True)


def test_a_gateway_is_asked_for_the_same(homing: CommandLine, gateway: ScriptedGateway) -> None:
    gateway.answer("GET", "/audit", {"data": [], "next": None})
    assert homing("audit", "--subject", "account 144", "--json").document == {"data": [], "next": None}
    assert "subject=account+144" in gateway.last.path
    verdict = {"holds": True, "entries": 0, "waiting": 0, "unkeyed": 0, "removed": 0, "head": None, "broken": None}
    gateway.answer("GET", "/audit/verify", verdict)
    assert homing("audit", "--verify", "--json").document == verdict


# --- keys -------------------------------------------------------------------------------------------------------


def test_a_key_is_made_with_an_end_and_a_limit_and_both_are_changed(homing: CommandLine, database: str) -> None:
    key = key_of(homing, "--expires", "90d", "--rate-limit", "600/min")
    end = datetime.fromisoformat(key["expires_at"])
    assert timedelta(days=89) < end - datetime.now(UTC) <= timedelta(days=90)
    assert key["rate_limit"] == {"requests": 600, "per_s": 60}
    out = homing("keys").out
    assert "600 in 60 s" in out
    assert f"{end:%Y-%m-%d}" in out
    changed = homing("keys", "set", key["id"], "--expires", "none", "--rate-limit", "none", "--json").document
    assert "expires_at" not in changed
    assert "rate_limit" not in changed
    assert homing("keys", "set", key["id"]).code == 2
    assert homing("keys", "set", "nobody", "--name", "x", "--json").document["code"] == "key_not_found"
    assert homing("keys", "create", "--operator", "--expires", "2020-01-01").code == 2


def test_a_rotated_key_is_printed_once_and_lists_until_when_the_old_one_opens(
    homing: CommandLine, database: str
) -> None:
    key = key_of(homing)
    rotated = homing("keys", "rotate", key["id"], "--overlap", "1h")
    assert rotated.code == 0
    assert rotated.out.strip() != key["key"]
    assert rotated.out.startswith(f"hk_{key['id']}_")
    [shown] = homing("keys", "--json").document["data"]
    assert timedelta(minutes=59) < datetime.fromisoformat(shown["previous_until"]) - datetime.now(UTC)
    assert homing("keys", "rotate", key["id"], "--overlap", "a while").code == 2
    assert homing("keys", "rotate", "nobody").code == 2


def test_a_workspace_is_limited_and_freed(homing: CommandLine, database: str) -> None:
    key_of(homing)
    limited = homing("workspaces", "set", "1", "--rate-limit", "5000/h", "--json").document
    assert limited["rate_limit"] == {"requests": 5_000, "per_s": 3_600}
    assert homing("workspaces", "set", "1", "--rate-limit", "none", "--json").document["rate_limit"] is None


def test_a_gateway_is_told_of_keys_as_its_api_takes_them(homing: CommandLine, gateway: ScriptedGateway) -> None:
    gateway.answer("POST", "/keys/k1/rotate", {"id": "k1", "key": "hk_k1_new"})
    assert homing("keys", "rotate", "k1", "--overlap", "30m").out.strip() == "hk_k1_new"
    assert gateway.last.body == {"overlap_s": 1_800}
    gateway.answer("PATCH", "/keys/k1", {"id": "k1"})
    homing("keys", "set", "k1", "--expires", "2027-01-31", "--rate-limit", "10/s", "--json")
    assert gateway.last.body == {
        "expires_at": "2027-01-31T00:00:00+00:00",
        "rate_limit": {"requests": 10, "per_s": 1},
    }
    homing("keys", "set", "k1", "--expires", "none", "--rate-limit", "none", "--json")
    assert gateway.last.body == {"expires_at": None, "rate_limit": None}


@pytest.mark.parametrize(
    ("given", "requests", "per_s"), [("600/min", 600, 60), ("10/s", 10, 1), ("5000/h", 5_000, 3_600), ("7/15m", 7, 900)]
)
def test_a_rate_is_read(given: str, requests: int, per_s: int) -> None:
    assert amounts.rate(given) == {"requests": requests, "per_s": per_s}


@pytest.mark.parametrize("given", ["", "600", "x/min", "0/min", "-1/s", "10/", "10/fortnight", "1.5/s"])
def test_what_is_no_rate_is_refused(given: str) -> None:
    with pytest.raises(CannotStart):
        amounts.rate(given)


@pytest.mark.parametrize("given", ["", "tomorrow", "2027-13-01", "90"])
def test_what_is_no_moment_is_refused(given: str) -> None:
    with pytest.raises(CannotStart):
        amounts.moment(given)
