"""Commands that need no gateway read the database itself, and show the same."""

import asyncio
import base64
import re
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from clocks import SteppedClock
from homing.decide.upgrading import SchemaVersion
from homing.model.alerts import Alert, AlertKind, Subject
from homing.model.fleet import (
    AccountUuid,
    Epoch,
    InstanceUrl,
    MoveKind,
    Rebinding,
    SessionId,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.model.instances.vault import Grant, Holder
from homing.model.work import Job
from homing.ports import NewAccount, Page
from homing.serve.callers.keyring import Keyring
from homing.store.db.database import Database
from homing.store.db.opening import open_database
from homing.store.directory.directory import SqlDirectory
from homing.store.grants.leases import SqlLeases
from homing.store.notices.notices import LocalNotices
from homing.store.records.alerts import SqlAlerts
from homing.store.vault.sealing import KeyRing
from homing.store.vault.vault import SqlVault
from homing.store.work.queue import SqlWork
from homing.world import SystemClock
from tests.cli.conftest import CommandLine

A = InstanceUrl("http://localhost:9")
UUID = "0190f2b4-0000-7000-8000-000000000144"


def on(url: str, ask: Any) -> Any:
    """What `ask` makes of the directory in that database."""

    return with_database(url, lambda database: ask(SqlDirectory(database, LocalNotices(), SystemClock())))


def with_database(url: str, ask: Any) -> Any:
    """What `ask` makes of that database itself."""

    async def story() -> Any:
        database = open_database(url)
        try:
            return await ask(database)
        finally:
            await database.close()

    return asyncio.run(story())


async def _settled(directory: SqlDirectory) -> None:
    """Account 144, connected on A; nobody else."""
    await directory.create_instance(A)
    new = NewAccount(
        uuid=AccountUuid(UUID),
        workspace_id=WorkspaceId(1),
        session_id=SessionId("s144"),
        phone="62811801641",
        name="Shop",
        takeover=Takeover.AUTO,
        id=144,
    )
    account = await directory.create_account(new)
    await directory.rebind([Rebinding(account.placement, A, Epoch(3), MoveKind.PLACEMENT, "because")])
    await directory.set_status(SessionId("s144"), SessionStatus.CONNECTED)


@pytest.fixture
def fleet(homing: CommandLine, sqlite_url: str) -> str:
    """A database with account 144 in it, which the settings name."""
    on(sqlite_url, _settled)
    homing.setting("HOMING_DATABASE_URL", sqlite_url)
    return sqlite_url


@pytest.mark.parametrize("reference", ["144", UUID, UUID.upper()])
def test_an_account_is_found_by_number_and_by_uuid(homing: CommandLine, fleet: str, reference: str):
    shown = homing("accounts", "show", reference, "--json").document
    assert (shown["id"], shown["instance_url"], shown["epoch"], shown["status"]) == (144, A, 3, "connected")


def test_an_account_that_is_not_there_is_refused_as_a_gateway_would(homing: CommandLine, fleet: str):
    ran = homing("accounts", "show", "9", "--json")
    assert (ran.code, ran.err) == (2, "account_not_found: There is no account 9\n")
    assert (ran.document["status"], ran.document["code"]) == (404, "account_not_found")


def test_accounts_are_listed_by_what_is_asked(homing: CommandLine, fleet: str):
    def found(*filters: str) -> list[int]:
        return [row["id"] for row in homing("accounts", *filters, "--json").document["data"]]

    assert found() == [144]
    assert found("--instance", "http://127.0.0.1:9/") == [144]
    assert found("--instance", "http://localhost:3002") == []
    assert found("--status", "stopped") == []
    assert found("--workspace", "2") == []
    assert found("--after", "144") == []


def test_distribution_instances_and_moves_need_no_gateway(homing: CommandLine, fleet: str):
    row = {"instance_url": A, "session_count": 1, "phones": ["62811801641"]}
    assert homing("distribution", "--json").document == {"data": [row], "next": None}
    (instance,) = homing("instances", "--json").document["data"]
    assert (instance["url"], instance["sessions"], instance["healthy"]) == (A, 1, False)
    (move,) = homing("moves", "--account", "144", "--json").document["data"]
    assert (move["to_url"], move["reason"]) == (A, "because")
    assert homing("moves", "--kind", "rehome", "--json").document["data"] == []


def test_that_an_instance_exited_can_be_said_without_a_gateway(homing: CommandLine, fleet: str):
    async def begin(database: Database) -> None:
        await SqlLeases(database).begin(Holder(A, "boot-a"), expiry_s=60)

    with_database(fleet, begin)
    (instance,) = homing("instances", "--json").document["data"]
    assert (instance["lease"]["held"], instance["lease"]["incarnation"]) == (True, "boot-a")
    with capture_logs():
        ran = homing("exited", "http://127.0.0.1:9/")
    assert (ran.code, ran.out) == (0, f"{A} has exited; 0 of its 1 session are on their way elsewhere.\n")
    assert "the vault does not know it" in ran.err
    (instance,) = homing("instances", "--json").document["data"]
    assert (instance["lease"]["held"], instance["lease"]["ended"]) == (False, "exited")
    with capture_logs():
        assert homing("exited", A, "--incarnation", "another", "--json").document["boots"] == 0


def test_what_the_vault_knows_is_wished_home_without_a_gateway(homing: CommandLine, fleet: str):
    async def held(database: Database) -> None:
        vault = await SqlVault.of(database, KeyRing.read("k1:" + base64.b64encode(bytes(32)).decode()))
        opened = await vault.open("s144", epoch=3, holder=Holder(A, "boot-a"))
        assert isinstance(opened, Grant)
        await vault.save(opened, {"linked": True})
        await vault.close()
        await SqlLeases(database).begin(Holder(A, "boot-a"), expiry_s=60)

    with_database(fleet, held)
    with capture_logs():
        said = homing("exited", A, "--json").document
    assert (said["boots"], said["sessions"], said["wanted"], said["staying"]) == (1, 1, 1, {})

    async def jobs(database: Database) -> list[Job]:
        return await SqlWork(database, LocalNotices()).jobs(Page())

    [job] = with_database(fleet, jobs)
    assert (job.kind, job.payload["session_id"], job.payload["cause"]) == ("rehome", "s144", "exited")


@pytest.mark.parametrize(
    ("url", "code"), [("http://localhost:3009", "instance_not_found"), ("nonsense", "invalid_request")]
)
def test_an_address_that_is_none_has_not_exited(homing: CommandLine, fleet: str, url: str, code: str):
    ran = homing("exited", url, "--json")
    assert (ran.code, ran.document["code"]) == (2, code)


def test_a_key_made_here_opens_the_api_and_a_revoked_one_does_not(homing: CommandLine, fleet: str):
    token = homing("keys", "create", "--operator", "--scope", "admin", "--name", "first").out.strip()

    async def find(directory: SqlDirectory) -> Any:
        keyring = Keyring(directory, SteppedClock())
        await keyring.refresh()
        return keyring.find(token)

    key = on(fleet, find)
    assert (key.name, key.scope, key.workspace_id) == ("first", "admin", None)
    assert homing("keys", "revoke", key.id).code == 0
    assert on(fleet, find) is None
    assert homing("keys", "revoke", key.id).code == 2


def test_a_contact_is_made_once_and_kept_as_the_gateways_take_it(homing: CommandLine, fleet: str):
    made = homing("contacts", "create", "0816-108-641", "--workspace", "1", "--json").document
    assert made["phone"] == "62816108641"
    assert [row["uuid"] for row in homing("contacts", "--json").document["data"]] == [made["uuid"]]
    again = homing("contacts", "create", "+62816108641", "--workspace", "1")
    assert (again.code, again.err.split(":")[0]) == (1, "already_exists")
    assert homing("contacts", "create", "banana", "--workspace", "1").code == 2
    assert homing("contacts", "create", "0816108642").code == 2


def test_reading_a_database_that_is_not_there_makes_none(homing: CommandLine, tmp_path: Path):
    ran = homing("accounts")
    assert ran.code == 2
    assert ran.err.startswith(f"There is no database at {tmp_path / 'homing.db'}")
    assert list(tmp_path.iterdir()) == []


def test_the_first_key_makes_the_database(homing: CommandLine, tmp_path: Path):
    assert homing("keys", "create", "--operator", "--scope", "admin").code == 0
    assert (tmp_path / "homing.db").exists()


@pytest.mark.parametrize("owner", [(), ("--workspace", "1", "--operator")])
def test_a_key_is_for_one_workspace_or_for_all(homing: CommandLine, tmp_path: Path, owner: tuple[str, ...]):
    assert homing("keys", "create", *owner).code == 2
    assert list(tmp_path.iterdir()) == []


def test_migrate_makes_a_database_that_is_up_to_date(homing: CommandLine, tmp_path: Path):
    before = homing("db", "--json").document
    assert (before["exists"], before["revision"], before["up_to_date"]) == (False, None, False)
    assert homing("db", "current").out == ""
    assert list(tmp_path.iterdir()) == []
    after = homing("db", "migrate", "--json").document
    assert (after["exists"], after["up_to_date"]) == (True, True)
    assert homing("db", "current").out.strip() == after["newest"]


def test_a_restored_backup_is_said_to_be_one(homing: CommandLine, fleet: str):
    before = homing("accounts", "--json").document["data"]
    told = homing("db", "restored", "--json").document
    after = homing("accounts", "--json").document["data"]
    assert told["sessions_raised"] == len(after) > 0
    assert [each["epoch"] for each in after] == [each["epoch"] + told["raised_by"] for each in before]


def test_no_password_is_shown(homing: CommandLine, monkeypatch: pytest.MonkeyPatch):
    async def at_the_first(_: str) -> SchemaVersion:
        return SchemaVersion("0001")

    homing.setting("HOMING_DATABASE_URL", "postgresql://homing:hunter2@127.0.0.1:1/homing")
    for command in (("db",), ("accounts",)):
        ran = homing(*command)
        assert ran.code == 2
        assert ran.err.count("\n") == 1
        assert "hunter2" not in ran.out + ran.err
    monkeypatch.setattr("homing.store.db.migrating.schema_version", at_the_first)
    assert "homing:***@127.0.0.1" in homing("db").out


@pytest.mark.parametrize("url", ["mysql://localhost/x", "not a url", "sqlite:////no/such/folder/homing.db"])
def test_a_database_that_cannot_be_is_one_sentence(homing: CommandLine, url: str):
    homing.setting("HOMING_DATABASE_URL", url)
    ran = homing("distribution")
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(r"[A-Z][^\n]*\n", ran.err)


def test_what_stands_about_accounts_and_instances_is_shown(homing: CommandLine, fleet: str):
    at = SystemClock().now()
    standing = [
        Alert(AlertKind.DOUBTFUL, Subject.session(SessionId("s144")), "three in a row", at),
        Alert(AlertKind.INSTANCE_GONE, Subject.instance(A), "refused", at),
    ]
    with_database(fleet, lambda database: SqlAlerts(database, LocalNotices()).change(standing, []))
    (account,) = homing("accounts", "--json").document["data"]
    assert [alert["kind"] for alert in account["attention"]] == ["doubtful"]
    assert " doubtful " in homing("accounts").out
    assert "three in a row" in homing("accounts", "show", "144").out
    (instance,) = homing("instances", "--json").document["data"]
    assert [alert["kind"] for alert in instance["attention"]] == ["instance_gone"]
    assert " instance_gone " in homing("instances").out
