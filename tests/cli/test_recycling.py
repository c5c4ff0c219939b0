"""`homing recycle` knows a new process from the old one, and leaves alone what it could not empty."""

from typing import Any

import pytest

from homing.cli.fleet import recycling
from homing.cli.fleet.recycling import _Boot
from homing.cli.terminal.stops import NeedsAttention


def row(**told: Any) -> dict[str, Any]:
    return {"id": 7, "url": "http://a:3001", "healthy": True, "health": "healthy", "incarnation": None, **told}


def test_a_process_with_another_incarnation_is_new_once_it_is_well() -> None:
    boot = _Boot("old")
    assert not boot.is_new(row(incarnation="old"))
    assert not boot.is_new(row(incarnation="new", healthy=False))
    assert not boot.is_new(row(incarnation="new", health="suspect"))
    assert boot.is_new(row(incarnation="new"))


def test_one_without_incarnations_is_new_after_its_address_was_away() -> None:
    boot = _Boot(None)
    assert not boot.is_new(row())
    assert not boot.is_new(row(healthy=False))
    assert boot.is_new(row())


class Gateway:
    """Answers as a gateway whose instance 7 is emptied down to `left` sessions, and is started anew at once."""

    def __init__(self, left: int = 0) -> None:
        self.left, self.state, self.calls, self.looks = left, "active", [], 0

    def get(self, path: str) -> dict[str, Any]:
        if path == "/instances":
            return {"data": [row()]}
        self.looks += 1
        draining = None
        if self.state == "draining":
            draining = {
                "remaining": self.left,
                "stuck": self.left,
                "state": "draining",
                "instance_url": "http://a:3001",
            }
        return row(incarnation="old" if self.looks == 1 else "new", draining=draining)

    def post(self, path: str) -> dict[str, Any]:
        self.calls.append(path.rsplit("/", 1)[1])
        self.state = "draining" if path.endswith("/drain") else "active"
        return {"remaining": self.left, "stuck": 0, "state": self.state, "instance_url": "http://a:3001"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    made = Gateway()
    monkeypatch.setattr(recycling, "gateway", lambda _: made)
    return made


def test_an_instance_is_emptied_waited_for_and_filled_again(asked: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    recycling.recycle(["7"], timeout=5)
    assert asked.calls == ["drain", "undrain"]
    told = capsys.readouterr()
    assert "Start its process anew now" in told.err
    assert "takes sessions again" in told.out


def test_what_cannot_be_emptied_is_left_alone_unless_a_gap_is_accepted(asked: Gateway) -> None:
    asked.left = 3
    with pytest.raises(NeedsAttention, match="3 sessions cannot leave"):
        recycling.recycle(["7"], timeout=5)
    assert asked.calls == ["drain", "undrain"]
    asked.looks = 0
    recycling.recycle(["7"], with_gap=True, timeout=5)
    assert asked.calls == ["drain", "undrain"] * 2
