"""`homing accounts qr`: a code as a terminal draws it, and what is said where there is none."""

import base64
import io
from pathlib import Path
from typing import Any

import pytest
import segno
import zxingcpp

from homing.cli.directory import phone_linking
from homing.cli.terminal.pairing import drawn
from tests.cli.conftest import ACCOUNT, CommandLine, ScriptedGateway

TEXT = "2@Ab3/x+Ab3/x+Ab3/x+Ab3/x+Ab3/x+,abc=,def=,1"
QUIET = "  "


def code(**changed: Any) -> dict[str, Any]:
    known = {"qr": TEXT, "picture": None, "code": None, "expires_in": 41, "expired": False, "received_at": None}
    return known | changed


def read(drawing: str) -> str:
    """What a phone reads off the terminal."""
    rows = []
    for line in drawing.splitlines():
        rows += [[char in "█▀" for char in line], [char in "█▄" for char in line]]
    pixels = b"".join(bytes(255 if light else 0 for light in row for _ in range(4)) for row in rows for _ in range(4))
    height, width = len(rows) * 4, len(rows[0]) * 4
    found = zxingcpp.read_barcode(memoryview(pixels).cast("B", (height, width)))
    assert found is not None
    return found.text


def test_a_phone_reads_what_the_terminal_draws() -> None:
    assert read(drawn(TEXT, coloured=False)) == TEXT
    assert drawn(TEXT, coloured=True).replace("\x1b[97;40m", "").replace("\x1b[0m", "") == drawn(TEXT, coloured=False)


def test_the_code_is_drawn_and_its_time_is_told(homing: CommandLine, gateway: ScriptedGateway) -> None:
    gateway.answer("GET", "/accounts/144/qr", code())
    ran = homing("accounts", "qr", "144")
    assert (ran.code, read(ran.out)) == (0, TEXT)
    assert "41 s" in ran.err


def test_renewing_posts(homing: CommandLine, gateway: ScriptedGateway) -> None:
    gateway.answer("POST", "/accounts/144/qr", code(expires_in=60))
    ran = homing("accounts", "qr", "144", "--renew", "--json")
    assert (ran.code, ran.document["expires_in"]) == (0, 60)


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_an_expired_code_is_not_drawn_and_what_to_do_is_said(
    homing: CommandLine, gateway: ScriptedGateway, as_json: tuple[str, ...]
) -> None:
    gateway.answer("GET", "/accounts/144/qr", code(expires_in=0, expired=True))
    ran = homing("accounts", "qr", "144", *as_json)
    assert ran.code == 1
    assert "█" not in ran.out
    if not as_json:
        assert "--renew" in ran.err


@pytest.mark.parametrize("word", ["no_pairing_code", "nothing_to_pair"])
def test_without_a_code_it_says_so_and_exits_1(homing: CommandLine, gateway: ScriptedGateway, word: str) -> None:
    gateway.refuse("GET", "/accounts/144/qr", 409, word, "there is none")
    ran = homing("accounts", "qr", "144")
    assert (ran.code, ran.out, ran.err) == (1, "", f"{word}: there is none\n")


def test_a_picture_that_cannot_be_read_is_offered_as_a_file(
    homing: CommandLine, gateway: ScriptedGateway, tmp_path: Path
) -> None:
    picture = "data:image/png;base64," + base64.b64encode(b"no picture").decode()
    gateway.answer("GET", "/accounts/144/qr", code(qr=None, picture=picture))
    ran = homing("accounts", "qr", "144")
    assert (ran.code, "--save" in ran.err) == (1, True)
    saved = tmp_path / "qr.png"
    assert homing("accounts", "qr", "144", "--save", str(saved)).code == 0
    assert saved.read_bytes() == b"no picture"


