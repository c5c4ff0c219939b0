"""`homing import`: from the Laravel application's database, on a real MariaDB, and from files."""

import asyncio
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from homing.cli.directory import importing
from homing.imports import laravel
from services import MariadbServer
from tests.cli.conftest import CommandLine
from tests.models.laravel_application import LaravelApplication

NODES = [f"http://localhost:{port}" for port in (3001, 3002, 3003)]


@pytest.fixture
def application(mariadb_dsn: str) -> LaravelApplication:
    return LaravelApplication(mariadb_dsn)


@pytest.fixture
def fleet(application: LaravelApplication) -> LaravelApplication:
    """Three accounts and four contacts, as the application has them."""
    application.run("INSERT INTO workspaces (id, uuid, identifier, name) VALUES (1, 'w-1', 'shop', 'Toko Kita')")
    application.accounts(
        [
            (142, "a-142", 1, "webjs_1_142", "62811801641", "connected", NODES[0]),
            (144, "a-144", 1, "webjs_1_144", "0816108641", "disconnected", NODES[1]),
            (145, "a-145", 1, "webjs_1_145", "+62 812-9000-145", "connected", NODES[2]),
        ]
    )
    application.contacts(
        [(n, f"c-{n}", 1, name, f"6281290000{n:02}") for n, name in enumerate(("Budi", "Sitø", "Agus", "Dewi"), 1)]
    )
    return application


def test_accounts_and_contacts_come_under_their_own_names(homing: CommandLine, fleet: LaravelApplication) -> None:
    done = homing("import", "laravel", fleet.dsn, "--json")
    assert done.code == 0
    assert done.document["accounts"] == {
        "read": 3, "created": 3, "updated": 0, "unchanged": 0, "skipped": 0, "refused": 0
    }  # fmt: skip
    assert done.document["contacts"]["created"] == 4
    account = homing("accounts", "show", "144", "--json").document
    assert (account["uuid"], account["session_id"], account["phone"]) == ("a-144", "webjs_1_144", "0816108641")
    assert (account["instance_url"], account["status"]) == (NODES[1], "disconnected")
    assert account["workspace_id"] == 1
    contacts = homing("contacts", "--json").document["data"]
    assert [(each["uuid"], each["phone"], each["name"]) for each in contacts[:2]] == [
        ("c-1", "628129000001", "Budi"),
        ("c-2", "628129000002", "Sitø"),
    ]
    assert homing("workspaces", "--json").document["data"][0]["name"] == "Toko Kita"


def test_a_dry_run_says_the_same_and_writes_nothing(homing: CommandLine, fleet: LaravelApplication) -> None:
    rehearsed = homing("import", "laravel", fleet.dsn, "--dry-run", "--json").document
    assert homing("accounts", "--json").document["data"] == []
    done = homing("import", "laravel", fleet.dsn, "--json").document
    assert rehearsed.pop("dry_run") is True
    assert done.pop("dry_run") is False
    for document in (rehearsed, done):
        document.pop("execution_s")
    assert rehearsed == done


def test_run_again_it_takes_over_what_changed_and_nothing_comes_to_be_twice(
    homing: CommandLine, fleet: LaravelApplication
) -> None:
    homing("import", "laravel", fleet.dsn)
    fleet.run("UPDATE contacts SET phone = '628129009999', first_name = 'Budi B' WHERE id = 1")
    fleet.contacts([(9, "c-9", 1, "Nina", "628129000009")])
    again = homing("import", "laravel", fleet.dsn, "--json").document
    assert again["contacts"] | {"read": 5, "created": 1, "updated": 1, "unchanged": 3} == again["contacts"]
    assert again["accounts"]["unchanged"] == 3
    assert len(homing("contacts", "--json").document["data"]) == 5
    first = homing("contacts", "--json").document["data"][0]
    assert (first["phone"], first["name"]) == ("628129009999", "Budi B")


def test_a_phone_that_another_one_gives_up_further_down_is_free_by_the_end(
    homing: CommandLine, fleet: LaravelApplication
) -> None:
    homing("import", "laravel", fleet.dsn)
    fleet.run(
        "UPDATE contacts SET phone = '628129000004' WHERE id = 1",
        "UPDATE contacts SET phone = '628129000008' WHERE id = 4",
    )
    again = homing("import", "laravel", fleet.dsn, "--json")
    assert (again.code, again.document["contacts"]["updated"]) == (0, 2)


