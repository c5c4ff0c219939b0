"""`homing accounts check-number`: what it asks for, what it shows, and how it ends."""

from typing import Any

from tests.cli.conftest import CommandLine, ScriptedGateway

WRITTEN, KNOWN = "+5511987654321", "551187654321"


def row(**changed: Any) -> dict[str, Any]:
    return {"written": WRITTEN, "phone": WRITTEN[1:], "exists": True, "address": KNOWN, "error": None} | changed


def test_each_number_is_shown_with_its_address(homing: CommandLine, gateway: ScriptedGateway) -> None:
    nobody = row(written="+62811", phone="62811", exists=False, address=None)
    gateway.answer("POST", "/accounts/144/check-number", {"data": [row(), nobody]})
    ran = homing("accounts", "check-number", "144", WRITTEN, "+62811")
    assert ran.code == 0
    assert KNOWN in ran.out and "no" in ran.out


def test_a_number_of_which_nobody_could_say_is_worth_a_look(homing: CommandLine, gateway: ScriptedGateway) -> None:
    gateway.answer("POST", "/accounts/144/check-number", {"data": [row(exists=None, error="it broke")]})
    ran = homing("accounts", "check-number", "144", WRITTEN)
    assert ran.code == 1
    assert "it broke" in ran.out and "1 of 1" in ran.err
