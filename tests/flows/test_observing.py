"""What nobody asked for is written down of observed instances, and done of the others."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from homing.decide.moves.next_step import MoveCause, MoveRequest
from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.background.observing import AGAIN_AFTER_S, KEPT, Observing
from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import AccountUuid, Epoch, Instance, InstanceMode, InstanceUrl, SessionId
from homing.model.instances.observing import Watched, WouldHave, WouldKind
from homing.ports import Clock, PlacementChanged, Roster, StoreUnavailable
from homing.store.db.database import Database
from homing.store.records.watch_log import SqlWatchLog
from tests.clocks import SteppedClock
from tests.flows.worlds import A, B

ROSTER = Roster({A: Instance(1, A, mode=InstanceMode.OBSERVE), B: Instance(2, B)})
S = SessionId("s")


class Requests:
    def __init__(self) -> None:
        self.entered: list[MoveRequest] = []

    async def want(self, wishes: Sequence[MoveRequest]) -> int:
        self.entered += wishes
        return len(wishes)


@pytest.fixture
def observing(database: Database, clock: SteppedClock) -> Observing:
    return Observing(SqlWatchLog(database), lambda: ROSTER, clock)


def wish(session: str, from_url: InstanceUrl, to_url: InstanceUrl | None = None) -> MoveRequest:
    return MoveRequest(SessionId(session), MoveCause.GONE, f"{from_url} is down", from_url, Epoch(1), to_url)


async def noted(observing: Observing) -> list[tuple[str, str, str, int]]:
    return [
        (each.kind.value, each.instance_url, each.session_id, each.times)
        for each in await observing.newest(None, limit=50)
    ]


async def test_requests_about_observed_instances_are_written_down_and_not_entered(observing: Observing) -> None:
    requests = Requests()
    gate = observing.gate(requests)
    assert await gate.want([wish("moves", A), wish("starts", A, A), wish("taken", B, A), wish("free", B)]) == 1
    assert [each.session_id for each in requests.entered] == ["free"]
    assert sorted(await noted(observing)) == [
        ("move", A, "moves", 1),
        ("move", A, "taken", 1),
        ("start", A, "starts", 1),
    ]


async def test_alerts_that_ask_for_something_to_be_done_there_are_not_raised(
    observing: Observing, clock: SteppedClock
) -> None:
    alerts = AlertBook(Unkept(), clock, observing.spares)
    about = Subject.session(S)
    alerts.raised(AlertKind.SESSION_UNREACHABLE, about, "nobody has it", assigned_url=A)
    alerts.raised(AlertKind.SESSION_MISSING, about, "it is gone", url=A)
    alerts.raised(AlertKind.INSTANCE_GONE, Subject.instance(A), "it is down")
    assert alerts.standing() == []
    assert {each[0:3] for each in await noted(observing)} == {("alert", A, "s"), ("alert", A, "")}
    alerts.raised(AlertKind.PHONE_MISMATCH, about, "somebody else's")
    alerts.raised(AlertKind.INSTANCE_MISCONFIGURED, Subject.instance(A), "another key")
    alerts.raised(AlertKind.SESSION_MISSING, about, "it is gone", url=B)
    assert len(alerts.standing()) == 3


async def test_what_is_called_for_again_for_one_reason_is_written_down_now_and_then(
    observing: Observing, clock: SteppedClock
) -> None:
    for _ in range(3):
        observing.would(WouldKind.MOVE, A, S, "it is down")
    assert await noted(observing) == [("move", A, "s", 1)]
    observing.would(WouldKind.MOVE, A, S, "it is down, and out of reach")
    clock.advance(AGAIN_AFTER_S + 1)
    observing.would(WouldKind.MOVE, A, S, "it is down, and out of reach")
    assert await noted(observing) == [("move", A, "s", 3)]


async def test_a_session_that_left_or_came_is_a_correction_and_one_that_was_placed_is_none(
    observing: Observing,
) -> None:
    uuid = AccountUuid("u")
    observing.hear(PlacementChanged(S, uuid, Epoch(1), None, A))
    observing.hear(PlacementChanged(S, uuid, Epoch(2), A, A))
    assert await noted(observing) == []
    observing.hear(PlacementChanged(S, uuid, Epoch(3), A, B))
    assert await noted(observing) == [("correction", A, "s", 1)]


async def test_lists_of_routed_instances_are_not_kept(observing: Observing, clock: SteppedClock) -> None:
    for url in (A, B):
        observing.watched(Watched(url, clock.now(), recorded=3, seen=2))
    await observing.flush()
    agreements = await observing._log.agreements(since=clock.now() - KEPT)
    assert agreements.keys() == {A}
    assert agreements[A].share == pytest.approx(2 / 3)


class AwayOnce:
    """A log whose store is away the first time."""

    def __init__(self, inner: SqlWatchLog) -> None:
        self._inner, self._away = inner, True

    async def note(self, would: Sequence[WouldHave], watched: Sequence[Watched]) -> None:
        if self._away:
            self._away = False
            raise StoreUnavailable("away")
        await self._inner.note(would, watched)


async def test_what_could_not_be_written_down_is_written_down_later(database: Database, clock: Clock) -> None:
    log = SqlWatchLog(database)
    observing = Observing(AwayOnce(log), lambda: ROSTER, clock)  # type: ignore[arg-type]
    observing.would(WouldKind.ALERT, A, S, "it is gone")
    observing.watched(Watched(A, clock.now(), failed=True))
    with pytest.raises(StoreUnavailable):
        await observing.flush()
    await observing.flush()
    since = clock.now() - timedelta(days=1)
    assert len(await log.would_haves(since=since, limit=5)) == 1
    assert (await log.agreements(since=since))[A].lists_failed == 1
