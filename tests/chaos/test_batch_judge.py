"""Batches under faults are judged by what was accepted, what is said of it, and what recipients have."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from homing.lab.chaos import command
from homing.lab.chaos.batch_judge import BatchVerdict, judged, text_of
from homing.lab.chaos.results import Results
from homing.lab.chaos.rounds import Played


def verdict(
    folder: Path, lines: Sequence[tuple[int, str]], states: Mapping[str, int], *, accepted: int, handed_in: int = 4
) -> BatchVerdict:
    ledger = folder / "ledger.jsonl"
    said = [{"session_id": "s", "recipient": chat, "text": text_of(0, line), "label": {}} for line, chat in lines]
    said.append({"session_id": "s", "recipient": "a", "text": "load, message 1", "label": {}})
    ledger.write_text("".join(json.dumps(each) + "\n" for each in said))
    waiting = sum(states.get(each, 0) for each in ("accepted", "dispatching"))
    shown: list[dict[str, Any]] = [{"messages": accepted, "states": dict(states), "waiting": waiting}]
    return judged(shown, handed_in, ledger)


IN_ORDER = [(0, "a"), (1, "b"), (2, "a"), (3, "b")]


def test_all_that_was_accepted_and_arrived_once_in_order_is_right(tmp_path: Path) -> None:
    seen = verdict(
        tmp_path, [(1, "b"), (0, "a"), (3, "b"), (2, "a")], {"sent": 1, "delivered": 2, "read": 1}, accepted=4
    )
    assert seen.wrong == []
    assert (seen.missing, seen.chats) == (0, 2)


@pytest.mark.parametrize(
    ("lines", "states", "accepted", "said"),
    [
        (IN_ORDER, {"sent": 3}, 4, "1 accepted messages are in no state"),
        (IN_ORDER[:3], {"sent": 4}, 4, "1 messages were called sent, and nobody has them"),
        ([*IN_ORDER, (3, "b")], {"sent": 4}, 4, "1 messages were said twice"),
        ([(2, "a"), (0, "a"), (1, "b"), (3, "b")], {"sent": 4}, 4, "1 messages reached their chat behind a later one"),
        (IN_ORDER, {"sent": 3, "failed": 1}, 4, "1 messages arrived that are called neither sent nor unknown"),
        (IN_ORDER[:3], {"sent": 3, "accepted": 1}, 4, "1 messages wait still"),
        (IN_ORDER[:3], {"sent": 3}, 3, "1 lines were handed in and not accepted"),
    ],
)
def test_each_promise_that_is_broken_is_named(
    tmp_path: Path, lines: list[tuple[int, str]], states: dict[str, int], accepted: int, said: str
) -> None:
    assert f"batches: {said}" in verdict(tmp_path, lines, states, accepted=accepted).wrong


def test_what_is_unknown_may_have_arrived_or_not(tmp_path: Path) -> None:
    for lines in (IN_ORDER, IN_ORDER[:3]):
        assert verdict(tmp_path, lines, {"sent": 3, "unknown": 1}, accepted=4).wrong == []


def test_a_run_with_batches_says_what_came_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = Results("SQLite", 1)
    results.add(Played("kill", 1, "http://one", 0.0))
    results.batches = verdict(tmp_path, IN_ORDER[:3], {"sent": 3}, accepted=4)
    command.show(results)
    assert "4 accepted - (3 sent + 0 failed + 0 unknown + 0 waiting) = 1" in capsys.readouterr().out
    assert not results.kept
