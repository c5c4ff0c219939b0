"""Which failed sends speak of their session, and when it may be restarted where it is."""

from dataclasses import replace
from typing import Any

import pytest

from homing.decide.knowledge import doubt
from homing.decide.knowledge.doubt import Doubtful, NoDoubt
from homing.model.fleet import (
    Capabilities,
    InstanceMode,
    InstanceUrl,
    ListedSession,
    PlacementState,
    SessionStatus,
    Takeover,
)
from homing.model.sends.faults import Phase
from tests.flows.worlds import A, B, bench

EVIDENCE = {Phase.SERVER_ERROR, Phase.SESSION_NOT_READY, Phase.REPLY_TIMED_OUT, Phase.GATEWAY_TIMED_OUT}
KEEPS = Capabilities(stop_keeps_login=True)


@pytest.mark.parametrize("phase", list(Phase))
def test_only_what_the_engine_itself_failed_at_speaks_of_the_session(phase: Phase) -> None:
    assert doubt.speaks_of_session(phase) is (phase in EVIDENCE)


@pytest.mark.parametrize("phase", list(Phase))
def test_a_large_file_that_takes_its_time_says_nothing_of_the_session(phase: Phase) -> None:
    slow = {Phase.REPLY_TIMED_OUT, Phase.GATEWAY_TIMED_OUT}
    assert doubt.speaks_of_session(phase, with_file=True) is (phase in EVIDENCE - slow)


async def judged(url: InstanceUrl = A, **changes: Any) -> NoDoubt | Doubtful:
    async with bench(A) as it:
        account = await it.account(A)
        known = {name: changes.pop(name) for name in ("takeover", "status") if name in changes}
        moving = changes.pop("moving", False)
        account = replace(account, **known)
        if moving:
            account = replace(account, placement=replace(account.placement, state=PlacementState.MOVING))
        row = ListedSession(account.session_id, changes.pop("listed", SessionStatus.CONNECTED))
        given = {"failed": 3, "last": "500", "can": KEEPS, "mode": InstanceMode.ROUTE, **changes}
        return doubt.judge(account, url, row, **given)


@pytest.mark.virtual
async def test_a_session_that_is_called_connected_and_fails_is_restarted_where_it_is() -> None:
    found = await judged()
    assert found == Doubtful(True, f"{A} calls it connected, and 3 sends in a row failed, the last one with 500")


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"mode": InstanceMode.OBSERVE}, "only observed"),
        ({"takeover": Takeover.NEVER}, "takeover is set to never"),
        ({"can": Capabilities()}, "may end its login"),
        ({"can": None}, "may end its login"),
        ({"status": SessionStatus.STOPPED}, "stopped by request"),
    ],
)
async def test_where_it_must_not_be_stopped_it_is_only_told(changes: dict[str, Any], why: str) -> None:
    found = await judged(**changes)
    assert isinstance(found, Doubtful)
    assert not found.restart
    assert why in found.reason


@pytest.mark.virtual
@pytest.mark.parametrize(
    "changes", [{"listed": SessionStatus.DISCONNECTED}, {"url": B}, {"moving": True}], ids=["down", "moved", "moving"]
)
async def test_what_is_explained_otherwise_is_no_doubt(changes: dict[str, Any]) -> None:
    assert isinstance(await judged(**changes), NoDoubt)
