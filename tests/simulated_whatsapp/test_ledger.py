import json
from dataclasses import replace
from pathlib import Path

from simulated_whatsapp.ledger import Delivery, Ledger, read, timestamp

FIRST = Delivery("2026-01-31T09:30:00.250Z", "s1", "62811", "3EB0AA", "zwei\nZeilen, ünïcode", {"epoch": 3})


def test_what_was_appended_is_read_back_in_order(tmp_path: Path):
    second = replace(FIRST, message_id="3EB0BB", label=None)
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.append([FIRST, second])
    assert read(tmp_path / "ledger.jsonl") == [FIRST, second]


def test_a_delivery_can_be_read_as_soon_as_append_returned(tmp_path: Path):
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.append([FIRST])
        assert read(tmp_path / "ledger.jsonl") == [FIRST]


def test_a_line_has_exactly_the_documented_fields(tmp_path: Path):
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.append([FIRST])
    (line,) = (tmp_path / "ledger.jsonl").read_text().splitlines()
    assert list(json.loads(line)) == ["at", "session_id", "recipient", "message_id", "text", "label"]


def test_a_restart_appends_to_what_is_there(tmp_path: Path):
    for _ in range(2):
        with Ledger(tmp_path / "ledger.jsonl") as ledger:
            ledger.append([FIRST])
    assert read(tmp_path / "ledger.jsonl") == [FIRST, FIRST]


def test_a_half_written_last_line_is_left_out(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.append([FIRST])
    with path.open("ab") as file:
        file.write(b'{"at": "2026')
    assert read(path) == [FIRST]


def test_a_ledger_that_is_not_there_yet_is_empty(tmp_path: Path):
    assert read(tmp_path / "none.jsonl") == []


def test_timestamps_are_utc_with_milliseconds():
    assert timestamp(1_700_000_000.0625) == "2023-11-14T22:13:20.062Z"
