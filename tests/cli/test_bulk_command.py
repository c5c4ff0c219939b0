"""`homing send --bulk` and `homing batches`: a file of messages, its progress, and how that ends."""

from pathlib import Path
from typing import Any

import pytest

from homing.cli.directory import batches
from tests.cli.conftest import ACCOUNT, CommandLine, ScriptedGateway

LINES = b'{"phone": "62811801641", "message": "hi"}\n{"phone": "62811801642", "message": "ho"}\n'


def batch(state: str, waiting: int = 0, **more: Any) -> dict[str, Any]:
    about = {"batch_id": "b-1", "workspace_id": 1, "name": "people.ndjson", "state": state, "reason": "", "messages": 2}
    times = {"created_at": "2026-11-30T08:00:00Z", "updated_at": "2026-11-30T08:00:01Z"}
    return {**about, "invalid": 0, "waiting": waiting, "states": {"sent": 2 - waiting}, **times, **more}


@pytest.fixture
def file(homing: CommandLine, gateway: ScriptedGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(batches, "LOOK_EVERY_S", 0.001)
    gateway.answer("GET", "/accounts/144", ACCOUNT)
    path = tmp_path / "people.ndjson"
    path.write_bytes(LINES)
    return path


def test_a_file_is_uploaded_as_it_is_and_watched_until_it_is_over(
    homing: CommandLine, gateway: ScriptedGateway, file: Path
) -> None:
    gateway.answer("POST", "/messages/bulk", batch("running", 2), 202)
    gateway.answer_in_turn("GET", "/batches/b-1", batch("running", 1), batch("done"))
    ran = homing("send", "--account", "144", "--bulk", str(file), "--idempotency-key", "k")
    assert ran.code == 0, ran.err
    [upload] = [each for each in gateway.asked if each.method == "POST"]
    assert upload.body == LINES
    assert upload.headers["Content-Type"] == "application/x-ndjson" and upload.headers["Idempotency-Key"] == "k"
    assert ACCOUNT["uuid"] in upload.path
    assert "2/2" in ran.err, "the bar is full"
    assert "done" in ran.out and "2 sent" in ran.out


def test_with_json_one_document_is_printed_and_no_bar(
    homing: CommandLine, gateway: ScriptedGateway, file: Path
) -> None:
    gateway.answer("POST", "/messages/bulk", batch("running", 2), 202)
    gateway.answer_in_turn("GET", "/batches/b-1", batch("done"))
    ran = homing("send", "--account", "144", "--bulk", str(file), "--json")
    assert ran.document["state"] == "done"
    assert ran.err == ""


def test_nobody_waits_where_that_is_not_wanted(homing: CommandLine, gateway: ScriptedGateway, file: Path) -> None:
    gateway.answer("POST", "/messages/bulk", batch("running", 2), 202)
    ran = homing("send", "--account", "144", "--bulk", str(file), "--no-wait", "--template", "Dear {{name}}")
    assert (ran.code, "running" in ran.out) == (0, True)
    assert not any("/batches/" in each.path for each in gateway.asked)
    assert "template=Dear+%7B%7Bname%7D%7D" in gateway.last.path


@pytest.mark.parametrize(
    "ended",
    [
        batch("done", invalid=1),
        batch("rejected", reason="1 lines are invalid"),
        batch("done", states={"sent": 1, "failed": 1}),
        batch("done", states={"sent": 1, "unknown": 1}),
    ],
    ids=["invalid", "rejected", "failed", "unknown"],
)
def test_what_did_not_all_go_needs_attention(
    homing: CommandLine, gateway: ScriptedGateway, file: Path, ended: dict[str, Any]
) -> None:
    gateway.answer("POST", "/messages/bulk", ended, 202)
    assert homing("send", "--account", "144", "--bulk", str(file)).code == 1


def test_a_gateway_that_dies_during_the_upload_is_said_in_one_sentence(
    homing: CommandLine, gateway: ScriptedGateway, file: Path
) -> None:
    gateway.hang_up("POST", "/messages/bulk")
    ran = homing("send", "--account", "144", "--bulk", str(file))
    assert ran.code == 1 and "Traceback" not in ran.err and "gave no answer" in ran.err


def test_a_gateway_that_dies_while_it_is_watched_is_said_in_one_sentence(
    homing: CommandLine, gateway: ScriptedGateway, file: Path
) -> None:
    gateway.answer("POST", "/messages/bulk", batch("running", 2), 202)
    gateway.answer_in_turn("GET", "/batches/b-1", batch("running", 1), None)
    ran = homing("send", "--account", "144", "--bulk", str(file))
    assert ran.code in (1, 2) and "Traceback" not in ran.err


def test_where_no_gateway_listens_nothing_is_read(homing: CommandLine, file: Path) -> None:
    homing.setting("HOMING_API_URL", "http://127.0.0.1:9")
    ran = homing("send", "--account", "144", "--bulk", str(file))
    assert ran.code == 2 and "http://localhost:9 " in ran.err


@pytest.mark.parametrize(("name", "words"), [("people.txt", "named .csv or .ndjson"), ("none.csv", "cannot be read")])
def test_a_file_that_is_none_is_named(
    homing: CommandLine, gateway: ScriptedGateway, file: Path, name: str, words: str
) -> None:
    if name.endswith(".txt"):
        file.with_name(name).write_text("hi")
    ran = homing("send", "--account", "144", "--bulk", str(file.with_name(name)))
    assert ran.code == 2 and words in ran.err


def test_a_batch_is_shown_with_the_lines_that_could_not_be_read(homing: CommandLine, gateway: ScriptedGateway) -> None:
    gateway.answer("GET", "/batches/b-1", batch("done", invalid=1))
    line = {"line": 3, "code": "variable_missing", "detail": "The template needs name"}
    gateway.answer("GET", "/batches/b-1/errors", {"data": [line], "next": None})
    ran = homing("batches", "show", "b-1")
    assert "line 3: variable_missing: The template needs name" in ran.err


@pytest.mark.parametrize("action", ["pause", "resume", "cancel"])
def test_a_batch_is_acted_on(homing: CommandLine, gateway: ScriptedGateway, action: str) -> None:
    gateway.answer("POST", f"/batches/b-1/{action}", batch("paused"))
    assert homing("batches", action, "b-1", "--json").document["batch_id"] == "b-1"
    gateway.refuse("POST", f"/batches/b-1/{action}", 409, "batch_not_so", "Batch b-1 is done")
    assert homing("batches", action, "b-1").code == 1
