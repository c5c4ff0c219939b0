"""`homing accounts qr`: a code as a terminal draws it, and what is said where there is none."""

import base64
import io
from pathlib import Path
from typing import Any

import pytest
import segno
import zxingcpp

from homing.cli.terminal.pairing import drawn
from tests.cli.conftest import CommandLine, ScriptedGateway

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