def test_rows_that_cannot_be_are_named_with_table_id_and_reason(
    homing: CommandLine, fleet: LaravelApplication, tmp_path: Path
) -> None:
    fleet.accounts([(150, "a-150", 1, "webjs_1_150", None, "qr_scanning", None)])
    fleet.contacts([(11, "c-11", 1, "No phone", None), (12, "c-12", 1, "As Budi", "+628129000001")])
    fleet.run(
        "INSERT INTO whatsapp_accounts (uuid, workspace_id, session_id, provider_type) VALUES ('m', 1, 'm', 'meta')",
        "INSERT INTO contacts (uuid, workspace_id, chat_type) VALUES ('g', 1, 'group')",
        "INSERT INTO contacts (uuid, workspace_id, chat_type, phone, full_name)"
        " VALUES ('g-2', 1, 'group', '120363041234567890@g.us', 'Neighbours')",
        "INSERT INTO contacts (uuid, workspace_id, phone, deleted_at) VALUES ('d', 1, '1', NOW())",
    )
    done = homing("import", "laravel", fleet.dsn, "--json", "--report", "left.jsonl")
    assert done.code == 1
    assert done.document["refused_total"] == 3
    named = {(row["table"], row["id"]): row["reason"] for row in done.document["refused"]}
    assert "no phone (its status is qr_scanning)" in named["whatsapp_accounts", "150"]
    assert "no phone" in named["contacts", "11"]
    assert "as contact" in named["contacts", "12"]
    assert sum(done.document["skipped"].values()) == 3
    assert homing("contacts", "--json").document["data"][-1]["address"] == {"kind": "group", "id": "120363041234567890"}
    assert "set them right" in done.err
    lines = [json.loads(line) for line in (tmp_path / "left.jsonl").read_text().splitlines()]
    assert {row["id"] for row in lines} == {"150", "11", "12"}


def test_columns_that_differ_between_versions_are_no_hindrance(homing: CommandLine, mariadb_dsn: str) -> None:
    older = LaravelApplication(mariadb_dsn)
    older.run(
        "ALTER TABLE whatsapp_accounts DROP COLUMN assigned_instance_url, DROP COLUMN deleted_at,"
        " RENAME COLUMN workspace_id TO organization_id, ADD COLUMN health_score INT NULL",
        "RENAME TABLE whatsapp_accounts TO whatsapp_sessions",
        "ALTER TABLE contacts DROP COLUMN full_name, DROP COLUMN chat_type",
        "DROP TABLE workspaces",
        "INSERT INTO whatsapp_sessions (uuid, organization_id, session_id, phone_number)"
        " VALUES ('a', 1, 's', '62811801641')",
        "INSERT INTO contacts (uuid, workspace_id, first_name, phone) VALUES ('c', 1, 'Budi', '62811801642')",
    )
    done = homing("import", "laravel", older.dsn, "--json")
    assert (done.code, done.document["accounts"]["created"], done.document["contacts"]["created"]) == (0, 1, 1)
    assert homing("accounts", "show", "a", "--json").document["instance_url"] is None


def test_a_database_of_something_else_is_named_as_that(homing: CommandLine, mariadb_dsn: str) -> None:
    LaravelApplication(mariadb_dsn).run("ALTER TABLE whatsapp_accounts DROP COLUMN session_id")
    refused = homing("import", "laravel", mariadb_dsn)
    assert refused.code == 2
    assert "has no column session_id" in refused.err


def test_instances_that_nobody_has_added_are_named(homing: CommandLine, fleet: LaravelApplication) -> None:
    homing.setting("WHATSAPP_INSTANCE_1", NODES[0])
    done = homing("import", "laravel", fleet.dsn, "--instance-map", f"{NODES[2]}=http://node-3:3003", "--json")
    assert {each["url"]: each["known"] for each in done.document["instances"]} == {
        NODES[0]: True,
        NODES[1]: False,
        "http://node-3:3003": False,
    }
    shown = homing("import", "laravel", fleet.dsn, "--dry-run")
    assert f"homing adopt {NODES[1]}" in shown.err


def test_workspaces_go_where_they_are_sent(homing: CommandLine, fleet: LaravelApplication) -> None:
    homing("import", "laravel", fleet.dsn, "--workspace-map", "1=7")
    assert homing("accounts", "show", "142", "--json").document["workspace_id"] == 7
    assert homing("workspaces", "show", "7", "--json").document["name"] == "Toko Kita"


# --- a password is nobody's business ----------------------------------------------------------------------------

SECRET = "s3cr&t/word"


def test_a_wrong_password_is_said_and_never_shown(homing: CommandLine, mariadb: MariadbServer) -> None:
    refused = homing("import", "laravel", mariadb.dsn_of("none", "nobody", SECRET), "--json")
    assert refused.code == 2
    assert "nobody" in refused.err
    assert "Access denied" in refused.err
    assert SECRET not in refused.err + refused.out
    assert SECRET.replace("&", "%26").replace("/", "%2F") not in refused.err + refused.out


