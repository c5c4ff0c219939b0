"""Processes of the Node service whose logins lie on one storage, as the Laravel set-up has them, and one of them dies.

They hold no lease, so only a person can say that one is gone. Then another with the same storage is told to start its
sessions. What comes back with one of them all the same is reported and never settled by us.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from newcomer import Newcomer, settled

from tests.models.node_service.process import NodeProcess

pytestmark = [pytest.mark.e2e, pytest.mark.walk]

BACK_WITHIN_S = 30.0


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Newcomer]:
    """Two instances that share a storage, and one with a disk of its own."""
    async with settled(tmp_path, shared_storage=True, spoilt_is_asserted=False) as fleet:
        for node in fleet.nodes[:2]:
            fleet.homing("instances", "set", node.url, "--storage", "laravel", remote=True)
        fleet.nodes[2].storage = tmp_path / "its own"
        fleet.nodes[2].stop()
        fleet.nodes[2].start()
        yield fleet


async def paired_on(fleet: Newcomer, node: NodeProcess, count: int) -> list[dict[str, Any]]:
    sessions = [(f"webjs_1_176380000{number}_k3j9x2", f"6281180164{number}") for number in range(count)]
    return [await fleet.adopted(node, session, phone) for session, phone in sessions]


async def exited(fleet: Newcomer, node: NodeProcess) -> Any:
    return await fleet.ask("POST", "/instances/exited", {"url": node.url})


async def test_sessions_of_a_dead_instance_come_up_on_the_other_one_with_its_storage(fleet: Newcomer) -> None:
    dead, heir, stranger = fleet.nodes
    accounts = await paired_on(fleet, dead, 3)
    alive = await exited(fleet, dead)
    assert (alive.status, alive.code) == (409, "still_answers"), alive
    dead.kill()
    for account in accounts[:1]:
        refused = await fleet.send(account, "it is dead")
        assert refused.status == 503, refused
        assert "exited" in str(refused.document), refused
    said = await exited(fleet, dead)
    assert said.status == 202, said
    assert "browser" in str(said.document).lower(), "the browsers must be gone too"
    for account in accounts:
        sent = await fleet.until_sent(account, f"from {account['session_id']}", within_s=BACK_WITHIN_S)
        assert sent.document["instance_url"] == heir.url
    assert stranger.listed() == {}
    assert fleet.judged("second_client", "two_processes", "login_deleted") == []
    opened = [line["session_id"] for line in fleet.judged("client_opened")]
    assert {opened.count(account["session_id"]) for account in accounts} == {2}


async def test_the_dead_one_comes_back_empty_handed(fleet: Newcomer) -> None:
    """What was given to the heir is not handed out to it again."""
    dead, heir, _ = fleet.nodes
    accounts = await paired_on(fleet, dead, 2)
    dead.kill()
    assert (await exited(fleet, dead)).status == 202
    for account in accounts:
        await fleet.until_sent(account, "on the heir", within_s=BACK_WITHIN_S)
    dead.start()
    await asyncio.sleep(5)
    assert dead.listed() == {}
    assert set(heir.listed()) == {account["session_id"] for account in accounts}
    assert fleet.judged("second_client", "two_processes", "login_deleted") == []


async def test_one_that_comes_back_with_a_session_is_reported_and_left_to_a_person(fleet: Newcomer) -> None:
    dead, heir, _ = fleet.nodes
    [account] = await paired_on(fleet, dead, 1)
    dead.kill()
    assert (await exited(fleet, dead)).status == 202
    await fleet.until_sent(account, "on the heir", within_s=BACK_WITHIN_S)
    dead.start()
    dead.create(account["session_id"])  # somebody does so by hand

    async def held_by_both() -> bool:
        return all(node.listed().get(account["session_id"]) == "connected" for node in (dead, heir))

    await fleet.until(held_by_both, 10, "both hold it")
    fleet.homing("sync-instance-urls", "-v", exits=1, remote=True)

    async def reported() -> bool:
        attention = (await fleet.account(account["uuid"]))["attention"]
        return "duplicate_holder" in {each["kind"] for each in attention}

    await fleet.until(reported, 15, "the duplicate holder is reported")
    await asyncio.sleep(3)
    assert await held_by_both(), "nobody settles it"
    sent = await fleet.send(account, "through the one that it is placed on")
    assert (sent.status, sent.document.get("instance_url")) == (200, heir.url), sent
    assert fleet.judged("login_deleted") == []


async def test_without_shared_storage_the_answer_says_that_this_family_cannot(fleet: Newcomer) -> None:
    alone = fleet.nodes[2]
    [account] = await paired_on(fleet, alone, 1)
    alone.kill()
    said = await exited(fleet, alone)
    assert said.status == 202, said
    wanted = await fleet.ask("POST", f"/accounts/{account['uuid']}/rehome")
    assert wanted.status == 409, wanted
    assert "storage" in wanted.document["detail"], wanted
    await asyncio.sleep(3)
    assert len(fleet.judged("client_opened")) == 1
    alone.start()
    await fleet.until_sent(account, "it came back by itself", within_s=BACK_WITHIN_S)


async def test_a_stop_never_deletes_a_login_on_the_shared_storage(fleet: Newcomer) -> None:
    """DELETE goes to the recorded holder alone, right after its list showed the session."""
    dead, heir, _ = fleet.nodes
    [account] = await paired_on(fleet, dead, 1)
    dead.kill()
    for path in ("stop", "restart", "logout"):
        await fleet.ask("POST", f"/accounts/{account['uuid']}/{path}")
    await fleet.ask("POST", f"/accounts/{account['uuid']}/migrate", {"to": heir.url})
    await fleet.ask("DELETE", f"/accounts/{account['uuid']}")
    await asyncio.sleep(2)
    assert fleet.judged("login_deleted") == []
    assert dead.has_login(account["session_id"])
