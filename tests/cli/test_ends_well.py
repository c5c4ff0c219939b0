"""However a command ends, it says so once: in one sentence, one exit code, and one document where one was asked for."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from homing.cli.run import chaos
from homing.cli.run.chaos import _played
from homing.config import Settings
from tests.cli.conftest import CommandLine

DEAD = "http://127.0.0.1:9"
TOKEN = "hk_" + "x" * 30
ASKS = [
    ("accounts", "show", "144"),
    ("accounts", "list"),
    ("accounts", "start", "144"),
    ("instances",),
    ("moves",),
    ("keys", "list"),
    ("contacts", "list"),
    ("drain", "http://a:1"),
    ("cache", "stats"),
    ("sync-instance-urls",),
    ("send", "144", "0816", "hello"),
]


@pytest.fixture
def away(homing: CommandLine) -> CommandLine:
    homing.setting("HOMING_API_URL", DEAD)
    homing.setting("HOMING_API_TOKEN", TOKEN)
    return homing


@pytest.mark.parametrize("asks", ASKS, ids=" ".join)
def test_a_gateway_that_is_away_is_one_document_and_one_sentence(away: CommandLine, asks: tuple[str, ...]) -> None:
    ran = away(*asks, "--json")
    document = json.loads(ran.out)
    assert ran.code in (1, 2)
    assert document["detail"]
    assert document["code"]
    assert "homing itself failed" not in ran.err


def test_wrong_use_is_one_document_too(homing: CommandLine) -> None:
    ran = homing("accounts", "show", "--nonsense", "--json")
    assert ran.code == 2
    assert json.loads(ran.out)["code"] == "wrong_use"
    assert homing("accounts", "show", "--nonsense").out == ""


@pytest.mark.parametrize("empty", ["", " "])
@pytest.mark.parametrize(
    "asks", [("accounts", "show"), ("accounts", "start"), ("accounts", "qr"), ("drain",), ("instances", "remove")]
)
def test_an_empty_name_names_nothing(away: CommandLine, asks: tuple[str, ...], empty: str) -> None:
    ran = away(*asks, empty)
    assert ran.code == 2
    assert "names nothing" in ran.err.replace("\n", " ")


def test_an_exit_is_told_to_the_database_where_the_gateway_is_away(away: CommandLine, sqlite_url: str) -> None:
    away.setting("HOMING_DATABASE_URL", sqlite_url)
    assert away("db", "migrate").code == 0
    ran = away("exited", "http://a:1", "--json")
    assert "the database is told instead" in ran.err.replace("\n", " ")
    assert "No gateway answers" not in json.loads(ran.out)["detail"]


@pytest.mark.parametrize(("interrupted", "kept", "code"), [(True, True, 130), (False, True, 0), (False, False, 1)])
def test_ctrl_c_in_chaos_is_130(monkeypatch: pytest.MonkeyPatch, interrupted: bool, kept: bool, code: int) -> None:
    from homing.lab.chaos import command

    results = SimpleNamespace(interrupted=interrupted, kept=kept, document=dict)
    monkeypatch.setattr(command, "play", lambda *_, **__: results)
    monkeypatch.setattr(command, "show", lambda _: None)
    assert _played(None, None, as_json=False) == code  # type: ignore[arg-type]
    assert "130" in (chaos.chaos.__doc__ or "")


SHORT: dict[str, dict[str, Any]] = {
    "WHATSAPP_API_KEY": {"whatsapp_api_key": "short"},
    "WHATSAPP_HMAC_SECRET": {"whatsapp_hmac_secret": "short"},
    "WHATSAPP_INSTANCE_n_API_KEY of http://a:1": {"instance_api_keys": {"http://a:1": "short"}},
}


@pytest.mark.parametrize("name", SHORT)
def test_a_secret_that_opens_something_and_is_short_is_named(name: str) -> None:
    assert Settings(_env_file=None, **SHORT[name]).guessable == [name]  # type: ignore[call-arg]
    long = dict.fromkeys(("whatsapp_api_key", "whatsapp_hmac_secret"), "x" * 16)
    assert Settings(_env_file=None, **long).guessable == []  # type: ignore[call-arg, arg-type]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1"])
def test_a_short_secret_is_refused_where_others_can_try_it_out(homing: CommandLine, host: str) -> None:
    homing.setting("WHATSAPP_API_KEY", "short")
    ran = homing("serve", "--host", host)
    assert ran.code == 2
    assert "WHATSAPP_API_KEY is shorter than 16 characters" in ran.err.replace("\n", " ")
    ran = homing("instance", "--whatsapp", "127.0.0.1:1", "--host", host, "--api-key", "short")
    assert ran.code == 2
    assert "shorter than 16 characters" in ran.err.replace("\n", " ")
