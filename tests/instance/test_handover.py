"""Two instances, one folder of credentials, one WhatsApp: who holds the session, and what its recipient sees."""

import asyncio


async def test_a_session_opened_elsewhere_is_gone_here(fleet, eventually):
    await fleet.link("s1")
    one, two = await fleet.instance(), await fleet.instance()
    await one.start(epoch=1)
    await one.send("first")
    assert (await two.start(epoch=2))[1]["status"] == "connected"

    async def gone() -> bool:
        return (await one.get("/api/sessions"))[1]["total"] == 0

    await eventually(gone)
    assert await one.send("stale", epoch=1) == (404, {"error": "Session not found"})
    assert (await two.send("second", epoch=2))[0] == 200
    assert [(entry.text, entry.label["epoch"]) for entry in fleet.ledger()] == [("first", 1), ("second", 2)]
    await asyncio.sleep(0.05)
    assert (await fleet.whatsapp.stats())["evictions"] == 1


async def test_a_stale_grant_is_refused_and_disturbs_nobody(fleet):
    await fleet.link("s1")
    one, two = await fleet.instance(), await fleet.instance()
    await one.start(epoch=5)
    assert await two.start(epoch=5) == (409, {"error": "stale epoch", "epoch": 5})
    assert (await one.send(epoch=5))[0] == 200
    assert (await two.get("/api/sessions"))[1]["total"] == 0


async def test_a_message_repeated_through_the_new_holder_arrives_once(fleet):
    await fleet.link("s1")
    one, two = await fleet.instance(), await fleet.instance()
    await one.start()
    await one.send("important", message_id="3EB0C0FFEE")
    await two.start()
    assert (await two.send("important", message_id="3EB0C0FFEE"))[1]["message_id"] == "3EB0C0FFEE"
    assert [entry.text for entry in fleet.ledger()] == ["important"]


async def test_handing_a_session_back_and_forth_loses_and_repeats_nothing(fleet):
    await fleet.link("s1")
    instances = [await fleet.instance(), await fleet.instance()]
    for turn in range(6):
        holder = instances[turn % 2]
        _, body = await holder.start()
        assert (body["status"], body["epoch"]) == ("connected", turn + 1)
        assert (await holder.send(str(turn), epoch=turn + 1))[0] == 200
    assert [entry.text for entry in fleet.ledger()] == [str(turn) for turn in range(6)]
    assert (await fleet.whatsapp.stats())["refused"] == {}


async def test_an_instance_that_boots_again_restores_its_own(fleet, eventually):
    await fleet.link("s1", "s2")
    one, two = await fleet.instance(url="http://first"), await fleet.instance()
    one.url = one.instance.url = f"http://localhost:{_port(one)}"
    await one.start("s1")
    await two.start("s2")
    await one.instance.stop()
    again = await fleet.instance(url="http://first")
    again.url = f"http://localhost:{_port(again)}"

    async def restored() -> bool:
        rows = (await again.get("/api/sessions"))[1]["sessions"]
        return [(row["session_id"], row["status"], row["epoch"]) for row in rows] == [("s1", "connected", 2)]

    await eventually(restored)
    fresh = await fleet.instance(url="http://first", restore=False)
    fresh.url = f"http://localhost:{_port(fresh)}"
    assert (await fresh.get("/api/sessions"))[1]["total"] == 0


async def test_a_lost_connection_to_whatsapp_heals(fleet, eventually):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    one.instance.host.find("s1")._connection.wire.close()

    async def sends_again() -> bool:
        return (await one.send("after", message_id="3EB0C0FFEE"))[0] == 200

    await eventually(sends_again)
    assert [entry.label["epoch"] for entry in fleet.ledger()] == [1]


def _port(caller) -> int:
    return caller.instance._runner.addresses[0][1]