@pytest.mark.parametrize(
    "words",
    [
        ["import", "laravel", "postgresql://me:hush-hush@h/d"],
        ["import", "laravel", "mysql://me:hush-hush@h"],
        ["import", "laravel", "mysql://me:hush-hush@h:port/d"],
        ["import", "laravel", "mysql://me:hush-hush@h/d?charset=x"],
        ["import", "laravel", "mysql://me:hush-hush@h/d", "mysql://me:hush-hush@h/d"],
        ["imprt", "laravel", "mysql://me:hush-hush@h/d"],
        ["import", "laravel", "mysql://me:hush-hush@h/d", "--no-such-option"],
    ],
    ids=["other-scheme", "no-database", "no-port", "option", "twice", "mistyped", "no-such-option"],
)
def test_wrong_use_never_says_the_password_back(homing: CommandLine, words: list[str]) -> None:
    refused = homing(*words)
    assert refused.code == 2
    assert "hush-hush" not in refused.err + refused.out


def test_the_dsn_comes_from_standard_input_or_the_environment(
    homing: CommandLine, fleet: LaravelApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{fleet.dsn}\n"))
    assert homing("import", "laravel", "-", "--json").document["accounts"]["created"] == 3
    homing.setting("HOMING_IMPORT_DSN", fleet.dsn)
    assert homing("import", "laravel", "--json").document["accounts"]["unchanged"] == 3


def test_with_a_gateway_alone_there_is_no_database_to_write_to(homing: CommandLine) -> None:
    homing.setting("HOMING_API_URL", "http://127.0.0.1:9")
    homing.setting("HOMING_API_TOKEN", "key")
    refused = homing("import", "csv", "any.csv")
    assert refused.code == 2
    assert "set HOMING_DATABASE_URL" in refused.err


# --- broken off in the midst ------------------------------------------------------------------------------------


@pytest.fixture
def many(application: LaravelApplication) -> LaravelApplication:
    """So many that an import of them takes some seconds."""
    application.accounts(
        (n, f"a-{n}", 1 + n % 3, f"webjs_{n}", f"6281{n:08}", "connected", NODES[n % 3]) for n in range(1, 1_001)
    )
    application.contacts((n, f"c-{n}", 1 + n % 3, f"Name {n}", f"+6282{n:08}") for n in range(1, 15_001))
    return application


@pytest.mark.slow
def test_killed_in_the_midst_and_run_again_it_ends_as_if_it_had_run_through(
    homing: CommandLine, many: LaravelApplication, store_url: str, tmp_path: Path
) -> None:
    homing.setting("HOMING_DATABASE_URL", store_url)
    environment = {**os.environ, "HOMING_DATABASE_URL": store_url}
    command = [sys.executable, "-m", "homing.cli", "import", "laravel", many.dsn, "--json"]
    broken_off = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, cwd=tmp_path)
    deadline_s = time.monotonic() + 60
    while not homing("contacts", "--json").document["data"]:
        assert broken_off.poll() is None, "it was done before it could be killed"
        assert time.monotonic() < deadline_s
    broken_off.send_signal(signal.SIGKILL)
    broken_off.wait()
    again = homing("import", "laravel", many.dsn, "--json").document
    assert 0 < again["contacts"]["created"] < 15_000
    assert again["contacts"]["created"] + again["contacts"]["unchanged"] == 15_000
    assert (again["accounts"]["unchanged"], again["refused_total"]) == (1_000, 0)
    last = homing("import", "laravel", many.dsn, "--json").document
    assert (last["contacts"]["unchanged"], last["accounts"]["unchanged"]) == (15_000, 1_000)


async def test_a_connection_that_breaks_is_opened_again_where_it_broke(
    many: LaravelApplication, mariadb: MariadbServer
) -> None:
    from homing.imports.dsn import read_dsn

    read = 0
    async with laravel.LaravelDatabase(read_dsn(many.dsn)) as source:
        async for page in source.pages():
            read += len(page)
            if read == 3_000:
                connection = source._connection.thread_id()
                await asyncio.to_thread(mariadb.administer, f"KILL {connection}")
    assert read == 16_000


# --- files ------------------------------------------------------------------------------------------------------

CONTACTS = "uuid,phone,name\nc-1,+628129000001,Budi\nc-2,0812 9000 002,Sitø\n"
ACCOUNTS = "uuid;session_id;phone_number;workspace_id;instance_url\na-1;shop;+62811801641;1;http://node-1:3001\n"


def test_a_file_of_contacts_or_accounts_says_by_its_heading_what_it_has(homing: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "contacts.csv").write_text("\ufeff" + CONTACTS)
    (tmp_path / "accounts.csv").write_text(ACCOUNTS)
    contacts = homing("import", "csv", "contacts.csv", "--workspace", "1", "--json")
    assert (contacts.code, contacts.document["contacts"]["created"]) == (0, 2)
    accounts = homing("import", "csv", "accounts.csv", "--json")
    assert (accounts.code, accounts.document["accounts"]["created"]) == (0, 1)
    assert homing("accounts", "show", "a-1", "--json").document["session_id"] == "shop"


