"""Gateway, instances and database come up in any order, and go away in any: each session is back without a person.

The service asks for its sessions 0, 1 and 3 s after it started and then restores nothing; what it does not run then is
told to it. A session is never started twice: the service would run a second client on the same login.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from newcomer import Newcomer, settled, start_all
from sqlalchemy import make_url

from tcp_proxy import tcp_proxy

pytestmark = [pytest.mark.e2e, pytest.mark.walk]

PHONES = ("62811801641", "62811801642", "62811801643", "62811801644")
ASKED_IN_VAIN_S = 3.5
SOON = {"HOMING_SYNC_SCHEDULE": "* * * * * */2"}
"""The whole fleet is checked every 2 s instead of every five minutes."""
BACK_WITHIN_S = 45.0
CLOCKS_MAY_BE_OFF_S = 6.0


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Newcomer]:
    async with settled(tmp_path, settings=SOON) as fleet:
        yield fleet


async def paired(fleet: Newcomer, count: int) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*(fleet.paired(phone) for phone in PHONES[:count])))


async def long_paired(fleet: Newcomer, count: int) -> list[dict[str, Any]]:
    """The same, so long ago that their starts cannot be taken for starts in the processes that come next."""
    accounts = await paired(fleet, count)
    await asyncio.sleep(CLOCKS_MAY_BE_OFF_S)
    return accounts


async def all_back(fleet: Newcomer, accounts: list[dict[str, Any]], clients: int) -> None:
    """Each session sends, and each was opened so often and no oftener, also a while after."""
    for account in accounts:
        await fleet.until_sent(account, f"{account['session_id']} is back", within_s=BACK_WITHIN_S)
    await asyncio.sleep(3)
    opened = [line["session_id"] for line in fleet.judged("client_opened")]
    assert {session: opened.count(session) for session in opened} == {
        account["session_id"]: clients for account in accounts
    }
    shown = [await fleet.until_status(account, "connected") for account in accounts]
    assert [account["attention"] for account in shown] == [[]] * len(accounts)
    assert fleet.logged("session_logged_out") == []
    fleet.nothing_was_spoilt()


async def test_a_killed_instance_restores_what_it_is_handed_and_is_told_nothing(fleet: Newcomer) -> None:
    accounts = await paired(fleet, 3)
    for node in fleet.nodes:
        node.kill()
        node.start()
    await all_back(fleet, accounts, clients=2)
    assert {line["by"] for line in fleet.judged("client_opened")} == {"create", "restore"}


async def test_instances_that_came_up_before_the_gateway_get_their_sessions_back(fleet: Newcomer) -> None:
    accounts = await long_paired(fleet, 2)
    fleet.stop_gateway()
    for node in fleet.nodes:
        node.kill()
    start_all(fleet.nodes)
    await asyncio.sleep(ASKED_IN_VAIN_S)
    assert [node.listed() for node in fleet.nodes] == [{}, {}, {}]
    await fleet.serve()
    await all_back(fleet, accounts, clients=2)


async def test_an_instance_that_was_restarted_while_no_gateway_was_there_gets_its_sessions_back(
    fleet: Newcomer,
) -> None:
    accounts = await long_paired(fleet, 2)
    fleet.kill_gateway()
    node = fleet.node_of(accounts[0])
    node.kill()
    node.start()
    await asyncio.sleep(ASKED_IN_VAIN_S)
    await fleet.serve()
    for account in accounts:
        await fleet.until_sent(account, f"{account['session_id']} is back", within_s=BACK_WITHIN_S)
    opened = [line["instance"] for line in fleet.judged("client_opened")]
    assert len(opened) == len(accounts) + sum(account["instance_url"] == node.url for account in accounts)


async def test_several_sessions_restored_one_after_another_are_not_started_by_us_meanwhile(tmp_path: Path) -> None:
    """The last one is not listed for three restores: whoever starts it then starts it twice."""
    async with settled(tmp_path, instances=1, settings=SOON) as fleet:
        accounts = await paired(fleet, 4)
        fleet.nodes[0].kill()
        fleet.nodes[0].start("--login-takes=3")
        await all_back(fleet, accounts, clients=2)
        assert [line["by"] for line in fleet.judged("client_opened")].count("restore") == 4


async def test_a_start_by_hand_of_what_waits_in_the_restore_queue_starts_nothing(tmp_path: Path) -> None:
    async with settled(tmp_path, instances=1, settings=SOON) as fleet:
        accounts = await paired(fleet, 3)
        fleet.nodes[0].kill()
        fleet.nodes[0].start("--login-takes=3")
        await fleet.until_judged("client_opened", accounts[0]["session_id"], count=2)
        last = max(accounts, key=lambda account: int(account["id"]))
        assert last["session_id"] not in fleet.nodes[0].listed()
        started = await fleet.ask("POST", f"/accounts/{last['uuid']}/start")
        assert started.status in (200, 409, 503), started
        await all_back(fleet, accounts, clients=2)


async def test_a_gateway_that_comes_back_while_an_instance_restores_starts_nothing(fleet: Newcomer) -> None:
    accounts = await paired(fleet, 3)
    node = fleet.node_of(accounts[0])
    node.kill()
    node.start("--login-takes=6")
    await fleet.until_judged("client_opened", accounts[0]["session_id"], count=2)
    fleet.kill_gateway()
    await fleet.serve()
    for account in accounts:
        await fleet.until_sent(account, f"{account['session_id']} is back", within_s=BACK_WITHIN_S)
    opened = [line["session_id"] for line in fleet.judged("client_opened")]
    assert opened.count(accounts[0]["session_id"]) == 2


@pytest.mark.slow
async def test_one_session_that_vanishes_from_a_living_process_is_an_alert_and_not_a_start(fleet: Newcomer) -> None:
    accounts = await paired(fleet, 4)
    gone = next(one for one in accounts if sum(one["instance_url"] == each["instance_url"] for each in accounts) > 1)
    fleet.node_of(gone).delete(gone["session_id"])

    async def alerted() -> list[Any]:
        return list((await fleet.account(gone["uuid"]))["attention"])

    await fleet.until(alerted, 45, "an alert stands")
    opened = [line["session_id"] for line in fleet.judged("client_opened")]
    assert opened.count(gone["session_id"]) == 1


async def test_an_instance_that_does_not_answer_keeps_everything_from_being_started(fleet: Newcomer) -> None:
    """It could hold them: one of the same family is down when the others came up without their sessions."""
    accounts = await long_paired(fleet, 2)
    fleet.kill_gateway()
    for node in fleet.nodes:
        node.kill()
    silent, *others = fleet.nodes
    start_all(others)
    await asyncio.sleep(ASKED_IN_VAIN_S)
    await fleet.serve()
    await asyncio.sleep(8)
    assert len(fleet.judged("client_opened")) == len(accounts)
    silent.start()
    for account in accounts:
        await fleet.until_sent(account, f"{account['session_id']} is back", within_s=BACK_WITHIN_S)
    assert len(fleet.judged("client_opened")) == 2 * len(accounts)


async def test_a_create_without_an_answer_is_not_repeated_blindly(fleet: Newcomer) -> None:
    accounts = await long_paired(fleet, 1)
    [account] = accounts
    node = fleet.node_of(account)
    fleet.stop_gateway()
    node.kill()
    node.start()
    await asyncio.sleep(ASKED_IN_VAIN_S)
    node.faults(mute=("create",))
    await fleet.serve()
    await all_back(fleet, accounts, clients=2)


async def test_what_was_stopped_stays_stopped(fleet: Newcomer) -> None:
    accounts = await paired(fleet, 2)
    stopped = await fleet.ask("POST", f"/accounts/{accounts[0]['uuid']}/stop")
    assert stopped.status == 200, stopped
    for node in fleet.nodes:
        node.kill()
        node.start()
    await fleet.until_sent(accounts[1], "the other is back", within_s=BACK_WITHIN_S)
    await asyncio.sleep(4)
    opened = [line["session_id"] for line in fleet.judged("client_opened")]
    assert opened.count(accounts[0]["session_id"]) == 1


async def test_a_hang_that_ends_the_whole_process_costs_one_message_and_no_session(tmp_path: Path) -> None:
    async with settled(tmp_path, instances=1, node_options=("--hang-kills-after=1",), settings=SOON) as fleet:
        accounts = await paired(fleet, 3)
        sent = await fleet.send(accounts[0], "hangs")
        assert (sent.status, sent.document["outcome"]) == (202, "unknown"), sent
        assert fleet.nodes[0].ended(within_s=5)
        fleet.nodes[0].start()
        await all_back(fleet, accounts, clients=2)
        assert [line["text"] for line in fleet.judged("sent")].count("hangs") == 0


# --- PostgreSQL, two gateways ---------------------------------------------------------------------------------


async def test_two_gateways_start_what_is_missing_once(tmp_path: Path, postgres_url: str) -> None:
    async with settled(tmp_path, database_url=postgres_url, gateways=2, settings=SOON) as fleet:
        accounts = await long_paired(fleet, 2)
        fleet.stop_gateway()
        for node in fleet.nodes:
            node.kill()
        start_all(fleet.nodes)
        await asyncio.sleep(ASKED_IN_VAIN_S)
        await asyncio.gather(fleet.serve(0), fleet.serve(1))
        await all_back(fleet, accounts, clients=2)


async def test_a_database_that_comes_last_is_waited_for(tmp_path: Path, postgres_url: str) -> None:
    url = make_url(postgres_url)
    async with tcp_proxy(str(url.host), url.port or 5432) as proxy:
        proxied = url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        async with settled(tmp_path, database_url=proxied, settings=SOON) as fleet:
            accounts = await long_paired(fleet, 2)
            fleet.kill_gateway()
            for node in fleet.nodes:
                node.kill()
            proxy.freeze()
            await fleet.serve(ready=False)
            start_all(fleet.nodes)
            await asyncio.sleep(ASKED_IN_VAIN_S)
            proxy.thaw()
            await fleet.until_ready()
            await all_back(fleet, accounts, clients=2)