def test_a_text_is_saved_as_a_picture(homing: CommandLine, gateway: ScriptedGateway, tmp_path: Path) -> None:
    gateway.answer("GET", "/accounts/144/qr", code())
    saved = tmp_path / "qr.png"
    assert homing("accounts", "qr", "144", "--save", str(saved)).code == 0
    expected = io.BytesIO()
    segno.make(TEXT, error="l", micro=False).save(expected, kind="png", scale=6)
    assert saved.read_bytes() == expected.getvalue()


# --- `homing accounts pair` ---------------------------------------------------------------------------------------


def account(status: str, **changed: Any) -> dict[str, Any]:
    return ACCOUNT | {"status": status, "error": None} | changed


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone_linking, "LOOK_EVERY_S", 0.0)


def paths(gateway: ScriptedGateway) -> list[tuple[str, str]]:
    return [(each.method, each.path.removeprefix("/api/v1/accounts/144")) for each in gateway.asked]


@pytest.mark.usefixtures("at_once")
def test_each_code_is_drawn_once_until_the_phone_is_linked(homing: CommandLine, gateway: ScriptedGateway) -> None:
    waits = account("pairing")
    gateway.answer_in_turn("GET", "/accounts/144", waits, waits, waits, waits, account("connected"))
    other = TEXT.replace("Ab3", "Cd4")
    gateway.answer_in_turn("GET", "/accounts/144/qr", code(), code(expires_in=39), code(qr=other, expires_in=20))
    ran = homing("accounts", "pair", "144")
    assert ran.code == 0, ran.err
    assert ran.out.count("\n") == 2 * 17 + 4 and "connected" in ran.out
    assert ran.err.count("Good for") == 2
    assert ("POST", "/start") not in paths(gateway)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("before", [account("stopped"), account("failed"), account("unknown", instance_url=None)])
def test_a_session_that_does_not_run_is_started_first(
    homing: CommandLine, gateway: ScriptedGateway, before: dict[str, Any]
) -> None:
    gateway.answer_in_turn("GET", "/accounts/144", before, account("connected"))
    gateway.answer("POST", "/accounts/144/start", account("starting"))
    assert homing("accounts", "pair", "144", "--json").document["status"] == "connected"
    assert paths(gateway)[1] == ("POST", "/start")


@pytest.mark.usefixtures("at_once")
def test_a_code_to_type_is_asked_for_once_while_it_is_good(homing: CommandLine, gateway: ScriptedGateway) -> None:
    waits = account("pairing")
    gateway.answer_in_turn("GET", "/accounts/144", waits, waits, waits, waits, account("connected"))
    typed = code(qr=None, code="ABCD-1234", expires_in=150)
    gateway.answer_in_turn("GET", "/accounts/144/qr", code(), typed)
    gateway.answer("POST", "/accounts/144/qr", typed)
    ran = homing("accounts", "pair", "144", "--typed")
    assert (ran.code, ran.out.count("ABCD-1234")) == (0, 1)
    assert [each.body for each in gateway.asked if each.method == "POST"] == [{"typed": True}]


@pytest.mark.usefixtures("at_once")
def test_why_a_phone_cannot_be_linked_is_told(homing: CommandLine, gateway: ScriptedGateway) -> None:
    gateway.answer_in_turn("GET", "/accounts/144", account("pairing"), account("failed", error="passkey required: …"))
    ran = homing("accounts", "pair", "144")
    assert ran.code == 1
    assert "The phone cannot be linked: passkey required: …" in ran.err


@pytest.mark.usefixtures("at_once")
def test_nobody_is_waited_for_for_ever_and_what_is_in_the_way_is_told_once(
    homing: CommandLine, gateway: ScriptedGateway
) -> None:
    gateway.answer("GET", "/accounts/144", account("pairing", error="WhatsApp refused the link"))
    gateway.refuse("GET", "/accounts/144/qr", 409, "no_pairing_code", "wait for one")
    ran = homing("accounts", "pair", "144", "--timeout", "0.3")
    assert ran.code == 1
    assert ran.err.count("WhatsApp refused the link") == 1
    assert "Nobody linked the phone in time" in ran.err
