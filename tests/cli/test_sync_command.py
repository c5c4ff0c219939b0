"""`homing sync-instance-urls`, straight on a database, among instances that answer as the Node service does."""

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from structlog.testing import capture_logs

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
from homing.ports import NewAccount
from homing.store.db.opening import open_database
from homing.store.directory.directory import SqlDirectory
from homing.store.notices.notices import LocalNotices
from homing.world import SystemClock
from tests.cli.conftest import CommandLine, ScriptedGateway

SESSIONS = 47
MOVED = {144: 0, 150: 3, 163: 0}
"""Accounts that came back elsewhere after the restart, with the place of their new instance."""
RULE = "=" * 40
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Instances:
    """Four instances, each with its list, or with what it answers in place of one."""

    urls: list[InstanceUrl] = field(default_factory=list)
    held: list[dict[str, str]] = field(default_factory=list)
    answers: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    lists: int = 0

    def listed(self, place: int) -> tuple[int, bytes]:
        self.lists += 1
        rows = [{"session_id": s, "workspace_id": 1, "status": status} for s, status in self.held[place].items()]
        document = {"success": True, "sessions": rows, "total": len(rows)}
        return self.answers.get(place, (200, json.dumps(document).encode()))

    def answer(self, place: int, document: Any, status: int = 200) -> None:
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.answers[place] = (status, raw)


