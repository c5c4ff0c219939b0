"""Instances are started anew through their supervisor: told over a signed webhook once they are empty."""

from typing import Any

import pytest
from standardwebhooks import Webhook

from homing.decide.deliveries import signing
from homing.flows.recycling.recycling import Supervisor
from homing.model.alerts import AlertKind, Subject
from homing.model.deliveries.egress import CallAnswer, CallFailed
from homing.model.sends.faults import Fault, Phase
from homing.model.work import Tick
from tests.flows.worlds import A
from tests.serve.conftest import Api

SECRET = b"0123456789abcdef0123456789abcdef"


class Told:
    """A supervisor's receiver, which takes what it is told while `takes`."""

    def __init__(self) -> None:
        self.takes, self.told = True, list[tuple[bytes, dict[str, str]]]()

    async def post(self, url: str, body: bytes, headers: dict[str, str], **_: Any) -> CallAnswer | CallFailed:
        assert url == "http://supervisor:9000/hook"
        self.told.append((body, dict(headers)))
        return CallAnswer(204 if self.takes else 503)


@pytest.fixture
def told(api: Api) -> Told:
    receiver, recycling = Told(), api.gateway.moving.recycling
    recycling._supervisor = Supervisor("http://supervisor:9000/hook", SECRET)
    recycling._egress = receiver  # type: ignore[assignment]
    return receiver


async def number_of(api: Api, url: str) -> int:
    rows = (await api.call("GET", "/instances")).json()["data"]
    return int(next(row["id"] for row in rows if row["url"] == url))


async def ticks(api: Api, count: int = 1) -> None:
    for _ in range(count):
        await api.gateway.moving.recycling.tick(Tick("recycling", api.gateway.clock.now(), 1, False, "due"))


async def test_without_a_supervisor_it_is_refused_with_what_to_set(api: Api) -> None:
    refused = await api.call("POST", f"/instances/{await number_of(api, A)}/recycle")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_supported")
    assert "HOMING_SUPERVISOR_URL" in refused.text


async def test_an_empty_instance_is_told_to_its_supervisor_and_filled_when_a_new_process_is_up(
    api: Api, told: Told
) -> None:
    number = await number_of(api, A)
    asked = await api.call("POST", f"/instances/{number}/recycle", {"reason": "it leaks"})
    assert asked.status_code == 202, asked.text
    await ticks(api, 2)
    assert (await api.call("GET", f"/instances/{number}")).json()["state"] == "draining"
    [(body, headers)] = told.told
    verified = Webhook(signing.written(SECRET)).verify(body, headers)
    assert verified["type"] == "instance.recycle"
    assert (verified["data"]["instance_url"], verified["data"]["reason"]) == (A, "it leaks")
    await ticks(api, 2)
    assert len(told.told) == 1, "it is told once"
    api.world.instances[A].down = Fault(Phase.REFUSED)
    await ticks(api)
    api.world.instances[A].down = None
    await ticks(api)
    [row] = (await api.call("GET", "/recycles")).json()["data"]
    assert (row["state"], row["result"]) == ("done", "a new process is up")
    assert (await api.call("GET", f"/instances/{number}")).json()["state"] == "active"


async def test_a_supervisor_that_does_not_take_it_is_told_again_under_the_same_id(api: Api, told: Told) -> None:
    number, told.takes = await number_of(api, A), False
    await api.call("POST", f"/instances/{number}/recycle")
    await ticks(api, 3)
    assert len(told.told) == 2
    assert len({headers["webhook-id"] for _, headers in told.told}) == 1
    kinds = [each.kind for each in api.gateway.alerts.of(Subject.instance(A))]
    assert AlertKind.RECYCLE_FAILED in kinds
    told.takes = True
    await ticks(api)
    kinds = [each.kind for each in api.gateway.alerts.of(Subject.instance(A))]
    assert AlertKind.RECYCLE_FAILED not in kinds
    assert (await api.call("GET", "/recycles")).json()["data"][0]["state"] == "waiting"
