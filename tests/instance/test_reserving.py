"""A message is the grant's own in the vault before it leaves, and from then on it is said exactly once."""

import asyncio

import pytest

from homing.instance.engine import FrameRefused
from homing.instance.host import SessionHost
from homing.instance.notify.events import Status
from homing.instance.session.messages import EngineSent, EngineUnknown, Message, NotConnected, VaultAway
from homing.model.instances.vault import StaleEpoch


def message(name: str = "3EB0AAAA", text: str = "hi", to: str = "62811") -> Message:
    return Message(name, to, text)


async def held(world, url: str = "http://one", **policy: object) -> SessionHost:
    host = world.host(url, **policy)
    session = await host.start("s1", 1)
    assert session.status is Status.CONNECTED
    return host


@pytest.fixture(params=[True, False], ids=["ids-checked", "ids-not-checked"])
def any_network(request, world):
    """WhatsApp as it is in practice, and one that would deliver a repeated id again."""
    world.network.judge.rules.drop_repeats = request.param
    return world


# Before it leaves


async def test_nothing_leaves_before_the_vault_has_it(world, eventually):
    await world.link("s1")
    host = await held(world)
    world.database.open.clear()
    send = asyncio.create_task(host.send("s1", message()))
    await asyncio.sleep(0.02)
    assert world.network.ledger == []
    world.database.open.set()
    assert await send == EngineSent("3EB0AAAA")
    await eventually(lambda: settled(world, ("3EB0AAAA", True)))


async def test_concurrent_sends_keep_their_order_and_share_reservations(world):
    await world.link("s1")
    host = await held(world)
    before = world.database.writes
    sends = [host.send("s1", message(f"3EB0{n:08}", str(n))) for n in range(30)]
    assert all(isinstance(outcome, EngineSent) for outcome in await asyncio.gather(*sends))
    assert world.network.texts() == [str(n) for n in range(30)]
    assert world.database.writes - before <= 4, "one reservation for all, and one note of what was acknowledged"


async def test_every_message_has_a_counter_of_its_own_and_none_is_left_out(world):
    await world.link("s1")
    one = await held(world)
    for n in range(3):
        await one.send("s1", message(f"3EB0000{n}"))
    assert world.network.judge.devices["s1"].counter == 3
    two = await held(world, "http://two")
    await two.send("s1", message("3EB00009"))
    assert world.network.judge.devices["s1"].counter == 4


async def test_a_grant_that_was_superseded_reserves_nothing_and_says_so(world):
    await world.link("s1")
    host = await held(world)
    await world.grant_elsewhere()
    assert await host.send("s1", message()) == StaleEpoch(2)
    assert host.find("s1") is None
    assert world.network.ledger == []
    assert (await world.stored()).unfinished == ()


async def test_a_message_that_whatsapp_refused_is_not_said_again(any_network, eventually):
    world = any_network
    await world.link("s1")
    world.network.judge.restricted.add("62899")
    host = await held(world)
    assert await host.send("s1", message(to="62899")) == FrameRefused(1, "recipient_restricted", 463)
    await eventually(lambda: nothing_unfinished(world))
    world.network.judge.restricted.clear()
    await held(world, "http://two")
    assert world.network.ledger == []


async def test_a_refusal_of_which_the_next_holder_does_not_know_is_unknown(world, monkeypatch):
    """It will be said again by whoever has the session now, perhaps to a WhatsApp that takes it."""
    await world.link("s1")
    world.network.judge.restricted.add("62899")
    host = await held(world)
    real = world.credentials.drop

    async def superseded_first(grant, counters):
        await world.grant_elsewhere()
        return await real(grant, counters)

    monkeypatch.setattr(world.credentials, "drop", superseded_first)
    assert isinstance(await host.send("s1", message(to="62899")), EngineUnknown)
    assert (await world.stored()).unfinished == ("3EB0AAAA",)


# The same message twice


async def test_a_send_whose_id_is_on_its_way_joins_it(any_network):
    world = any_network
    await world.link("s1")
    host = await held(world)
    outcomes = await asyncio.gather(*(host.send("s1", message()) for _ in range(3)))
    assert outcomes == [EngineSent("3EB0AAAA")] * 3
    assert len(world.network.ledger) == 1