@pytest.fixture
def instances() -> Iterator[Instances]:
    known = Instances()
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(known, place)) for place in range(4)]
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in servers]
    for server, thread in zip(servers, threads, strict=True):
        thread.start()
        known.urls.append(InstanceUrl(f"http://localhost:{server.server_port}"))
        known.held.append({})
    yield known
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(known: Instances, place: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, raw = known.listed(place) if self.path.startswith("/api/sessions?") else (404, b"{}")
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@dataclass(frozen=True)
class Account:
    """An account of the fleet, where it is recorded and where it is: places among the instances."""

    id: int
    phone: str
    recorded: int
    held: int

    @property
    def session(self) -> SessionId:
        return SessionId(f"webjs_1_{self.id}")


def accounts() -> list[Account]:
    seeds = {142: ("0816108641", 0), 144: ("62811801641", 1), 145: ("62811111111", 2)}
    numbers = [*seeds, *range(146, 146 + SESSIONS - len(seeds))]
    named = {number: seeds.get(number, (f"62812{number:07}", number % 4)) for number in numbers}
    return [Account(number, phone, home, MOVED.get(number, home)) for number, (phone, home) in named.items()]


async def _settle(directory: SqlDirectory, instances: Instances) -> None:
    for url in instances.urls:
        await directory.create_instance(url)
    for account in accounts():
        new = NewAccount(
            uuid=AccountUuid(f"0190f2b4-0000-7000-8000-{account.id:012}"),
            workspace_id=WorkspaceId(1),
            session_id=account.session,
            phone=account.phone,
            name="",
            takeover=Takeover.AUTO,
            id=account.id,
        )
        made = await directory.create_account(new)
        home = instances.urls[account.recorded]
        await directory.rebind([Rebinding(made.placement, home, Epoch(1), MoveKind.PLACEMENT, "because")])
        await directory.set_status(account.session, SessionStatus.CONNECTED)


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def fleet(homing: CommandLine, sqlite_url: str, instances: Instances, logged: list[Any]) -> Instances:
    """After a restart: 47 sessions, three of them not where the database says, which the settings name."""

    async def story() -> None:
        database = open_database(sqlite_url)
        await _settle(SqlDirectory(database, LocalNotices(), SystemClock()), instances)
        await database.close()

    asyncio.run(story())
    for account in accounts():
        instances.held[account.held][account.session] = "connected"
    homing.setting("HOMING_DATABASE_URL", sqlite_url)
    homing.setting("WHATSAPP_API_KEY", "key")
    homing.setting("HOMING_LOG_LEVEL", "error")
    for number, url in enumerate(instances.urls, 1):
        homing.setting(f"WHATSAPP_INSTANCE_{number}", url)
    return instances


def lines_of(account: Account, urls: list[InstanceUrl], *, dry_run: bool = False) -> list[str]:
    old, new = urls[account.recorded], urls[account.held]
    headline = f"Checking Account #{account.id} ({account.phone})..."
    if old == new:
        return [headline, f"  ✓ Session found in assigned instance: {old}", ""]
    return [
        headline,
        f"  ✗ Session NOT found in assigned instance: {old}",
        "  Scanning all instances...",
        f"  ✓ Session found in: {new}",
        f"  [DRY RUN] Would update: {old} → {new}" if dry_run else "  ✓ Database updated",
        "",
    ]


def expected(urls: list[InstanceUrl], *, dry_run: bool = False) -> list[str]:
    """All that a sync of this fleet says before the details of the updates, in the words that operators know."""
    return [
        *(RULE, "WhatsApp Instance URL Sync", RULE, ""),
        *(["DRY RUN MODE - No changes will be made", ""] if dry_run else []),
        *("Found 47 active session(s) to verify", ""),
        *(line for account in accounts() for line in lines_of(account, urls, dry_run=dry_run)),
        *(RULE, "Sync Results", RULE, ""),
        "+------------------------------+-------+",
        "| Status                       | Count |",
        "+------------------------------+-------+",
        "| Verified (no change needed)  | 44    |",
        "| Updated (instance changed)   | 3     |",
        "| Failed (session not found)   | 0     |",
        "| Unreachable (check manually) | 0     |",
        "+------------------------------+-------+",
        "",
        "Update Details:",
    ]


def count_of(out: str, words: str) -> int:
    found = re.search(rf"^\| {re.escape(words)} +\| (\d+) +\|$", out, re.MULTILINE)
    assert found, out
    return int(found[1])


# --- the documented example, larger ------------------------------------------------------------------------------


def test_after_a_restart_three_of_47_sessions_are_put_right_in_the_known_words(homing: CommandLine, fleet: Instances):
    ran = homing("sync-instance-urls")
    said = ran.out.splitlines()
    words = expected(fleet.urls)
    assert said[: len(words)] == words
    details = said[len(words) :]
    assert re.fullmatch(r"\| Account \| Phone +\| Old Instance +\| New Instance +\| Reason +\|", details[1])
    for row, (number, place) in zip(details[3:6], MOVED.items(), strict=True):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        account = next(each for each in accounts() if each.id == number)
        old, new = fleet.urls[account.recorded], fleet.urls[place]
        assert cells == [f"#{number}", account.phone, old, new, f"found on {new}; {old} does not have it"]
    assert re.fullmatch(r"Execution time: \d+\.\d\ds", said[-1])
    assert (ran.code, ran.err, fleet.lists) == (0, "", 4)
    assert "\x1b" not in ran.out


def test_each_change_is_in_the_log_of_moves_with_its_reason_and_run(homing: CommandLine, fleet: Instances):
    homing("sync-instance-urls")
    for number, place in MOVED.items():
        shown = homing("accounts", "show", str(number), "--json").document
        assert (shown["instance_url"], shown["epoch"]) == (fleet.urls[place], 2)
        newest, *_ = homing("moves", "--account", str(number), "--json").document["data"]
        assert (newest["kind"], newest["to_url"]) == ("rediscovery", fleet.urls[place])
        assert newest["reason"].startswith(f"found on {fleet.urls[place]}; ")
        assert newest["run_id"]
    newest = homing("moves", "--kind", "rediscovery", "--json").document["data"]
    assert len(newest) == 3
    assert len({move["run_id"] for move in newest}) == 1


def test_a_dry_run_says_the_same_and_changes_nothing(homing: CommandLine, fleet: Instances):
    ran = homing("sync-instance-urls", "--dry-run")
    words = expected(fleet.urls, dry_run=True)
    assert ran.out.splitlines()[: len(words)] == words
    assert "DRY RUN COMPLETED - No changes were made\nRun without --dry-run to apply changes\n" in ran.out
    assert homing("moves", "--kind", "rediscovery", "--json").document["data"] == []
    assert homing("sync-instance-urls", "--dry-run", "--json").document["updated"] == 3


def test_on_a_terminal_it_is_in_colour_and_says_the_same(homing: CommandLine, fleet: Instances):
    shown = on_a_terminal("sync-instance-urls")
    assert "\x1b[32m" in shown, "green"
    assert "\x1b[33m" in shown, "yellow"
    plain = ESCAPE.sub("", shown).replace("\r\n", "\n")
    assert "\n".join(expected(fleet.urls)[-30:]) in plain
    piped = homing("sync-instance-urls", "--force").out
    assert "\x1b" not in piped
    assert count_of(piped, "Verified (no change needed)") == 47


def on_a_terminal(*arguments: str) -> str:
    """What a person at a terminal sees on standard output."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200"}
    for name in ("NO_COLOR", "FORCE_COLOR"):
        environment.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "homing.cli", *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        seen += part
    os.close(ours)
    assert process.wait(timeout=30) == 0
    return seen.decode()


# --- what is looked at, and what needs a person ------------------------------------------------------------------


def test_sessions_verified_within_the_last_minute_are_skipped_and_counted_unless_forced(
    homing: CommandLine, fleet: Instances
):
    homing("sync-instance-urls")
    again = homing("sync-instance-urls")
    assert count_of(again.out, "Skipped (verified just now)") == 47
    assert count_of(again.out, "Verified (no change needed)") == 0
    assert homing("sync-instance-urls", "--force", "--json").document["verified"] == 47


def test_failed_means_that_everybody_answered_and_nobody_has_it(homing: CommandLine, fleet: Instances):
    del fleet.held[0]["webjs_1_142"]
    ran = homing("sync-instance-urls")
    assert "  ✗ Session not found in ANY instance" in ran.out
    assert "⚠️  Some sessions require attention. Check logs for details." in ran.out
    assert (ran.code, count_of(ran.out, "Failed (session not found)")) == (1, 1)


def test_unreachable_means_that_its_instance_did_not_answer_and_nobody_else_has_it(
    homing: CommandLine, fleet: Instances
):
    fleet.answer(2, {"error": "Server is busy"}, 503)
    document = homing("sync-instance-urls", "--json").document
    only_there = [account for account in accounts() if account.recorded == account.held == 2]
    assert (document["unreachable"], document["failed"], document["updated"]) == (len(only_there), 0, 3)
    assert homing("sync-instance-urls").code == 1


def test_a_session_held_twice_is_reported_and_not_settled(homing: CommandLine, fleet: Instances):
    fleet.held[3]["webjs_1_142"] = "connected"
    ran = homing("sync-instance-urls")
    assert (ran.code, count_of(ran.out, "Duplicates (held twice)")) == (1, 1)
    shown = homing("accounts", "show", "142", "--json").document
    assert (shown["instance_url"], shown["epoch"]) == (fleet.urls[0], 1)


def test_verbose_says_why_and_what_was_odd(homing: CommandLine, fleet: Instances):
    fleet.answer(2, b"<html>")
    out = homing("sync-instance-urls", "-vv").out
    assert f"    because found on {fleet.urls[0]}; {fleet.urls[1]} does not have it" in out
    assert f"    because {fleet.urls[0]} has it, and it can send" in out
    assert f"{fleet.urls[2]} gave no list" in out.partition("Oddities:")[2]


def test_json_is_one_document_with_what_was_promised(homing: CommandLine, fleet: Instances):
    ran = homing("sync-instance-urls", "--json")
    document = ran.document
    counts = {name: document[name] for name in ("verified", "updated", "failed", "unreachable", "skipped")}
    assert counts == {"verified": 44, "updated": 3, "failed": 0, "unreachable": 0, "skipped": 0}
    assert (document["duplicates"], document["instance_calls"], document["dry_run"]) == (0, 4, False)
    assert [(one["account"], one["new"]) for one in document["updates"]] == [
        (number, fleet.urls[place]) for number, place in MOVED.items()
    ]
    assert set(document["updates"][0]) == {"account", "phone", "old", "new", "reason"}


# --- lists that are not what they should be ----------------------------------------------------------------------


def rows_of(fleet: Instances, place: int) -> list[dict[str, Any]]:
    return [{"session_id": s, "status": status} for s, status in fleet.held[place].items()]


BAD = [
    pytest.param(lambda rows: {"success": True, "sessions": "none"}, id="no list in it"),
    pytest.param(lambda rows: [1, 2, 3], id="another type"),
    pytest.param(lambda rows: {"sessions": [{"session_id": 7}, None, "x", *rows], "pad": "x" * 50_000_000}, id="50 MB"),
]


@pytest.mark.parametrize("spoil", BAD)
def test_a_list_that_is_none_is_reported_and_changes_nothing_for_its_sessions(
    homing: CommandLine, fleet: Instances, spoil: Any
):
    fleet.answer(1, spoil(rows_of(fleet, 1)))
    document = homing("sync-instance-urls", "--json").document
    assert any(oddity.startswith(f"{fleet.urls[1]} gave no list: ") for oddity in document["oddities"])
    still_there = [account for account in accounts() if account.recorded == account.held == 1]
    assert document["unreachable"] == len(still_there)
    assert (document["updated"], document["verified"]) == (3, 44 - len(still_there))
    assert {one["result"] for one in document["attention"]} == {"unreachable"}


def test_odd_rows_are_reported_and_the_others_count(homing: CommandLine, fleet: Instances):
    rows = rows_of(fleet, 1)
    odd = [{"session_id": 7}, None, "x", {"status": "connected"}, rows[0], {**rows[1], "status": "hibernating"}]
    fleet.answer(1, {"success": True, "sessions": [rows[0], *rows[2:], *odd]})
    document = homing("sync-instance-urls", "--json").document
    assert document["updated"] == 3
    assert document["verified"] + document["skipped"] == 44
    told = "\n".join(document["oddities"])
    assert "hibernating" in told
    assert fleet.urls[1] in told


# --- through a gateway -------------------------------------------------------------------------------------------


def test_a_gateway_is_asked_to_do_it_where_one_is_named(homing: CommandLine, gateway: ScriptedGateway):
    check = {"account": 142, "phone": "0816108641", "old": "http://a:1", "new": "http://a:1", "reason": "it has it"}
    counts = {"verified": 1, "updated": 0, "failed": 0, "unreachable": 0, "skipped": 0, "duplicates": 0}
    answer = {**counts, "found": 1, "dry_run": True, "updates": [], "oddities": [], "execution_s": 0.5}
    gateway.answer("POST", "/sync", {**answer, "checks": [check | {"result": "verified"}]})
    ran = homing("sync-instance-urls", "--dry-run", "--force")
    assert ran.code == 0
    assert "  ✓ Session found in assigned instance: http://a:1" in ran.out
    assert {gateway.last.body[name] for name in ("dry_run", "force")} == {True}
