"""Sessions that a Node service lost with its process come back by themselves, each once; in virtual time."""

import asyncio
from typing import Any

import pytest
from node_fleet import A, B, C, NodeFleet, gateway, node_fleet

from homing.decide.starting.restoring import Blocked, LeaveAlone, StartAgain, Vanished, Wait
from homing.flows.failover.restoring import LOOK_AT_ALL_EVERY_S, KnownInstances
from homing.model.fleet import Account, InstanceMode, InstanceUrl, SessionStatus, Takeover

pytestmark = pytest.mark.virtual


async def lived(fleet: NodeFleet, *urls: InstanceUrl, each: int = 3) -> list[Account]:
    """Services that ran, with sessions that were seen there, and that are all gone a minute later."""
    for url in urls:
        fleet.nodes[url].boot(asks=False)
    accounts = [await fleet.account(url) for url in urls for _ in range(each)]
    await asyncio.sleep(60.0)
    for url in urls:
        fleet.nodes[url].kill()
    await asyncio.sleep(5.0)
    return accounts


async def test_instances_that_came_up_before_the_gateway_get_their_sessions_back() -> None:
    async with node_fleet(A, B) as fleet:
        accounts = await lived(fleet, A, B)
        fleet.serving = False
        for url in (A, B):
            fleet.nodes[url].boot()
        await asyncio.sleep(30.0)
        fleet.serving = True
        async with gateway(fleet):
            await fleet.until_up(*accounts, within_s=120.0)
            await asyncio.sleep(300.0)
        assert [fleet.browsers.times(account.session_id) for account in accounts] == [2] * 6, "the first time and now"


async def test_two_gateways_start_each_session_once() -> None:
    async with node_fleet(A, B) as fleet:
        accounts = await lived(fleet, A, B)
        for url in (A, B):
            fleet.nodes[url].boot(asks=False)
        async with gateway(fleet, "g1"), gateway(fleet, "g2"):
            await fleet.until_up(*accounts, within_s=180.0)
            await asyncio.sleep(200.0)
        assert all(fleet.browsers.times(account.session_id) == 2 for account in accounts)


@pytest.mark.parametrize("restore_takes_s", [1.0, 10.0, 30.0, 59.0])
async def test_what_a_process_was_handed_is_left_to_its_own_restoring(restore_takes_s: float) -> None:
    async with node_fleet(A, B) as fleet:
        accounts = await lived(fleet, A, B, each=6)
        async with gateway(fleet):
            await asyncio.sleep(10.0)
            for url in (A, B):
                fleet.nodes[url].restore_takes_s = restore_takes_s
                fleet.nodes[url].boot()
            await fleet.until_up(*accounts, within_s=500.0)
            await asyncio.sleep(500.0)
        assert fleet.nodes[A].creates == fleet.nodes[B].creates == []


async def test_a_kill_in_the_middle_of_restoring_loses_nothing_and_doubles_nothing() -> None:
    async with node_fleet(A, B) as fleet:
        accounts = await lived(fleet, A, B, each=4)
        async with gateway(fleet):
            await asyncio.sleep(10.0)
            fleet.nodes[A].boot()
            fleet.nodes[B].boot()
            await asyncio.sleep(25.0)
            fleet.nodes[A].kill()
            await asyncio.sleep(2.0)
            fleet.serving = False
            fleet.nodes[A].boot()
            await asyncio.sleep(10.0)
            fleet.serving = True
            await fleet.until_up(*accounts, within_s=300.0)
            await asyncio.sleep(300.0)


async def test_an_instance_that_could_have_it_and_gives_no_list_blocks_and_is_named() -> None:
    async with node_fleet(A, B) as fleet:
        accounts = await lived(fleet, A, B, each=1)
        mine = accounts[0]
        fleet.nodes[A].boot(asks=False)
        fleet.nodes[B].boot(asks=False)
        fleet.nodes[B].mute = True
        async with gateway(fleet) as it:
            await asyncio.sleep(120.0)
            assert fleet.nodes[A].creates == []
            [judged] = [each for each in await it.restoring.start_all(A) if each.url == A]
            assert isinstance(judged.verdict, Blocked)
            assert B in judged.verdict.reason
            assert B in (fleet.missing(mine) or "")
            fleet.nodes[B].mute = False
            await fleet.until_up(*accounts, within_s=200.0)
            await asyncio.sleep(70.0)
            assert fleet.missing(mine) is None, "the alert passes with what it was about"


