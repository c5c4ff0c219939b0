"""The command line as such: help, wrong use, exit codes, quick starting, terminals and pipes."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

import homing as package
from homing.cli.root import _app
from tests.cli.conftest import CommandLine

COMMAND = [sys.executable, "-m", "homing.cli"]
HEAVY = ("aiohttp", "alembic", "asyncpg", "litestar", "pydantic", "sqlalchemy", "uvicorn")


def commands(app: App, *names: str) -> Iterator[tuple[str, ...]]:
    """Every command line that does something, by its words."""
    for name in app:
        if not name.startswith("-"):
            yield (*names, name)
            yield from commands(app[name], *names, name)


def plain() -> dict[str, str]:
    """The environment without settings of ours."""
    ours = ("HOMING_", "WHATSAPP_", "LARAVEL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.mark.parametrize("words", list(commands(_app())), ids=" ".join)
def test_every_command_explains_itself_with_an_example(homing: CommandLine, words: tuple[str, ...]):
    ran = homing(*words, "--help")
    assert ran.code == 0
    usage, _, rest = ran.out.partition("\n")
    assert usage.startswith(f"Usage: homing {' '.join(words)}")
    assert re.search(r"\S[^\n]{20,}", rest), "it has a sentence"
    if "COMMAND" not in usage:
        assert re.search(rf"Example: \S*homing {words[0]}", " ".join(rest.split()))


def test_the_help_names_every_command_and_the_exit_codes(homing: CommandLine):
    out = homing("--help").out
    for name in (
        "serve",
        "demo",
        "instance",
        "accounts",
        "contacts",
        "instances",
        "distribution",
        "moves",
        "cache",
        "drain",
        "undrain",
        "exited",
        "rebalance",
    ):
        assert re.search(rf"^. {name} ", out, re.MULTILINE), name
    assert "Exit codes: 0 done" in out


def test_the_version_is_the_packages(homing: CommandLine):
    assert homing("--version").out == f"homing {package.__version__}\n"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("nonsense",), "nonsense"),
        (("accounts", "nonsense"), "nonsense"),
        (("accounts", "show"), "ACCOUNT"),
        (("accounts", "list", "--limit", "0"), "--limit"),
        (("accounts", "list", "--limit", "many"), "--limit"),
        (("moves", "--kind", "nonsense"), "--kind"),
        (("serve", "--port", "70000"), "--port"),
        (("demo", "--accounts", "0"), "--accounts"),
        (("demo", "--gateways", "2"), "--database"),
        (("demo", "--instance-ports", "7999"), "8000"),
        (("cache", "forget"), "--session"),
        (("drain",), "INSTANCE"),
        (("drain", "1", "--timeout", "0"), "--timeout"),
        (("exited",), "URL"),
        (("accounts", "set", "144", "--takeover", "sometimes"), "--takeover"),
        (("instances", "set", "1", "--capacity", "-1"), "--capacity"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else None,
)
def test_wrong_use_is_one_sentence_that_names_it_and_exit_code_2(
    homing: CommandLine, words: tuple[str, ...], named: str
):
    ran = homing(*words)
    assert (ran.code, ran.out) == (2, "")
    assert named in ran.err
    assert ran.err.count("\n") == 1


def test_wrong_use_with_json_is_one_document_that_says_it(homing: CommandLine):
    ran = homing("demo", "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["code"]) == (2, "cannot_start")
    assert "--story" in told["detail"]


@pytest.mark.parametrize(
    "words",
    [
        ("cache",),
        ("send", "hi", "--account", "144", "--phone", "62811801641"),
        ("accounts", "start", "144"),
        ("accounts", "create", "0816108641"),
        ("accounts", "qr", "144"),
        ("instances", "add", "http://localhost:3001"),
        ("instances", "set", "1", "--capacity", "5"),
        ("accounts", "set", "144", "--takeover", "never"),
        ("accounts", "migrate", "144"),
        ("accounts", "rehome", "144"),
        ("drain", "1"),
        ("undrain", "1"),
        ("rebalance",),
    ],
    ids=" ".join,
)
def test_what_needs_a_gateway_says_which_settings_name_one(homing: CommandLine, words: tuple[str, ...]):
    ran = homing(*words)
    assert ran.code == 2
    assert "HOMING_API_URL" in ran.err
    assert "HOMING_API_TOKEN" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value"), [("HOMING_CACHE_TTL", "-1"), ("WHATSAPP_INSTANCE_1", "nowhere"), ("HOMING_API_URL", "ftp://x")]
)
def test_a_wrong_setting_is_one_sentence_that_names_it(homing: CommandLine, name: str, value: str):
    homing.setting(name, value)
    ran = homing("accounts")
    assert (ran.code, ran.out) == (2, "")
    assert name in ran.err
    assert value in ran.err
    assert ran.err.count("\n") == 1


def test_a_settings_file_that_cannot_be_read_is_one_sentence(homing: CommandLine, tmp_path: Path):
    (tmp_path / ".env").write_bytes(b"HOMING_PORT=\xff\xfe")
    for words in (("accounts",), ("serve",), ("cache",)):
        ran = homing(*words)
        assert ran.code == 2
        assert ".env" in ran.err
        assert ran.err.count("\n") == 1


def test_a_fault_of_our_own_is_a_sentence_too(homing: CommandLine, monkeypatch: pytest.MonkeyPatch):
    def broken(_: str) -> None:
        raise RuntimeError("out of tune")

    monkeypatch.setattr("homing.cli.fleet.cache.gateway", broken)
    ran = homing("cache")
    assert ran.code == 1
    assert "RuntimeError: out of tune" in ran.err
    assert "Traceback" not in ran.err


def test_starting_imports_nothing_heavy(tmp_path: Path):
    program = (
        "import sys; from homing.cli.root import run; run(['--help']);"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=plain())
    assert ran.stderr.strip() == "[]"


def test_json_is_pure_in_a_process_of_its_own(tmp_path: Path):
    """Not the log, not a note: the database is made, migrated and written on the way."""
    command = [*COMMAND, "keys", "create", "--operator", "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=plain(), timeout=30)
    assert ran.returncode == 0
    assert ran.stdout.startswith("{\n")
    assert ran.stdout.endswith("}\n")
    assert ran.stderr == ""


def test_a_reader_that_has_seen_enough_is_no_fault_of_ours(tmp_path: Path):
    read, write = os.pipe()
    os.close(read)
    command = [*COMMAND, "db", "--json"]
    ran = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, cwd=tmp_path, env=plain(), timeout=30)
    os.close(write)
    assert (ran.returncode, ran.stderr) == (1, b"")


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colour_unless_it_asks_for_none(tmp_path: Path, environment: dict[str, str], coloured: bool):
    shown = on_terminal([*COMMAND, "--help"], tmp_path, {**plain(), "TERM": "xterm-256color", **environment})
    assert "Usage:" in shown
    assert bool(re.search(r"\x1b\[[0-9;]*3\d", shown)) == coloured


def on_terminal(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """What the command writes when its output is a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, cwd=folder, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # how Linux says that the other end is closed
            part = b""
        if not part:
            break
        shown += part
    os.close(ours)
    process.wait(30)
    return shown.decode()