async def test_one_that_whatsapp_has_is_answered_without_saying_it_again(any_network):
    world = any_network
    await world.link("s1")
    one = await held(world)
    await one.send("s1", message())
    assert await one.send("s1", message()) == EngineSent("3EB0AAAA")
    await one.stop("s1")
    two = await held(world, "http://two")
    assert await two.send("s1", message()) == EngineSent("3EB0AAAA")
    assert world.network.judge.stats().sends == 1


async def test_a_repetition_joins_even_while_nothing_new_is_taken(world, eventually):
    await world.link("s1")
    host = await held(world, resend_within_s=5.0, acknowledge_within_s=5.0)
    world.network.swallow_answers = True
    send = asyncio.create_task(host.send("s1", message()))
    await eventually(lambda: len(world.network.ledger) == 1)
    world.network.unreachable, world.network.swallow_answers = True, False
    world.network.wires[-1].cut()
    await eventually(lambda: host.find("s1").status is Status.DISCONNECTED)
    again = asyncio.create_task(host.send("s1", message()))
    assert await host.send("s1", message("3EB0FFFF")) == NotConnected(Status.DISCONNECTED)
    assert not again.done(), "it may have been said, so nobody may hear that it was not"
    world.network.unreachable = False
    assert await asyncio.gather(send, again) == [EngineSent("3EB0AAAA")] * 2


# A lost connection


async def test_a_frame_caught_by_a_lost_connection_is_repeated_as_it_was(world, eventually):
    await world.link("s1")
    host = await held(world)
    await host.send("s1", message("3EB00000", "zero"))
    world.network.swallow_answers = True
    send = asyncio.create_task(host.send("s1", message("3EB00001", "one")))
    await eventually(lambda: world.network.texts() == ["zero", "one"])
    world.network.wires[-1].cut()
    world.network.swallow_answers = False
    assert await send == EngineSent("3EB00001")
    assert world.network.texts() == ["zero", "one"], "repeated with its own id, it is delivered once"
    assert (await world.stored()).reserved_to == 2


async def test_a_frame_that_never_arrived_goes_before_newer_ones(world, eventually):
    await world.link("s1")
    host = await held(world)
    await host.send("s1", message("3EB00000", "zero"))
    world.network.lose_frames = True
    send = asyncio.create_task(host.send("s1", message("3EB00001", "one")))
    await eventually(lambda: world.network.lost == 1)
    world.network.wires[-1].cut()
    world.network.lose_frames = False
    await eventually(lambda: world.network.judge.stats().logins == 2)
    await eventually(lambda: host.find("s1").status is Status.CONNECTED)
    await host.send("s1", message("3EB00002", "two"))
    assert await send == EngineSent("3EB00001")
    assert world.network.texts() == ["zero", "one", "two"]


async def test_what_is_said_again_keeps_its_order(world, eventually):
    await world.link("s1")
    host = await held(world)
    world.network.lose_frames = True
    sends = [asyncio.create_task(host.send("s1", message(f"3EB0000{n}", str(n)))) for n in range(3)]
    await eventually(lambda: world.network.lost == 3)
    world.network.wires[-1].cut()
    world.network.lose_frames = False
    assert all(isinstance(outcome, EngineSent) for outcome in await asyncio.gather(*sends))
    assert world.network.texts() == ["0", "1", "2"]


async def test_a_message_reserved_while_the_connection_broke_goes_over_the_next_one(world, eventually):
    await world.link("s1")
    host = await held(world)
    world.database.open.clear()
    send = asyncio.create_task(host.send("s1", message()))
    await asyncio.sleep(0.005)
    world.network.wires[-1].cut()
    await eventually(lambda: host.find("s1").status is Status.DISCONNECTED)
    world.database.open.set()
    assert await send == EngineSent("3EB0AAAA")
    assert len(world.network.ledger) == 1


