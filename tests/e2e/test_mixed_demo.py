"""`homing demo --gateways …`: a fleet of other people's gateways beside our own instances."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from homing.demo.opening import open_demo, told
from homing.demo.plan import DemoPlan, Unworkable, check, mixed
from simulated_whatsapp import ledger
from tests.ports import free_ports

FAMILIES = ("waha", "waha", "evolution", "webjs")


def test_a_mixed_fleet_is_named_family_by_family() -> None:
    assert mixed("waha:2, evolution,webjs:1") == FAMILIES
    for wrong, said in (("wahaha:2", "no gateways .wahaha."), ("waha:0", "How many"), ("waha:x", "How many")):
        with pytest.raises(Unworkable, match=said):
            mixed(wrong)


@pytest.mark.parametrize("plan", [DemoPlan(families=FAMILIES, instances=3), DemoPlan(families=FAMILIES, story=True)])
def test_what_does_not_go_together_is_said(plan: DemoPlan) -> None:
    with pytest.raises(Unworkable):
        check(plan)


@pytest.mark.e2e
async def test_messages_go_through_each_family_and_are_judged(tmp_path: Path) -> None:
    ports = free_ports(len(FAMILIES) + 1)
    plan = DemoPlan(
        accounts=8,
        contacts=2,
        instances=len(FAMILIES),
        families=FAMILIES,
        gateway_port=ports[0],
        first_instance_port=ports[1],
        folder=tmp_path,
    )
    async with open_demo(plan, lambda _: None) as demo:
        assert [each["driver"] for each in told(demo)["instances"]] == list(FAMILIES)
        for resident in demo.population.residents:
            answer = await demo.gateway.send(resident.uuid, demo.population.contacts[0].uuid, f"from {resident.id}")
            assert (answer.status, answer.instance_url) == (200, resident.instance_url), answer.document
        listed = {each["url"]: each for each in (await demo.gateway.get("/instances"))["data"]}
        assert {url: each["driver"] for url, each in listed.items()} == dict(zip(demo.instances, FAMILIES, strict=True))
        killed = demo.instances[next(iter(demo.instances))]
        os.kill(killed.pid, signal.SIGKILL)
        await asyncio.to_thread(killed.process.wait)
        await demo.start_instance_again(next(iter(demo.instances)))
        first = demo.population.residents[0]
        answer = await demo.gateway.send(first.uuid, demo.population.contacts[0].uuid, "after its gateway began anew")
        assert answer.status == 200, answer.document
    reached = ledger.read(demo.folder.ledger)
    assert len(reached) == len({each.text for each in reached}) == 9
    assert {each.label["instance_url"] for each in reached} == set(demo.instances)
    assert all(child.ended is not None for child in demo.children)
