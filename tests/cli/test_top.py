"""`homing top`: what the stream tells is what is drawn, and a break is said and mended."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from homing.cli.terminal.stops import RequestRefused
from homing.cli.top.following import Following, frames
from homing.cli.top.keys import LookedAt, ScreenPage, pressed
from homing.cli.top.screen import screen
from homing.cli.top.seen import SeenState
from tests.cli.conftest import CommandLine, ScriptedGateway

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
AT = "2026-01-31T11:59:00Z"


def instance(url: str, health: str = "healthy", **more: Any) -> dict[str, Any]:
    row = {"id": 1, "url": url, "name": "", "driver": "webjs", "version": None, "mode": "route", "state": "active"}
    return row | {"health": health, "reason": "", "since": AT, "capacity": None, "sessions": 2, "can_send": 1} | more


def session(number: int, standing: str = "connected", **more: Any) -> dict[str, Any]:
    row = {"account_id": number, "account_uuid": f"u{number}", "workspace_id": 1, "session_id": f"s{number}"}
    row |= {"phone": "1", "phone_written": "+1", "name": "Shop", "instance_url": "http://a", "instance_name": None}
    row |= {"epoch": 1, "state": "held", "status": standing, "standing": standing, "since": AT, "takeover": "auto"}
    return row | {"can_send": standing == "connected"} | more


def counts(can_send: int, needs_you: int = 0) -> dict[str, Any]:
    zero = {"under_way": 0, "in_doubt": 0, "stopped": 0}
    return zero | {"total": can_send + needs_you, "can_send": can_send, "needs_you": needs_you, "by_standing": {}}


def snapshot(**more: Any) -> dict[str, Any]:
    told = {"version": 1, "why": "it is new", "at": AT, "instances": [instance("http://a")], "alerts": [], "moves": []}
    told |= {"sessions": [session(1)], "session_counts": counts(1), "directory_away": None}
    return told | {"brake": {"engaged": False, "reason": ""}} | more


def seen(*told: tuple[str, dict[str, Any]]) -> SeenState:
    state = SeenState()
    for event, document in told:
        state.tell(event, document)
    return state


def drawn(state: SeenState, looking: LookedAt | None = None, **more: Any) -> str:
    console = Console(width=160, record=True, file=None, force_terminal=False)
    given = {"silent_s": 0.0, "trouble": None, "rows": 40, "now": NOW} | more
    with console.capture() as captured:
        console.print(screen(state, looking or LookedAt(), **given))
    return captured.get()


def test_changes_are_told_on_top_of_the_snapshot() -> None:
    state = seen(
        ("snapshot", snapshot()),
        ("delta", {"version": 2, "at": AT, "instances": [instance("http://a", "down"), instance("http://b")]}),
        ("delta", {"version": 3, "at": AT, "instances_gone": ["http://b"], "sessions": [session(2, "failed")]}),
        ("delta", {"version": 4, "at": AT, "session_counts": counts(1, 1), "alerts": []}),
    )
    assert {url: row["health"] for url, row in state.instances.items()} == {"http://a": "down"}
    assert set(state.sessions) == {"s1", "s2"}
    assert (state.whole()["version"], state.counts.total) == (4, 2)


def test_a_change_before_the_first_snapshot_is_not_taken_for_the_whole() -> None:
    state = seen(("delta", {"version": 2, "at": AT, "instances": [instance("http://a")]}))
    assert not state.known
    assert "Nothing is known yet" in drawn(state)


def test_the_first_sentence_is_that_of_the_page() -> None:
    assert "The one session can send." in drawn(seen(("snapshot", snapshot())))
    assert "1 of 2 sessions cannot send." in drawn(seen(("snapshot", snapshot(session_counts=counts(1, 1)))))
    away = snapshot(directory_away="refused")
    assert "The database is away." in drawn(seen(("snapshot", away)))


def test_instances_that_are_not_well_come_first_with_their_reason() -> None:
    rows = [instance("http://a"), instance("http://b", "down", reason="refused twice")]
    text = drawn(seen(("snapshot", snapshot(instances=rows))), LookedAt(ScreenPage.INSTANCES))
    assert text.index("http://b") < text.index("http://a")
    assert "refused twice" in text


def test_a_hostile_name_is_text_and_steers_nothing() -> None:
    name = "[bold]x[/bold]\x1b[2J\u202e" + "y" * 10_000
    text = drawn(seen(("snapshot", snapshot(sessions=[session(1, name=name)]))), LookedAt(ScreenPage.SESSIONS))
    assert "[bold]x[/bold]" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_what_is_shown_says_how_old_it_is_while_nothing_comes() -> None:
    text = drawn(seen(("snapshot", snapshot())), silent_s=42.0, trouble="connection refused")
    assert "connection refused" in text
    assert "42 s old" in text


def test_keys_lead_to_pages_and_a_text_is_looked_for() -> None:
    looking = LookedAt()
    for key in ("3", "j", "/", "s", "h", "\n"):
        looking = pressed(looking, key)
    assert (looking.page, looking.wanted, looking.typing) == (ScreenPage.SESSIONS, "sh", False)
    assert pressed(looking, "\x1b").wanted == ""
    assert pressed(looking, "q").over
    assert not pressed(pressed(looking, "/"), "q").over


def test_only_rows_with_the_text_are_drawn() -> None:
    rows = [session(1, name="Bakery"), session(2, name="Florist")]
    text = drawn(seen(("snapshot", snapshot(sessions=rows))), LookedAt(ScreenPage.SESSIONS, wanted="flor"))
    assert "Florist" in text
    assert "Bakery" not in text


def test_frames_are_read_with_their_ids_and_comments_are_heartbeats() -> None:
    lines = [b": here\n", b"\n", b"id: boot-7\n", b"event: delta\n", b'data: {"version": 7}\n', b"\n", b"id: cut off\n"]
    assert list(frames(lines)) == [None, ("boot-7", "delta", {"version": 7})]


class Streams:
    """A gateway whose streams end or fail, one after the other."""

    def __init__(self, *streams: list[bytes] | Exception) -> None:
        self._streams, self.last_ids = list(streams), list[str | None]()

    @contextmanager
    def stream(self, path: str, *, last_id: str | None, silent_s: float) -> Iterator[Any]:
        self.last_ids.append(last_id)
        stream = self._streams.pop(0)
        if isinstance(stream, Exception):
            raise stream
        yield iter(stream)


def frame(number: int) -> list[bytes]:
    return [b"id: boot-%d\n" % number, b"event: delta\n", b'data: {"version": %d}\n' % number, b"\n"]


def test_after_a_break_it_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = RequestRefused(401, {"code": "unauthenticated", "detail": "gone"})
    gateway = Streams([*frame(1), *frame(2)], ConnectionResetError("cut"), frame(3), refused)
    told: list[int] = []
    following = Following(gateway, lambda _, document: told.append(document["version"]))  # type: ignore[arg-type]
    monkeypatch.setattr("homing.cli.top.following.AGAIN_S", (0.0,))
    following.start()
    following._thread.join(10)
    assert told == [1, 2, 3]
    assert gateway.last_ids == [None, "boot-2", "boot-2", "boot-3"]
    assert following.refused is refused


def test_once_it_is_one_document(homing: CommandLine, gateway: ScriptedGateway) -> None:
    whole = f"id: b-1\nevent: snapshot\ndata: {json.dumps(snapshot())}\n\n".encode()
    gateway.answer("GET", "/state", whole)
    ran = homing("top", "--json")
    assert (ran.code, ran.document["session_counts"]["total"]) == (0, 1)
    assert "can send" in homing("top", "--once").out


def test_a_key_that_may_not_look_ends_it(homing: CommandLine, gateway: ScriptedGateway) -> None:
    gateway.refuse("GET", "/state", 401, "unauthenticated", "This API key is not known, or was revoked")
    ran = homing("top", "--once")
    assert (ran.code, "unauthenticated" in ran.err) == (2, True)