async def test_what_no_connection_comes_for_in_time_is_unknown_and_said_later(world, eventually):
    await world.link("s1")
    host = await held(world, resend_within_s=0.03)
    world.network.lose_frames = True
    send = asyncio.create_task(host.send("s1", message()))
    await eventually(lambda: world.network.lost == 1)
    world.network.unreachable = True
    world.network.wires[-1].cut()
    assert isinstance(await send, EngineUnknown)
    assert world.network.ledger == []
    world.network.unreachable = world.network.lose_frames = False
    await eventually(lambda: len(world.network.ledger) == 1)


# The next holder


async def test_a_holder_killed_before_its_frame_left_is_finished_by_the_next_one(any_network, eventually):
    world = any_network
    await world.link("s1")
    one = await held(world)
    await one.send("s1", message("3EB00000", "zero"))
    world.network.lose_frames = True
    lost = asyncio.create_task(one.send("s1", message("3EB00001", "one")))
    await eventually(lambda: world.network.lost == 1)
    world.kill(one)
    world.network.lose_frames = False
    two = await held(world, "http://two")
    assert await two.send("s1", message("3EB00001", "one")) == EngineSent("3EB00001"), "it joins what is on its way"
    await two.send("s1", message("3EB00002", "two"))
    assert world.network.texts() == ["zero", "one", "two"]
    assert [entry.label["epoch"] for entry in world.network.ledger] == [1, 2, 2]
    lost.cancel()


async def test_only_what_was_reserved_and_not_acknowledged_can_be_said_twice(any_network, eventually):
    world = any_network
    await world.link("s1")
    one = await held(world)
    await one.send("s1", message("3EB00000", "zero"))
    await eventually(lambda: settled(world, ("3EB00000", True)))
    world.network.swallow_answers = True
    lost = asyncio.create_task(one.send("s1", message("3EB00001", "one")))
    await eventually(lambda: world.network.texts() == ["zero", "one"])
    world.kill(one)
    world.network.swallow_answers = False
    two = await held(world, "http://two")
    assert await two.send("s1", message("3EB00001", "one")) == EngineSent("3EB00001")
    checked = world.network.judge.rules.drop_repeats
    assert world.network.texts() == (["zero", "one"] if checked else ["zero", "one", "one"])
    lost.cancel()


async def test_a_new_grant_in_the_same_process_repeats_nothing_that_was_acknowledged(any_network):
    """The gateway granted it anew to the same boot: what it noted under the old grant is refused by the vault."""
    world = any_network
    await world.link("s1")
    host = await held(world)
    await host.send("s1", message())
    await world.credentials.open("s1", epoch=2, holder=host.holder)
    again = await host.start("s1", 1, 2)
    assert (again.status, again.epoch) == (Status.CONNECTED, 2)
    assert world.network.judge.stats().sends == 1
    assert await host.send("s1", message("3EB0FFFF")) == EngineSent("3EB0FFFF")


async def test_what_waited_too_long_is_not_said_any_more(world, eventually):
    await world.link("s1")
    one = await held(world)
    world.network.lose_frames = True
    lost = asyncio.create_task(one.send("s1", message("3EB00001", "old")))
    await eventually(lambda: world.network.lost == 1)
    world.kill(one)
    world.network.lose_frames = False
    await asyncio.sleep(0.06)
    two = await held(world, "http://two", repeat_within_s=0.05)
    await eventually(lambda: nothing_unfinished(world))
    assert await two.send("s1", message("3EB00002", "new")) == EngineSent("3EB00002")
    assert world.network.texts() == ["new"]
    lost.cancel()


async def test_what_was_given_up_may_be_asked_for_again(world, eventually):
    await world.link("s1")
    one = await held(world)
    world.network.lose_frames = True
    lost = asyncio.create_task(one.send("s1", message("3EB00001", "old")))
    await eventually(lambda: world.network.lost == 1)
    world.kill(one)
    world.network.lose_frames = False
    await asyncio.sleep(0.06)
    two = await held(world, "http://two", repeat_within_s=0.05)
    await eventually(lambda: nothing_unfinished(world))
    await two.send("s1", message("3EB00002", "new"))
    assert await two.send("s1", message("3EB00001", "old")) == EngineSent("3EB00001")
    assert world.network.texts() == ["new", "old"]
    lost.cancel()


# A vault that does not answer