async def test_a_session_that_another_instance_holds_unseen_is_not_opened_a_second_time() -> None:
    async with node_fleet(A, B) as fleet:
        [mine] = await lived(fleet, A, each=1)
        fleet.nodes[A].boot(asks=False)
        fleet.nodes[B].boot(asks=False).open(mine.session_id)
        async with gateway(fleet):
            await asyncio.sleep(200.0)
        assert fleet.nodes[A].creates == []


async def test_records_are_read_where_a_list_is_short_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a family that does not tell how many it has, each list is read; of a large fleet, the records are dear."""
    monkeypatch.setattr(KnownInstances, "seems_short", lambda *_: True)
    asked: list[set[InstanceUrl]] = []
    async with node_fleet(A, B) as fleet:
        processes = [fleet.nodes[url].boot(asks=False) for url in (A, B)]
        await asyncio.sleep(60.0)
        accounts = [await fleet.account(url) for url in (A, A, B)]
        async with gateway(fleet) as it:
            await asyncio.sleep(LOOK_AT_ALL_EVERY_S + 20.0)
            read = it.restoring._directory.recorded

            async def recorded(**what: Any) -> Any:
                asked.append(set(what["instances"]))
                return await read(**what)

            monkeypatch.setattr(it.restoring._directory, "recorded", recorded)
            await asyncio.sleep(20.0)
            assert asked == []
            processes[0].listed.pop(accounts[0].session_id)
            await asyncio.sleep(10.0)
    assert asked
    assert all(each == {A} for each in asked)


async def test_one_that_vanishes_from_a_living_process_is_an_alert_and_no_start() -> None:
    async with node_fleet(A, B) as fleet:
        process = fleet.nodes[A].boot(asks=False)
        fleet.nodes[B].boot(asks=False)
        await asyncio.sleep(60.0)
        stays, goes = [await fleet.account(A) for _ in range(2)]
        await asyncio.sleep(5.0)
        async with gateway(fleet) as it:
            await asyncio.sleep(10.0)
            process.listed.pop(goes.session_id)
            fleet.browsers.close(goes.session_id, process)
            await asyncio.sleep(15.0)
            assert fleet.missing(goes) is None, "it may be closed and opened anew"
            await asyncio.sleep(60.0)
            assert "runs on" in (fleet.missing(goes) or "")
            verdicts = {each.recorded.session_id: each.verdict for each in await it.restoring.start_all()}
            assert isinstance(verdicts[goes.session_id], Vanished)
            assert fleet.nodes[A].creates == []
            process.open(goes.session_id)
            await asyncio.sleep(70.0)
            assert fleet.missing(goes) is None
            assert await fleet.up(stays, goes)


@pytest.mark.parametrize("status", [SessionStatus.STOPPED, SessionStatus.LOGGED_OUT, SessionStatus.QUARANTINED])
async def test_what_should_not_run_is_not_started(status: SessionStatus) -> None:
    async with node_fleet(A) as fleet:
        [mine] = await lived(fleet, A, each=1)
        await fleet.directory.set_status(mine.session_id, status)
        fleet.nodes[A].boot(asks=False)
        async with gateway(fleet):
            await asyncio.sleep(100.0)
        assert fleet.nodes[A].creates == []


async def test_nothing_is_started_on_an_observed_instance_nor_what_was_never_linked() -> None:
    async with node_fleet(A, B) as fleet:
        await lived(fleet, A, each=1)
        fleet.nodes[B].boot(asks=False)
        unlinked = await fleet.account(B, seen=False)
        fleet.nodes[B].kill()
        await fleet.directory.change_instance(A, {"mode": InstanceMode.OBSERVE})
        fleet.nodes[A].boot(asks=False)
        fleet.nodes[B].boot(asks=False)
        async with gateway(fleet) as it:
            await asyncio.sleep(100.0)
            judged = {each.recorded.session_id: each.verdict for each in await it.restoring.start_all()}
        assert all(isinstance(verdict, LeaveAlone) for verdict in judged.values())
        assert "never connected" in judged[unlinked.session_id].reason
        assert fleet.nodes[A].creates == fleet.nodes[B].creates == []


# --- starts that go wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("lists_late", [False, True])
@pytest.mark.parametrize("create_takes_s", [3.0, 40.0])
async def test_a_start_whose_answer_is_lost_is_not_repeated_while_it_comes_up(
    create_takes_s: float, *, lists_late: bool
) -> None:
    async with node_fleet(A) as fleet:
        accounts = await lived(fleet, A, each=3)
        node = fleet.nodes[A]
        node.boot(asks=False)
        node.create_takes_s, node.lists_late, node.loses_answers = create_takes_s, lists_late, True
        async with gateway(fleet):
            await fleet.until_up(*accounts, within_s=400.0)
            await asyncio.sleep(300.0)
        assert sorted(node.creates) == sorted(account.session_id for account in accounts)


async def test_a_start_that_fails_is_repeated_with_patience_until_it_works() -> None:
    async with node_fleet(A) as fleet:
        accounts = await lived(fleet, A, each=1)
        node = fleet.nodes[A]
        node.boot(asks=False)
        node.creates_fail = True
        async with gateway(fleet):
            await asyncio.sleep(600.0)
            assert 2 <= len(node.creates) <= 6
            node.creates_fail = False
            await fleet.until_up(*accounts, within_s=200.0)


async def test_a_gateway_that_dies_in_the_middle_of_a_start_leaves_it_to_the_next_one() -> None:
    for after_s in (0.5, 2.0, 7.0, 12.0, 20.0):
        async with node_fleet(A) as fleet:
            accounts = await lived(fleet, A, each=2)
            node = fleet.nodes[A]
            node.boot(asks=False)
            node.create_takes_s, node.lists_late = 9.0, True
            await asyncio.sleep(12.0)
            async with gateway(fleet, "dies"):
                await asyncio.sleep(6.0 + after_s)
            async with gateway(fleet, "lives"):
                await fleet.until_up(*accounts, within_s=400.0)
                await asyncio.sleep(200.0)


async def test_the_process_dies_while_it_is_told_to_start() -> None:
    async with node_fleet(A) as fleet:
        accounts = await lived(fleet, A, each=2)
        node = fleet.nodes[A]
        node.create_takes_s = 15.0
        node.boot(asks=False)
        async with gateway(fleet):
            async with asyncio.timeout(60.0):
                while not node.creates:  # noqa: ASYNC110 - virtual time
                    await asyncio.sleep(0.5)
            await asyncio.sleep(3.0)
            node.kill()
            await asyncio.sleep(8.0)
            node.boot()
            await fleet.until_up(*accounts, within_s=600.0)
            await asyncio.sleep(200.0)


# --- how many at a time ---------------------------------------------------------------------------------------


async def test_only_a_few_browsers_are_started_on_an_instance_at_once() -> None:
    async with node_fleet(A) as fleet:
        accounts = await lived(fleet, A, each=9)
        node = fleet.nodes[A]
        node.boot(asks=False)
        node.create_takes_s = 12.0
        most = 0
        async with gateway(fleet):
            while not await fleet.up(*accounts):
                process = node.process
                assert process is not None
                most = max(most, sum(status != "connected" for status in process.listed.values()))
                await asyncio.sleep(1.0)
        assert 1 <= most <= 2


async def test_after_a_start_of_its_instance_no_more_are_started_within_a_minute_than_it_can() -> None:
    async with node_fleet(A, B) as fleet:
        await fleet.directory.change_instance(A, {"labels": {"starts_per_min": "3"}})
        await fleet.refresh()
        slow, quick = await lived(fleet, A, each=9), await lived(fleet, B, each=9)
        for url in (A, B):
            fleet.nodes[url].boot(asks=False)
            fleet.nodes[url].create_takes_s = 1.0
        at_s: list[float] = []
        async with gateway(fleet), gateway(fleet):
            while not await fleet.up(*slow):
                while len(at_s) < len(fleet.nodes[A].creates):
                    at_s.append(fleet.clock.monotonic())
                await asyncio.sleep(0.5)
            assert await fleet.up(*quick)
        while len(at_s) < len(fleet.nodes[A].creates):
            at_s.append(fleet.clock.monotonic())
        assert len(fleet.nodes[A].creates) == 9
        assert all(fourth - first > 58.0 for first, fourth in zip(at_s, at_s[3:], strict=False)), at_s
        assert at_s[-1] - at_s[0] < 200.0


async def test_forty_that_are_lost_at_once_are_started_elsewhere_at_its_rate_and_none_is_given_up() -> None:
    async with node_fleet(A, B, storage="nfs") as fleet:
        for url in (A, B):
            await fleet.directory.change_instance(url, {"labels": {"starts_per_min": "3"}})
        await fleet.refresh()
        for url in (A, B):
            fleet.nodes[url].boot(asks=False)
        accounts = [await fleet.account(A) for _ in range(40)]
        await asyncio.sleep(30.0)
        async with gateway(fleet) as it:
            await asyncio.sleep(10.0)
            fleet.nodes[A].kill()
            await asyncio.sleep(10.0)
            assert (await it.exits.exited(A)).wanted == 40
            took_s = await fleet.until_up(*accounts, within_s=1_200.0)
        assert 720.0 < took_s < 1_000.0, "forty at three a minute, longer than an attempt is given otherwise"
        assert len(fleet.nodes[B].creates) == 40


async def test_it_is_off_where_the_setting_says_so_and_can_be_asked_for_all_the_same() -> None:
    async with node_fleet(A, B) as fleet:
        accounts = await lived(fleet, A, B, each=2)
        for url in (A, B):
            fleet.nodes[url].boot(asks=False)
        async with gateway(fleet, by_itself=False) as it:
            await asyncio.sleep(100.0)
            assert fleet.nodes[A].creates == fleet.nodes[B].creates == []
            judged = await it.restoring.start_all(A)
            assert [type(each.verdict) for each in judged] == [StartAgain, StartAgain]
            await fleet.until_up(*accounts[:2], within_s=60.0)
            assert fleet.nodes[B].creates == []


async def test_while_the_brake_is_on_nothing_is_started() -> None:
    urls = [InstanceUrl(f"http://node-{number}:3001") for number in range(4)]
    async with node_fleet(*urls) as fleet:
        accounts = await lived(fleet, *urls, each=1)
        fleet.nodes[urls[0]].boot(asks=False)
        async with gateway(fleet) as it:
            await asyncio.sleep(60.0)
            assert it.keeper.braked() is not None
            [judged] = await it.restoring.start_all(urls[0])
            assert isinstance(judged.verdict, Blocked | Wait)
            assert fleet.nodes[urls[0]].creates == []
            for url in urls[1:]:
                fleet.nodes[url].boot(asks=False)
            await fleet.until_up(*accounts, within_s=120.0)


async def test_five_hundred_that_come_up_empty_at_once_are_filled_at_a_pace() -> None:
    urls = [InstanceUrl(f"http://node-{number}:3001") for number in range(500)]
    async with node_fleet(*urls) as fleet:
        for url in urls:
            await fleet.directory.change_instance(url, {"storage": f"the disk of {url}"})
        accounts = await lived(fleet, *urls, each=1)
        for url in urls:
            fleet.nodes[url].boot(asks=False)
        async with gateway(fleet, probe_every_s=20.0):
            began_s = fleet.clock.monotonic()
            while len(fleet.browsers.opened) < 1000:  # noqa: ASYNC110 - virtual time
                await asyncio.sleep(1.0)
            took_s = fleet.clock.monotonic() - began_s
            await asyncio.sleep(10.0)
            assert await fleet.up(*accounts)
        assert 95.0 <= took_s <= 200.0, "five a second, and no faster"
        told = [fleet.nodes[url].creates for url in urls]
        assert told == [[account.session_id] for account in accounts]


async def test_a_takeover_that_is_forbidden_does_not_keep_a_session_from_its_own_instance() -> None:
    async with node_fleet(A) as fleet:
        accounts = await lived(fleet, A, each=1)
        await fleet.directory.change_account(accounts[0], {"takeover": Takeover.NEVER})
        fleet.nodes[A].boot(asks=False)
        async with gateway(fleet):
            await fleet.until_up(*accounts, within_s=60.0)


async def test_a_family_that_tells_no_age_is_believed_by_what_it_lists() -> None:
    async with node_fleet(A, C) as fleet:
        accounts = await lived(fleet, A, each=2)
        fleet.nodes[A].boot(asks=False)
        fleet.nodes[A].tells_age = False
        fleet.nodes[C].boot(asks=False)
        async with gateway(fleet):
            await fleet.until_up(*accounts, within_s=120.0)
