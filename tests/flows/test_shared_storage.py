"""A dead Node service whose logins lie on shared storage: its sessions go to another with the same, each once."""

import asyncio

import pytest
from node_fleet import A, B, C, NodeFleet, gateway, node_fleet
from test_restoring import lived

from homing.flows.failover.exits import Exits
from homing.model.errors import Code, Problem
from homing.model.fleet import Account, InstanceUrl, PlacementState, Takeover

pytestmark = pytest.mark.virtual


async def refused(exits: Exits, url: InstanceUrl) -> Problem:
    with pytest.raises(Problem) as refusal:
        await exits.exited(url)
    return refusal.value


async def alive(fleet: NodeFleet, *urls: InstanceUrl, on: InstanceUrl = A, count: int = 3) -> list[Account]:
    for url in urls:
        fleet.nodes[url].boot(asks=False)
    accounts = [await fleet.account(on) for _ in range(count)]
    await asyncio.sleep(30.0)
    return accounts


async def test_its_sessions_are_started_on_another_with_its_storage_and_on_no_other() -> None:
    async with node_fleet(A, B, storage="nfs") as fleet:
        await fleet.join(C)
        accounts = await alive(fleet, A, B, C)
        async with gateway(fleet) as it:
            await asyncio.sleep(10.0)
            fleet.nodes[A].kill()
            await asyncio.sleep(10.0)
            said = await it.exits.exited(A)
            assert (said.sessions, said.wanted, said.staying) == (3, 3, {})
            assert "browsers" in said.note
            await fleet.until_up(*accounts, within_s=60.0)
            assert {(await fleet.again(each)).placement.instance_url for each in accounts} == {B}
            assert fleet.nodes[C].creates == []
            fleet.nodes[A].boot()
            await asyncio.sleep(300.0)
            assert fleet.nodes[A].process is not None
            assert fleet.nodes[A].process.listed == {}, "it comes back empty, and stays so"
            assert await fleet.up(*accounts)


async def test_another_familys_gateway_on_the_same_storage_is_told_nothing() -> None:
    async with node_fleet(A, B, storage="nfs") as fleet:
        await fleet.directory.change_instance(B, {"driver": "waha"})
        await fleet.refresh()
        accounts = await alive(fleet, A, B)
        async with gateway(fleet) as it:
            await asyncio.sleep(10.0)
            fleet.nodes[A].kill()
            await asyncio.sleep(10.0)
            await it.exits.exited(A)
            await asyncio.sleep(60.0)
            assert fleet.nodes[B].creates == []
            assert {(await fleet.again(each)).placement.instance_url for each in accounts} == {A}


async def test_while_it_answers_nobody_takes_its_sessions() -> None:
    async with node_fleet(A, B, storage="nfs") as fleet:
        accounts = await alive(fleet, A, B)
        async with gateway(fleet) as it:
            await asyncio.sleep(10.0)
            assert (await refused(it.exits, A)).code is Code.STILL_ANSWERS
            fleet.nodes[A].mute = True
            assert (await refused(it.exits, A)).code is Code.STILL_ANSWERS, "somebody accepts its connections"
            assert {(await fleet.again(each)).placement.state for each in accounts} == {PlacementState.HELD}


async def test_that_we_could_not_ask_it_is_no_sign_that_nobody_answers() -> None:
    async with node_fleet(A, B, storage="nfs") as fleet:
        accounts = await alive(fleet, A, B)
        async with gateway(fleet) as it:
            await asyncio.sleep(10.0)
            fleet.nodes[A].unasked = True
            assert (await refused(it.exits, A)).code is Code.OVERLOADED
            assert {(await fleet.again(each)).placement.state for each in accounts} == {PlacementState.HELD}


async def test_a_process_that_asked_for_its_sessions_just_now_runs_whatever_is_said() -> None:
    async with node_fleet(A, B, storage="nfs") as fleet:
        accounts = await alive(fleet, A, B)
        async with gateway(fleet) as it:
            await asyncio.sleep(10.0)
            fleet.nodes[A].kill()
            await fleet.directory.hand_out(A)
            problem = await refused(it.exits, A)
            assert problem.code is Code.STILL_ANSWERS
            assert "asked for its sessions" in problem.detail
            await asyncio.sleep(11.0)
            await it.exits.exited(A)
            await fleet.until_up(*accounts, within_s=60.0)


