"""What phones decrypted, held against what senders were told: the ledger of a WhatsApp that speaks its own protocol."""

import json
from pathlib import Path
from typing import Any

import pytest

from homing.cli.root import run
from homing.lab.chaos.client import AnswerMet, AskedMessage
from homing.lab.chaos.judge import LoadVerdict, MultideviceJudge


def login(epoch: int, **more: Any) -> dict[str, Any]:
    return {"event": "login", "device": "62811:1", "label": {"epoch": str(epoch)}, "refused": None} | more


def accepted(message_id: str, epoch: int) -> dict[str, Any]:
    return {"event": "accepted", "message_id": message_id, "sender": "62811:1", "label": {"epoch": str(epoch)}}


def shown(text: str, **more: Any) -> dict[str, Any]:
    return {"event": "shown", "text": text, "recipient": "62899", "sender": "62811:1", "label": {}} | more


def judge(folder: Path, *lines: dict[str, Any]) -> MultideviceJudge:
    made = MultideviceJudge(folder / "ledger.jsonl", sessions={"62811": "s1"})
    made.ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return made


def sent(text: str) -> AskedMessage:
    return AskedMessage(text, "s1", True, 0.0, [AnswerMet(200, {}, 0.1)], over_s=1.0)


def test_what_a_phone_shows_once_arrived_and_ones_own_copy_is_no_second_time(tmp_path: Path) -> None:
    seen = judge(tmp_path, shown("hi"), shown("hi", own_copy=True), {"event": "linked", "label": {}})
    assert seen.judge([sent("hi")]) == LoadVerdict(messages=1)


@pytest.mark.parametrize(("times", "lost", "doubled"), [(0, True, False), (2, False, True)])
def test_what_is_not_shown_is_lost_and_what_is_shown_twice_is_doubled(
    tmp_path: Path, times: int, lost: bool, doubled: bool
) -> None:
    assert judge(tmp_path, *[shown("hi")] * times).judge([sent("hi")]) == LoadVerdict(1, lost, doubled)


def test_what_is_said_first_under_an_older_epoch_is_named_and_a_repeat_is_not(tmp_path: Path) -> None:
    seen = judge(
        tmp_path, login(1), accepted("A", 1), login(2), accepted("A", 1), accepted("B", 1), accepted("C", 2), login(1)
    )
    seen.read()
    assert seen.under_old_epochs == ["B"]


def test_a_login_that_was_refused_is_no_newer_epoch(tmp_path: Path) -> None:
    seen = judge(tmp_path, login(2, refused=401), accepted("A", 1), {"event": "undecryptable", "label": {}})
    seen.read()
    assert (seen.under_old_epochs, seen.unreadable) == ([], 1)


def test_what_cannot_be_judged_is_not_begun(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run(["chaos", "--engine", "baileys", "--load", "batches"]) == 2
    monkeypatch.setenv("HOMING_ENGINES", str(tmp_path))
    assert run(["chaos", "--engine", "baileys", "--faults", "kill"]) == 2
    said = capsys.readouterr().err
    assert "Batches are judged with the simulated engine alone" in said
    assert "homing engine install" in said or "Node" in said
