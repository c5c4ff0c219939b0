"""One tenant's, or one session's, waiting sends cost nobody else anything."""

import asyncio

from homing.model.fleet import SessionId, SessionStatus
from tests.flows.worlds import A, B, C
from tests.serve.conftest import Api


async def metric(api: Api, name: str) -> float:
    """The sum over its labels."""
    lines = (await api.client.get("/metrics")).text.splitlines()
    found = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
    assert found, f"{name} is not there"
    return sum(float(line.split()[-1]) for line in found)


async def unstarted(api: Api, workspace: int, phone: str) -> dict[str, object]:
    """An account whose session does not come up: what is sent through it waits."""
    account = await api.account(workspace, phone)
    for url in (A, B, C):
        sessions = api.world.instances[url].sessions
        if (held := sessions.get(SessionId(account["session_id"]))) is not None:
            sessions[SessionId(account["session_id"])] = (SessionStatus.STARTING, held[1])
    return account


async def test_2100_waiting_sends_of_one_tenant_refuse_nobody_else(api: Api) -> None:
    mine = await api.account()
    theirs = await unstarted(api, 2, "0816108642")
    neighbours = await api.account(2, "0816108643")
    flood = [asyncio.create_task(api.send(theirs, f"flood {n}", workspace_id=2)) for n in range(2_100)]
    await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
    assert (await api.send(mine)).status_code == 200
    assert (await api.send(neighbours, workspace_id=2)).status_code == 200
    answers = await asyncio.gather(*flood)
    refused = [answer for answer in answers if answer.json()["code"] == "overloaded"]
    assert len(refused) == 1_600
    assert {answer.status_code for answer in refused} == {503}
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
    assert f"the session of account {theirs['uuid']} has 500 sends in progress" in refused[0].json()["detail"]
    assert await metric(api, 'homing_sends_refused_total{share="session"}') == 1_600
    assert await metric(api, "homing_sends_in_progress") == 0


async def test_figures_of_shares_and_of_the_loop_are_there_from_the_start(api: Api) -> None:
    for share in ("gateway", "workspace", "session"):
        assert await metric(api, f'homing_sends_refused_total{{share="{share}"}}') == 0
    await metric(api, "homing_loop_lag_seconds_count")
    assert await metric(api, "homing_instance_calls_not_made_total") == 0
