"""`homing demo --gateways …`: a fleet of other people's gateways beside our own instances."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from homing.demo.opening import open_demo, told
from homing.demo.plan import DemoPlan, Unworkable, check, mixed
from simulated_whatsapp import ledger
from tests.models.laravel_application import LaravelApplication
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


@pytest.mark.e2e
async def test_who_sent_by_the_old_names_goes_on_sending_after_an_import(tmp_path: Path, mariadb_dsn: str) -> None:
    application = LaravelApplication(mariadb_dsn)
    ports = free_ports(3)
    plan = DemoPlan(
        accounts=4,
        contacts=1,
        instances=2,
        families=("waha", "webjs"),
        strangers=True,
        gateway_port=ports[0],
        first_instance_port=ports[1],
        folder=tmp_path,
    )
    async with open_demo(plan, lambda _: None) as demo:
        theirs = [each for each in demo.population.residents if not each.uuid]
        application.accounts(
            (each.id, f"old-{each.id}", 1, each.session_id, each.phone, "connected", each.instance_url)
            for each in theirs
        )
        application.contacts([(1, "old-contact", 1, "Budi", "628129000001")])
        await demo.gateway.post("/instances", {"url": theirs[0].instance_url, "driver": "waha"})
        command = [sys.executable, "-m", "homing.cli", "import", "laravel", "-", "--json"]
        told = {**os.environ, "HOMING_DATABASE_URL": demo.database_url, "HOMING_API_URL": ""}
        done = await asyncio.to_thread(
            subprocess.run, command, input=mariadb_dsn, env=told, capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["accounts"]["created"] == len(theirs) > 0
        for each in theirs:
            answer = await demo.gateway.send(f"old-{each.id}", "old-contact", f"from {each.id}")
            assert answer.status == 200, answer.document
    reached = ledger.read(demo.folder.ledger)
    assert sorted(each.text for each in reached) == sorted(f"from {each.id}" for each in theirs)
    assert {each.recipient for each in reached} == {"628129000001"}
