"""Whole instances that tell a gateway what happens, and ask it what is theirs."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from gateway_sink import Sink
from stores import untold

from homing.instance.notify.retries import NotifyRetryPolicy
from homing.instance.notify.settings import GatewaySettings, InstanceMisconfigured

QUICK = NotifyRetryPolicy(first_pause_s=0.004, pause_max_s=0.008, parked_pause_s=0.03, timeout_s=0.5)


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with Sink() as sink:
        yield sink


def telling(sink: Sink, **changes: object) -> GatewaySettings:
    return replace(GatewaySettings(sink.url, "secret", retries=QUICK), **changes)


async def test_a_session_s_life_is_told_in_order(fleet, sink, eventually):
    await fleet.link("s1")
    one = await fleet.instance(gateway=telling(sink))
    await one.start()
    await one.send("hello", message_id="3EB00001")
    await fleet.whatsapp.deliver("s1", "62899", "halo")
    await eventually(lambda: len(sink.accepted) == 3)
    await fleet.whatsapp.remove_device("s1")
    await eventually(lambda: len(sink.accepted) == 4)
    assert sink.words() == ["session_ready", "message_sent", "message_received", "session_disconnected"]
    ready, sent, received, _ = (arrival.told["data"] for arrival in sink.accepted)
    assert (ready["phone_number"], ready["epoch"], ready["workspace_id"]) == ("62810", 1, 1)
    assert (sent["message_id"], sent["to"]) == ("3EB00001", "62811@c.us")
    assert (received["message"]["from"], received["message"]["to"]) == ("62899@c.us", "62810@c.us")
    assert {arrival.headers["X-Instance-Url"] for arrival in sink.accepted} == {one.url}


async def test_pairing_is_told_with_its_code(fleet, sink, eventually):
    one = await fleet.instance(gateway=telling(sink))
    _, started = await one.start("new")
    await fleet.whatsapp.link(started["qr_code"])
    await eventually(lambda: len(sink.accepted) >= 3)
    assert sink.words() == ["qr_code_generated", "session_authenticated", "session_ready"]
    assert sink.accepted[0].told["data"]["qr_code"] == started["qr_code"]


async def test_an_inbound_message_is_in_the_vault_until_it_is_in_the_journal(fleet, sink, eventually):
    await fleet.link("s1")
    sink.answer = lambda _: 500
    one = await fleet.instance(gateway=telling(sink))
    await one.start()
    await fleet.whatsapp.deliver("s1", "62899", "halo")
    await eventually(lambda: not fleet.server.judge.devices["s1"].waiting)
    (journal,) = fleet.journals()
    await eventually(lambda: "halo" in journal.read_text())
    _, health = await one.get("/health")
    assert health["notifications"]["pending"] == 2

    async def told() -> bool:
        return not await untold(fleet.database)

    await eventually(told)


async def test_with_a_full_journal_inbound_messages_stay_in_the_vault_until_there_is_room(fleet, sink, eventually):
    await fleet.link("s1")
    sink.answer = lambda _: 500
    one = await fleet.instance(gateway=telling(sink))
    await one.start()
    journal = one.instance._link.notifier._journal
    journal._pending_max_bytes = 10
    await fleet.whatsapp.deliver("s1", "62899", "halo")
    await eventually(lambda: not fleet.server.judge.devices["s1"].waiting)
    await asyncio.sleep(0.03)
    assert len(await untold(fleet.database)) == 1
    journal._pending_max_bytes = 10_000
    sink.answer = lambda _: 200
    await eventually(lambda: sink.words() == ["session_ready", "message_received"])


async def test_without_a_gateway_there_is_no_journal(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    assert fleet.journals() == []
    assert "notifications" not in (await one.get("/health"))[1]


async def test_two_instances_with_one_journal_do_not_both_start(fleet, sink, tmp_path):
    settings = telling(sink, journal=tmp_path / "one.jsonl")
    await fleet.instance(gateway=settings)
    with pytest.raises(InstanceMisconfigured, match="belongs to another running instance"):
        await fleet.instance(gateway=settings)


async def test_a_journal_that_cannot_be_opened_stops_the_start(fleet, sink, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InstanceMisconfigured, match=r"cannot be opened: Not a directory"):
        await fleet.instance(gateway=telling(sink, journal=tmp_path / "file" / "deep" / "one.jsonl"))


# What the gateway has placed here


async def test_a_boot_takes_up_what_the_gateway_has_placed_here_and_nobody_holds(fleet, sink, eventually):
    await fleet.link("mine", "placed", "elsewhere")
    two = await fleet.instance(url="http://two")
    await two.instance.host.start("elsewhere", 1)
    mine = await fleet.instance(url="http://the-one")
    await mine.instance.host.start("mine", 1)
    await mine.instance.stop()
    sink.placed = [{"session_id": name, "workspace_id": "4"} for name in ("placed", "elsewhere", "unknown")]
    one = await fleet.instance(url="http://the-one", gateway=telling(sink, restore=True))
    await eventually(lambda: len(one.instance.host.sessions()) == 2)
    await eventually(lambda: all(session.status == "connected" for session in one.instance.host.sessions()))
    assert sorted(session.session_id for session in one.instance.host.sessions()) == ["mine", "placed"]
    assert one.instance.host.find("placed").workspace_id == 4
    (asked,) = sink.asked
    assert (asked["X-API-Key"], asked["X-Instance-Url"]) == ("secret", "http://the-one")
    assert [session.status for session in two.instance.host.sessions()] == ["connected"]


@pytest.mark.parametrize("trouble", ["refused", "error", "garbage"])
async def test_a_gateway_that_does_not_say_it_leaves_the_boot_to_its_folder(fleet, sink, eventually, trouble):
    await fleet.link("s1")
    before = await fleet.instance(url="http://the-one")
    await before.instance.host.start("s1", 1)
    await before.instance.stop()
    settings = telling(sink, restore=True)
    if trouble == "refused":
        settings = replace(settings, url="http://127.0.0.1:9")
    if trouble == "garbage":
        sink.placed = [{"session": 1}]
    one = await fleet.instance(url="http://the-one", gateway=settings)
    await eventually(lambda: one.instance._surface.restored)
    assert [session.status for session in one.instance.host.sessions()] == ["connected"]


# A killed process


@pytest.mark.e2e
async def test_a_message_taken_from_whatsapp_reaches_the_gateway_although_its_instance_was_killed(
    fleet, sink, processes, eventually, tmp_path: Path
):
    await fleet.link("s1")
    sink.answer = lambda _: 503
    options = ("--gateway", sink.url, "--hmac-secret", "secret", "--data", str(tmp_path))
    process, url = await processes.instance(*options)
    await processes.start(url)
    for n in range(5):
        await fleet.whatsapp.deliver("s1", "62899", f"text {n}")
    await eventually(lambda: not fleet.server.judge.devices["s1"].waiting)
    process.kill()
    await process.wait()
    assert sink.accepted == []
    sink.answer = lambda _: 200
    await processes.instance(*options, port=int(url.rpartition(":")[2]))
    await eventually(lambda: len({arrival.told["id"] for arrival in sink.accepted}) >= 7)
    # What was in the journal, and was not noted as told before the end, is told once more under the same id.
    firsts = list({arrival.told["id"]: arrival.told for arrival in sink.accepted}.values())
    received = [told["data"]["message"]["body"] for told in firsts if told["event"] == "message_received"]
    assert received == [f"text {n}" for n in range(5)]
    bodies = [told["data"] for told in firsts if told["event"] == "session_ready"]
    # What was acknowledged and not in the journal yet is told from the vault, under the next grant.
    assert [data["epoch"] for data in bodies] == [1, 2]
    first = next(arrival for arrival in sink.arrivals if arrival.told["event"] == "session_ready")
    assert sink.accepted[0].told["id"] == first.told["id"]


@pytest.mark.e2e
async def test_a_wrong_setting_is_one_sentence_and_exit_code_2(processes):
    process, said = await processes.instance("--gateway", "http://127.0.0.1:9")
    assert await asyncio.wait_for(process.wait(), 5) == 2
    assert said == "What is told to the gateway must be signed: give --hmac-secret or set HMAC_SECRET.\n"
