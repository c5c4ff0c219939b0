"""`homing workspaces`, and numbers given to commands: by the database itself as by a gateway."""

import pytest

from tests.cli.conftest import CommandLine, ScriptedGateway

WORKSPACE = {"id": 1, "name": "", "region": "BR", "bare_digits": "national", "created_at": "2026-01-01T00:00:00Z"}


@pytest.fixture
def database(homing: CommandLine, sqlite_url: str) -> str:
    """A database with workspace 1 in it, which the settings name."""
    homing.setting("HOMING_DATABASE_URL", sqlite_url)
    assert homing("keys", "create", "--workspace", "1").code == 0
    return sqlite_url


def test_a_workspace_is_set_without_a_gateway_and_its_numbers_are_read_so(homing: CommandLine, database: str):
    shown = homing("workspaces", "show", "1", "--json").document
    assert (shown["region"], shown["bare_digits"]) == ("ID", "strict")
    set_so = homing("workspaces", "set", "1", "--region", "br", "--bare", "national", "--name", "Loja", "--json")
    assert (set_so.document["region"], set_so.document["bare_digits"], set_so.document["name"]) == (
        "BR",
        "national",
        "Loja",
    )
    [listed] = homing("workspaces", "list", "--json").document["data"]
    assert listed == set_so.document
    made = homing("contacts", "create", "11 98765-4321", "--workspace", "1", "--json").document
    assert (made["phone"], made["phone_as_written"]) == ("5511987654321", "11 98765-4321")


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (("set", "1", "--region", "XX"), "There is no region 'XX'"),
        (("set", "9", "--region", "BR"), "not_found: There is no workspace 9"),
        (("show", "9"), "not_found: There is no workspace 9"),
        (("set", "1"), "Say what to set"),
        (("set", "1", "--bare", "guess"), "guess"),
    ],
)
def test_what_cannot_be_set_is_told(homing: CommandLine, database: str, tokens: tuple[str, ...], said: str):
    ran = homing("workspaces", *tokens)
    assert ran.code == 2
    assert said in ran.err


@pytest.mark.parametrize(
    ("phone", "code"),
    [("62811801641.0", "phone_invalid"), ("628 11801641", "phone_ambiguous"), ("12", "phone_invalid")],
)
def test_a_number_is_refused_without_a_gateway_as_with_one(homing: CommandLine, database: str, phone: str, code: str):
    ran = homing("contacts", "create", phone, "--workspace", "1", "--json")
    assert (ran.code, ran.document["status"], ran.document["code"]) == (2, 422, code)


def test_a_person_is_one_contact_however_written(homing: CommandLine, database: str):
    assert homing("contacts", "create", "0811801641", "--workspace", "1").code == 0
    ran = homing("contacts", "create", "+62 811 801 641", "--workspace", "1", "--json")
    assert ran.document["code"] == "already_exists"


def test_a_gateway_is_asked_for_the_same(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("PATCH", "/workspaces/1", WORKSPACE)
    ran = homing("workspaces", "set", "1", "--region", "BR", "--bare", "national", "--json")
    assert ran.document == WORKSPACE
    assert gateway.last.body == {"region": "BR", "bare_digits": "national"}
    gateway.answer("GET", "/workspaces", {"data": [WORKSPACE], "next": None})
    assert "national" in homing("workspaces").out


def test_a_default_region_that_does_not_exist_stops_the_command(homing: CommandLine, database: str):
    homing.setting("HOMING_DEFAULT_REGION", "XX")
    ran = homing("workspaces")
    assert ran.code == 2
    assert "HOMING_DEFAULT_REGION" in ran.err
    assert "there is no such region" in ran.err