def test_a_file_with_both_says_it_in_each_line(homing: CommandLine, tmp_path: Path) -> None:
    lines = ["kind,uuid,session_id,phone", "account,a-1,shop,+62811801641", "contact,c-1,,+62811801642", "person,,,"]
    (tmp_path / "both.csv").write_text("\n".join(lines))
    done = homing("import", "csv", "both.csv", "--workspace", "1", "--json")
    assert (done.document["accounts"]["created"], done.document["contacts"]["created"]) == (1, 1)
    assert [row["line"] for row in done.document["refused"]] == [4]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzipped"])
def test_standard_input_is_a_file_too(homing: CommandLine, monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    raw = gzip.compress(CONTACTS.encode()) if packed else CONTACTS.encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    assert homing("import", "csv", "-", "--workspace", "1", "--json").document["contacts"]["created"] == 2


def test_lines_that_cannot_be_taken_are_named_by_number_and_harm_no_other(homing: CommandLine, tmp_path: Path) -> None:
    lines = [
        b"uuid,phone,name",
        b"c-1,+628129000001,Budi",
        b"c-2,+628129000002",
        b"c-3,12,short",
        b'c-4,+628129000004,"two',
        b'lines"',
        b"c-5,+628129000005,\xff\xfe",
        b"",
        b"c-6,+628129000001,the phone of line 2",
        b"c-7,+628129000007,last",
    ]
    (tmp_path / "odd.csv").write_bytes(b"\n".join(lines))
    done = homing("import", "csv", "odd.csv", "--workspace", "1", "--json")
    assert done.code == 1
    assert done.document["contacts"]["created"] == 3
    reasons = {row["line"]: row["reason"] for row in done.document["refused"]}
    assert sorted(reasons) == [3, 4, 7, 9]
    assert "2 values" in reasons[3]
    assert "UTF-8" in reasons[7]
    assert "as contact" in reasons[9]
    shown = homing("import", "csv", "odd.csv", "--workspace", "1")
    assert "odd.csv line 4: '12' is no phone number" in shown.err


def test_contacts_without_a_uuid_are_known_again_by_their_phone(homing: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text("phone,name\n+628129000001,Budi\n+628129000001,Budi again\n")
    first = homing("import", "csv", "plain.csv", "--workspace", "1", "--json").document["contacts"]
    assert (first["created"], first["updated"]) == (1, 1)
    rehearsed = homing("import", "csv", "plain.csv", "--workspace", "1", "--dry-run", "--json").document["contacts"]
    assert (rehearsed["created"], rehearsed["refused"]) == (0, 0)
    assert len(homing("contacts", "--json").document["data"]) == 1


def test_a_dry_run_sees_what_comes_twice_however_far_apart(homing: CommandLine, tmp_path: Path) -> None:
    lines = [f"c-{n},+6281{n:08}" for n in range(1, 2_001)]
    again = ["c-1,+628290000001", "c-x,+628100000002", "c-3,+628100000003"]
    (tmp_path / "twice.csv").write_text("\n".join(["uuid,phone", *lines, *again]))
    rehearsed = homing("import", "csv", "twice.csv", "--workspace", "1", "--dry-run", "--json").document
    done = homing("import", "csv", "twice.csv", "--workspace", "1", "--json").document
    assert [row["line"] for row in rehearsed["refused"]] == [2003]
    assert [row["line"] for row in done["refused"]] == [2003]
    assert rehearsed["contacts"]["created"] == done["contacts"]["created"] == 2_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no phone"),
        ("a,b\n1,2\n", "has no phone"),
        ("session_id,name\ns,n\n", "has no phone_number"),
        ("phone,phone\n1,2\n", "twice"),
    ],
    ids=["empty", "no-phone", "account-without", "twice"],
)
def test_a_heading_that_names_too_little_says_what_is_missing(
    homing: CommandLine, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "odd.csv").write_text(text)
    refused = homing("import", "csv", "odd.csv")
    assert refused.code in (1, 2)
    assert said in refused.err


def test_a_file_that_is_not_there_or_breaks_off_is_named(homing: CommandLine, tmp_path: Path) -> None:
    assert "cannot be opened" in homing("import", "csv", "nowhere.csv").err
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(CONTACTS.encode())[:-12])
    assert "cannot be read to its end" in homing("import", "csv", "cut.csv.gz", "--workspace", "1").err


def test_only_some_of_many_refusals_are_shown(homing: CommandLine, tmp_path: Path) -> None:
    many = importing.REFUSED_SHOWN + 5
    (tmp_path / "bad.csv").write_text("phone\n" + "12\n" * many)
    shown = homing("import", "csv", "bad.csv", "--workspace", "1")
    assert "… and 5 more; --report FILE" in shown.err
