"""Files on their way to one instance take turns; small ones and other instances do not wait for them."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from homing.decide.sending.uploads import TAKES_A_TURN_BYTES, UploadPolicy
from homing.flows.sending.upload_turns import UploadTurns
from homing.model.fleet import WorkspaceId
from homing.model.sends.faults import Fault, Phase
from tests.flows.worlds import A, B, W

pytestmark = pytest.mark.virtual
LARGE = TAKES_A_TURN_BYTES


async def takes(on_their_way: AsyncExitStack, turns: UploadTurns, url=A, workspace=W, size=LARGE) -> Fault | None:  # type: ignore[no-untyped-def]
    fault: Fault | None = await on_their_way.enter_async_context(turns.taken(url, workspace, size))
    return fault


async def test_what_gets_no_turn_in_time_was_not_attempted() -> None:
    turns = UploadTurns(UploadPolicy(at_once=4), patience_s=5.0)
    async with AsyncExitStack() as on_their_way:
        assert [await takes(on_their_way, turns) for _ in range(2)] == [None] * 2
        refused = await takes(on_their_way, turns)
        assert refused is not None and refused.phase is Phase.NOT_ATTEMPTED
        assert await takes(on_their_way, turns, size=LARGE - 1) is None
        assert await takes(on_their_way, turns, url=B) is None
        assert await takes(on_their_way, turns, workspace=WorkspaceId(7)) is None
    async with AsyncExitStack() as on_their_way:
        assert await takes(on_their_way, turns) is None


async def test_a_turn_comes_when_one_before_it_ends() -> None:
    turns = UploadTurns(UploadPolicy(at_once=4), patience_s=5.0)
    under_way: list[int] = []

    async def send(number: int) -> int:
        async with turns.taken(A, W, LARGE) as none_came:
            assert none_came is None
            under_way.append(number)
            most = len(under_way)
            await asyncio.sleep(1.0)
            under_way.remove(number)
            return most

    assert max(await asyncio.gather(*(send(number) for number in range(8)))) == 2