async def test_who_may_be_taken_over_by_request_is_and_who_never_may_is_not() -> None:
    async with node_fleet(A, B, storage="nfs") as fleet:
        auto, manual, never = await alive(fleet, A, B)
        await fleet.directory.change_account(manual, {"takeover": Takeover.MANUAL})
        await fleet.directory.change_account(never, {"takeover": Takeover.NEVER})
        async with gateway(fleet) as it:
            await asyncio.sleep(10.0)
            fleet.nodes[A].kill()
            said = await it.exits.exited(A)
            assert said.staying == {"its takeover is set to never": 1}
            await fleet.until_up(auto, manual, within_s=60.0)
            assert (await fleet.again(never)).placement.instance_url == A


async def test_without_shared_storage_the_answer_says_what_can_be_done() -> None:
    async with node_fleet(A, B) as fleet:
        accounts = await alive(fleet, A, B, count=2)
        async with gateway(fleet) as it:
            await asyncio.sleep(10.0)
            fleet.nodes[A].kill()
            said = await it.exits.exited(A)
            [(reason, count)] = said.staying.items()
            assert (said.wanted, count) == (0, 2)
            assert "--storage" in reason
            assert "comes up again" in reason or "come back by themselves" in reason
            await asyncio.sleep(60.0)
            assert fleet.nodes[B].creates == []
            fleet.nodes[A].boot(asks=False)
            await fleet.until_up(*accounts, within_s=120.0)


async def test_one_that_comes_back_before_another_took_its_sessions_gets_them_itself() -> None:
    async with node_fleet(A, B, storage="nfs") as fleet:
        accounts = await alive(fleet, A, B)
        async with gateway(fleet) as it:
            await asyncio.sleep(10.0)
            fleet.nodes[A].kill()
            fleet.nodes[B].mute = True
            await asyncio.sleep(10.0)
            await it.exits.exited(A)
            await asyncio.sleep(20.0)
            fleet.nodes[A].boot()
            await asyncio.sleep(20.0)
            fleet.nodes[B].mute = False
            await fleet.until_up(*accounts, within_s=300.0)
            await asyncio.sleep(200.0)


async def test_what_an_instance_with_its_storage_holds_unseen_is_not_started_again() -> None:
    async with node_fleet(A, B, C, storage="nfs") as fleet:
        [mine] = await alive(fleet, A, B, C, count=1)
        async with gateway(fleet) as it:
            await asyncio.sleep(10.0)
            fleet.nodes[A].kill()
            process = fleet.nodes[C].process
            assert process is not None
            process.open(mine.session_id)
            await it.exits.exited(A)
            await asyncio.sleep(100.0)
            assert fleet.nodes[B].creates == []


async def test_a_gateway_that_dies_right_after_the_word_leaves_it_to_the_others() -> None:
    async with node_fleet(A, B, storage="nfs") as fleet:
        accounts = await alive(fleet, A, B)
        fleet.nodes[A].kill()
        await fleet.grants.leave_all(A, quiet_s=10.0, shared=True)
        async with gateway(fleet):
            await fleet.until_up(*accounts, within_s=60.0)
            assert {(await fleet.again(each)).placement.instance_url for each in accounts} == {B}


async def test_a_second_death_on_the_way_is_followed_by_a_second_word() -> None:
    async with node_fleet(A, B, C, storage="nfs") as fleet:
        accounts = await alive(fleet, A, B, count=2)
        fleet.nodes[B].create_takes_s = 60.0
        async with gateway(fleet) as it:
            await asyncio.sleep(10.0)
            fleet.nodes[A].kill()
            await it.exits.exited(A)
            await it.exits.exited(C)
            await asyncio.sleep(8.0)
            assert fleet.nodes[B].creates
            fleet.nodes[B].kill()
            await asyncio.sleep(5.0)
            await it.exits.exited(B)
            fleet.nodes[C].boot()
            await fleet.until_up(*accounts, within_s=700.0)
            assert {(await fleet.again(each)).placement.instance_url for each in accounts} == {C}


async def test_the_circle_of_rehome_and_exited_ends() -> None:
    async with node_fleet(A, B, storage="nfs") as fleet:
        accounts = await lived(fleet, A, each=1)
        fleet.nodes[B].boot(asks=False)
        async with gateway(fleet) as it:
            await asyncio.sleep(15.0)
            obstacle = await it.rehoming.obstacle(accounts[0].session_id)
            assert obstacle is not None
            assert "homing exited" in obstacle.reason
            await it.exits.exited(A)
            await fleet.until_up(*accounts, within_s=60.0)