async def test_nothing_is_taken_in_while_the_vault_does_not_answer(world, eventually):
    await world.link("s1")
    host = await held(world, acknowledge_within_s=5.0)
    world.database.away = True
    first = asyncio.create_task(host.send("s1", message("3EB00001", "one")))
    await asyncio.sleep(0.02)
    behind = await host.send("s1", message("3EB00002", "two"))
    assert isinstance(behind, VaultAway), "it was not given to the vault, so it certainly does not leave"
    assert not first.done(), "the vault may have it"
    world.database.away = False
    assert await first == EngineSent("3EB00001")
    assert await host.send("s1", message("3EB00003", "three")) == EngineSent("3EB00003")
    assert world.network.texts() == ["one", "three"]


async def test_a_reservation_whose_answer_was_lost_is_found_again(any_network):
    world = any_network
    await world.link("s1")
    host = await held(world, acknowledge_within_s=5.0)
    world.database.mute = True
    sends = [asyncio.create_task(host.send("s1", message(f"3EB0000{n}", str(n)))) for n in range(3)]
    await asyncio.sleep(0.03)
    assert (await world.stored()).reserved_to == 3
    assert world.network.ledger == []
    world.database.mute = False
    assert all(isinstance(outcome, EngineSent) for outcome in await asyncio.gather(*sends))
    assert world.network.texts() == ["0", "1", "2"]
    assert (await world.stored()).reserved_to == 3


async def test_whoever_waits_for_an_answer_of_the_vault_too_long_hears_that_it_is_unknown(world):
    await world.link("s1")
    host = await held(world, acknowledge_within_s=0.05)
    world.database.mute = True
    assert isinstance(await host.send("s1", message()), EngineUnknown)


async def test_a_message_in_doubt_under_a_superseded_grant_is_unknown_and_left_to_the_next_holder(world, eventually):
    await world.link("s1")
    one = await held(world, acknowledge_within_s=5.0)
    world.database.mute = True
    send = asyncio.create_task(one.send("s1", message()))
    await eventually(lambda: reserved(world, 1))
    world.database.mute = False
    two = await held(world, "http://two")
    assert isinstance(await send, EngineUnknown)
    assert await two.send("s1", message()) == EngineSent("3EB0AAAA")
    assert len(world.network.ledger) == 1


# The end of a session


async def test_a_stop_lets_what_the_vault_has_come_to_its_end(world):
    await world.link("s1")
    host = await held(world)
    send = asyncio.create_task(host.send("s1", message()))
    await asyncio.sleep(0.001)
    assert await host.stop("s1") is True
    assert await send == EngineSent("3EB0AAAA")
    assert (await world.stored()).settled == (("3EB0AAAA", True),), "the next holder has nothing to repeat"


async def test_a_stop_turns_back_what_the_vault_was_not_asked_for(world):
    await world.link("s1")
    host = await held(world, stop_within_s=0.05)
    world.database.open.clear()
    first = asyncio.create_task(host.send("s1", message("3EB00001")))
    await asyncio.sleep(0.005)
    second = asyncio.create_task(host.send("s1", message("3EB00002")))
    await asyncio.sleep(0.005)
    stop = asyncio.create_task(host.stop("s1"))
    assert await second == NotConnected(Status.DISCONNECTED)
    await asyncio.sleep(0.08)
    world.database.open.set()
    assert isinstance(await first, EngineUnknown)
    await stop


async def test_a_session_that_was_left_lets_nothing_out_that_the_vault_gave_it_too_late(world, eventually):
    await world.link("s1")
    host = await held(world)
    real = world.credentials.reserve

    async def slow(grant, wanted):
        answer = await real(grant, wanted)
        await world.grant_elsewhere()
        host.find("s1").leave(2)
        return answer

    world.credentials.reserve = slow
    assert isinstance(await host.send("s1", message()), EngineUnknown)
    assert world.network.ledger == []
    assert (await world.stored()).unfinished == ("3EB0AAAA",)


async def settled(world, *wanted: tuple[str, bool]) -> bool:
    return (await world.stored()).settled[-len(wanted) :] == wanted


async def nothing_unfinished(world) -> bool:
    return (await world.stored()).unfinished == ()


async def reserved(world, count: int) -> bool:
    return (await world.stored()).reserved_to == count
