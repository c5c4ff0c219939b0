"""A code that links a phone is known by what it looks like, under whatever name a gateway puts it."""

from typing import Any

import pytest

from homing.decide.reports.codes import HIDDEN, without_codes

QR = "2@kB1x5cPzq0fQ+O3k/9==,Zm9vYmFyYmF6cXV4Zm9v,QUJDREVGR0hJSktMTU5PUA==,3"
LINK = "https://wa.me/settings/linked_devices#cY1aK3C7esxq0Jf,oEqfdeotbXQGeUxU/z9=,YBY1NexryAz+k4H=,Wd0NofJqrgc6=,1"
"""As Baileys 7.0.0-rc14 makes it."""
PICTURE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAARQAAAEU"


def texts(value: Any) -> str:
    return str(value)


@pytest.mark.parametrize(
    "code", [QR, LINK, PICTURE, PICTURE.partition(",")[2], "ABCD-1234", "ABCD1234", "WXYZ-KLMN", "12345678"]
)
@pytest.mark.parametrize("put", [lambda c: {"ref": c}, lambda c: {"a": {"b": [1, {"c": c}]}}, lambda c: {"raw": [c]}])
def test_a_code_is_hidden_wherever_it_stands(code: str, put: Any) -> None:
    hidden = without_codes(put(code), typed=True)
    assert code not in texts(hidden)
    assert HIDDEN in texts(hidden)


@pytest.mark.parametrize(
    "sentence",
    [
        f"scan {QR} now",
        f"open https://wa.me/settings/linked_devices#{QR}",
        "enter ABCD-1234 on the phone",
        "code: K7PQ2XYZ.",
    ],
)
def test_a_code_in_a_sentence_is_hidden(sentence: str) -> None:
    hidden = without_codes({"message": sentence}, typed=True)["message"]
    assert HIDDEN in hidden
    assert "2@" not in hidden
    assert "1234" not in hidden
    assert "K7PQ" not in hidden


@pytest.mark.parametrize("name", ["qr", "qr_code", "qrCode", "pairing_code", "pairingCode"])
def test_what_is_called_a_code_is_one_whatever_it_looks_like(name: str) -> None:
    assert without_codes({"session": {name: "abc"}}, typed=True) == {"session": {name: HIDDEN}}


def test_what_people_write_to_each_other_is_theirs_unless_it_can_be_scanned() -> None:
    written = {"body": "your code is 12345678", "id": "ABCD1234", "order": "KLMN-5678"}
    assert without_codes(written, typed=False) == written
    assert QR not in texts(without_codes({"body": f"scan {QR}"}, typed=False))


@pytest.mark.parametrize(
    "said",
    [
        "connected",
        "webjs_1_2f3e",
        "3EB0C767D097B7C7A8F1",
        "62816123456789",
        "AUTHENTICATED",
        "2026-01-01T00:00:00Z",
        7,
        None,
    ],
)
def test_other_words_stay(said: Any) -> None:
    assert without_codes({"said": said}, typed=True) == {"said": said}
