"""Emptying instances while people send, in virtual time: nobody sees an error, and nothing is said twice."""

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest
from vault_fleet import Traffic, fleet, running
from worlds import A, B, C

from homing.flows.moves.move_jobs import KIND
from homing.model.fleet import PlacementState
from homing.ports import Page

pytestmark = pytest.mark.virtual


async def test_nobody_sees_an_error_while_an_instance_is_emptied() -> None:
    async with fleet(A, B, C) as it, running(it.gateway("g1")):
        accounts = [*await it.accounts(10, A), *await it.accounts(5, B)]
        traffic = Traffic(it.made, accounts)
        talking = asyncio.create_task(traffic.run(6.0))
        await it.made.clock.sleep(0.5)
        drain = await it.emptied(A)
        await talking
        assert (drain.remaining, drain.stuck) == (0, 0)
        traffic.check()
        assert traffic.slowest_s() <= 1.0
        assert it.made.world.instances[A].sessions == {}
        moves = await it.made.directory.moves(None, Page(limit=100))
        told = [move for move in moves if move.fence is not None]
        assert len(told) == 10
        assert all(move.fence == "stopped" and move.duration_ms is not None for move in told)


async def test_sessions_leave_no_faster_than_they_can_log_in_elsewhere() -> None:
    async with fleet(A, B, C) as it, running(it.gateway("g1")):
        traffic = Traffic(it.made, await it.accounts(150, A), every_s=0.3)
        talking = asyncio.create_task(traffic.run(8.0))
        assert (await it.emptied(A)).remaining == 0
        await talking
        traffic.check()
        assert traffic.slowest_s() <= 1.0


async def test_sessions_leave_a_few_at_a_time_so_that_each_is_soon_held_again() -> None:
    async with fleet(A, B, C) as it, running(it.gateway("g1")):
        accounts = await it.accounts(30, A)
        assert (await it.emptied(A)).remaining == 0
        moves = await it.made.directory.moves(None, Page(limit=100))
        together = Counter(move.run_id for move in moves if move.fence is not None)
        assert sum(together.values()) == len(accounts)
        assert max(together.values()) <= 8


async def test_those_whose_turn_had_not_come_stay_when_a_drain_is_taken_back() -> None:
    async with fleet(A, B, C) as it, running(it.gateway("g1")):
        accounts = await it.accounts(30, A)
        await it.drains.drain(A)
        await it.made.clock.sleep(0.6)
        await it.drains.undrain(A)
        await it.made.clock.sleep(20.0)
        placements = [await it.made.placement(account) for account in accounts]
        stayed = [at for at in placements if at.instance_url == A]
        assert 0 < len(stayed) < len(accounts)
        assert {(at.epoch, at.state) for at in stayed} == {(1, PlacementState.HELD)}
        assert {(at.epoch, at.state) for at in placements if at not in stayed} == {(2, PlacementState.HELD)}


async def test_a_whole_fleet_is_upgraded_instance_by_instance_under_load() -> None:
    async with fleet(A, B, C) as it, running(it.gateway("g1")):
        accounts = [account for url in (A, B, C) for account in await it.accounts(6, url)]
        traffic = Traffic(it.made, accounts)
        talking = asyncio.create_task(traffic.run(12.0))
        for url in (A, B, C):
            assert (await it.emptied(url)).remaining == 0
            assert it.made.world.instances[url].sessions == {}
            await it.drains.undrain(url)
        await talking
        traffic.check()
        assert traffic.slowest_s() <= 1.0


async def test_what_a_dead_gateway_had_begun_goes_on_in_another() -> None:
    async with fleet(A, B) as it:
        accounts = await it.accounts(8, A)
        await it.drains.drain(A)
        held = await it.made.work.claim(KIND, owner="it dies here", limit=8, lease_s=3.0)
        assert len(held) == 8
        async with running(it.gateway("g2")):
            began_s = it.made.clock.monotonic()
            assert (await it.emptied(A)).remaining == 0
            assert it.made.clock.monotonic() - began_s <= 5.0
            await it.made.clock.sleep(1.0)
        placements: Mapping[str, object] = {
            account.uuid: (await it.made.placement(account)).epoch for account in accounts
        }
        assert set(placements.values()) == {2}


async def test_sessions_that_nobody_can_take_serve_on_and_go_when_there_is_room() -> None:
    async with fleet(A, B) as it, running(it.gateway("g1")):
        accounts = await it.accounts(3, A)
        await it.made.directory.change_instance(B, {"capacity": 1})
        traffic = Traffic(it.made, accounts)
        talking = asyncio.create_task(traffic.run(12.0))
        drain = await it.drains.drain(A)
        await it.made.clock.sleep(5.0)
        drain = await it.drains.progress(drain.instance)
        assert drain.remaining == drain.moving == 2
        assert all(f"{B} is full (1 of 1)" in reason for reason in drain.delayed)
        assert len(it.made.world.instances[A].sessions) == 2
        await it.made.directory.change_instance(B, {"capacity": None})
        assert (await it.emptied(A)).remaining == 0
        await talking
        traffic.check()
        assert traffic.slowest_s() <= 1.0
