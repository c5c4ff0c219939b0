"""A host whose lease is in doubt: what it does not do, what it keeps, and how it goes on."""

import asyncio

import pytest

from homing.instance.host import NotFound, SessionHost
from homing.instance.notify.events import MessageReceived, SessionLeft, Status, StatusChanged
from homing.instance.session.messages import EngineSent, EngineUnknown, Message, Paused
from homing.model.instances.leases import Ended
from homing.model.instances.vault import Holder, StaleEpoch

FREEZE_S = 3.0
"""Far beyond the time after which these hosts pause."""


def message(name: str = "3EB0AAAA", text: str = "hi") -> Message:
    return Message(name, "62811", text)


async def held(world, *session_ids: str, url: str = "http://one", **policy: object) -> SessionHost:
    await world.link(*(session_ids or ("s1",)))
    host = world.host(url, **policy)
    await host.lease.trusted()
    for session_id in session_ids or ("s1",):
        assert (await host.start(session_id, 1)).status is Status.CONNECTED
    return host


def freeze(world) -> None:
    """What a process meets that was stopped for so long: its clock has run on, and the world too."""
    world.clock.jump(FREEZE_S)


# A freeze


async def test_whoever_wakes_from_a_freeze_sends_nothing_before_its_lease_is_renewed(world):
    host = await held(world)
    world.database.open.clear()
    freeze(world)
    assert await host.send("s1", message()) == Paused()
    assert world.network.ledger == []
    world.database.open.set()
    await host.lease.trusted()
    assert await host.send("s1", message()) == EngineSent("3EB0AAAA")
    assert world.network.judge.stats().logins == 1, "its connection was there all the time"


async def test_a_send_caught_by_a_freeze_in_the_middle_of_its_reservation_does_not_leave_while_paused(world):
    host = await held(world, acknowledge_within_s=5.0)
    world.database.open.clear()
    send = asyncio.create_task(host.send("s1", message()))
    await asyncio.sleep(0.01)
    world.blocked_leases = True
    freeze(world)
    world.database.open.set()
    await asyncio.sleep(0.03)
    assert (await world.stored()).unfinished == ("3EB0AAAA",)
    assert world.network.ledger == []
    world.blocked_leases = False
    assert await send == EngineSent("3EB0AAAA"), "it goes out once the lease is held again"
    assert len(world.network.ledger) == 1


async def test_what_waits_behind_a_reservation_is_not_reserved_once_its_boot_is_paused(world, eventually):
    host = await held(world, acknowledge_within_s=5.0)
    world.database.open.clear()
    first = asyncio.create_task(host.send("s1", message()))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(host.send("s1", message("3EB0BBBB")))
    await asyncio.sleep(0.01)
    world.blocked_leases = True
    freeze(world)
    world.database.open.set()
    assert await second == Paused()
    assert (await world.stored()).unfinished == ("3EB0AAAA",)
    world.blocked_leases = False
    assert await first == EngineSent("3EB0AAAA")


async def test_a_send_caught_by_a_freeze_is_said_once_by_the_next_holder(world, eventually):
    host = await held(world, acknowledge_within_s=5.0)
    world.database.open.clear()
    send = asyncio.create_task(host.send("s1", message()))
    await asyncio.sleep(0.01)
    world.blocked_leases = True
    freeze(world)
    world.database.open.set()
    await asyncio.sleep(0.02)
    two = world.host("http://two", world.another_clock(), leases=world.other_leases)
    assert (await two.start("s1", 1)).status is Status.CONNECTED
    assert isinstance(await send, EngineUnknown)
    assert [entry.label["epoch"] for entry in world.network.ledger] == [2]
    world.blocked_leases = False
    await eventually(lambda: host.find("s1") is None)
    await asyncio.sleep(0.02)
    assert len(world.network.ledger) == 1


async def test_a_frozen_host_whose_sessions_were_granted_elsewhere_leaves_those_and_keeps_the_others(world, eventually):
    host = await held(world, "s1", "s2", "s3")
    world.database.open.clear()
    freeze(world)
    world.database.open.set()
    await world.grant_elsewhere("s1")
    await world.grant_elsewhere("s3")
    await host.lease.trusted()
    await eventually(lambda: [session.session_id for session in host.sessions()] == ["s2"])
    assert await host.send("s1", message(), epoch=1) == NotFound()
    assert await host.send("s2", message()) == EngineSent("3EB0AAAA")
    left = {event.about.session_id for event in world.events if isinstance(event, SessionLeft)}
    assert left == {"s1", "s3"}


async def test_a_paused_host_does_not_reconnect_and_does_when_it_may_again(world, eventually):
    host = await held(world)
    world.blocked_leases = True
    freeze(world)
    world.network.wires[-1].cut()
    await asyncio.sleep(0.05)
    assert world.network.judge.stats().logins == 1
    world.blocked_leases = False
    await eventually(lambda: world.network.judge.stats().logins == 2)
    await eventually(lambda: host.find("s1").status is Status.CONNECTED)
    assert await host.send("s1", message()) == EngineSent("3EB0AAAA")


async def test_a_paused_host_lets_whatsapp_keep_what_comes_in(world, eventually):
    await held(world)
    world.blocked_leases = True
    freeze(world)
    world.network.exchange._told(world.network.judge.deliver("s1", "62899", "halo", 0.0))
    await asyncio.sleep(0.05)
    assert len(world.network.judge.devices["s1"].waiting) == 1
    world.blocked_leases = False
    await eventually(lambda: not world.network.judge.devices["s1"].waiting)
    await eventually(lambda: any(isinstance(event, MessageReceived) for event in world.events))


async def test_a_paused_host_writes_nothing(world, eventually):
    host = await held(world)
    world.network.swallow_answers = True
    send = asyncio.create_task(host.send("s1", message()))
    await eventually(lambda: len(world.network.ledger) == 1)
    world.blocked_leases = True
    freeze(world)
    before = world.database.writes
    world.network.swallow_answers = False
    host.find("s1")._connection.wire._answered(1, {"ok": True})
    assert await send == EngineSent("3EB0AAAA"), "it had left before, and WhatsApp has it"
    await asyncio.sleep(0.1)
    assert world.database.writes == before
    assert (await world.stored()).unfinished == ("3EB0AAAA",)
    world.blocked_leases = False
    await eventually(lambda: noted(world))


# A store that is away


async def test_while_the_store_is_away_a_host_pauses_and_nobody_is_logged_out(world, eventually):
    host = await held(world, "s1", "s2")
    world.database.away = True
    await eventually(lambda: not host.lease.may_act())
    assert await host.send("s1", message()) == Paused()
    await asyncio.sleep(0.3)
    assert [session.status for session in host.sessions()] == [Status.CONNECTED] * 2
    assert world.network.judge.stats().connected == 2
    world.database.away = False
    await host.lease.trusted()
    assert await host.send("s1", message()) == EngineSent("3EB0AAAA")
    assert [session.epoch for session in host.sessions()] == [1, 1]
    assert not [event for event in world.events if isinstance(event, StatusChanged) and event.error]


# A boot that was declared ended


async def test_a_boot_declared_ended_drops_everything_and_begins_with_nothing(world, eventually):
    host = await held(world, "s1", "s2")
    before = host.holder
    await world.leases.end("http://one", Ended.EXITED)
    await eventually(lambda: host.sessions() == [])
    await eventually(lambda: world.network.judge.stats().connected == 0)
    await host.lease.trusted()
    assert host.holder != before
    assert host.holder.instance_url == before.instance_url
    again = await host.start("s1", 1)
    assert (again.status, again.epoch, again.grant.holder) == (Status.CONNECTED, 2, host.holder)


# A store with another history


async def test_a_login_that_a_forgetful_vault_refuses_is_kept_once_its_grant_was_declared_again(world, eventually):
    """Whoever left for that refusal would take its epoch along, and another holder could be given the same."""
    host = await held(world, "s1")
    for _ in range(3):
        await host.start("s1", 1, host.find("s1").epoch + 1)
    own = host.find("s1")._own
    await world.forget_grants("s1", epoch=2)
    saving = asyncio.create_task(own.save(own.grant.login))
    await asyncio.sleep(0.1)
    assert not saving.done()
    await world.become_another_store()
    assert await asyncio.wait_for(saving, 5) is None
    assert host.find("s1").epoch == (await world.stored("s1")).epoch == 4


async def test_after_a_failover_grants_are_declared_again_before_anything_is_written(world, eventually):
    """The store lost its newest commits: our grants, and one that took a session from us is newer than that."""
    host = await held(world, "s1", "s2")
    for _ in range(3):
        await host.start("s1", 1, host.find("s1").epoch + 1)
    await host.send("s1", message("3EB00001"))
    assert host.find("s1").epoch == 4
    await world.forget_grants("s1", epoch=2)
    await world.grant_elsewhere("s2")
    await world.as_if_raised("s2", epoch=7)
    await world.become_another_store()
    await eventually(lambda: host.find("s2") is None)
    await host.lease.trusted()
    stored = await world.stored("s1")
    assert (stored.epoch, stored.holder, stored.reserved_to) == (4, "http://one", 1)
    assert await host.send("s1", message("3EB00002")) == EngineSent("3EB00002")
    assert (await world.stored("s2")).epoch == 7


async def test_a_store_behind_our_grant_proves_nothing(world):
    """Until it is known why, the session is neither left nor used."""
    host = await held(world)
    await host.start("s1", 1, 5)
    await world.forget_grants("s1", epoch=3)
    outcome = await host.send("s1", message())
    assert outcome.reason == "the vault has lost its newest commits"
    assert host.find("s1") is not None
    assert world.network.ledger == []


# Whoever knows of a higher epoch


async def test_a_session_in_doubt_says_nothing_until_the_vault_was_asked(world, eventually):
    host = await held(world)
    world.database.open.clear()
    doubted = asyncio.create_task(host.send("s1", message("3EB00009"), epoch=9))
    await asyncio.sleep(0.005)
    assert await host.send("s1", message("3EB00001"), epoch=1) == Paused()
    world.database.open.set()
    assert await doubted == StaleEpoch(1)
    assert await host.send("s1", message("3EB00001"), epoch=1) == EngineSent("3EB00001"), (
        "the vault knew of nothing higher"
    )


@pytest.mark.parametrize("act", ["stop", "logout"])
async def test_whoever_means_a_later_holding_ends_nothing_here_but_makes_us_look(world, act):
    host = await held(world)
    await world.grant_elsewhere()
    assert await getattr(host, act)("s1", epoch=2) == StaleEpoch(1)
    assert host.find("s1") is None
    stored = await world.stored()
    assert (stored.epoch, stored.holder, stored.has_login) == (2, "http://elsewhere", True)


# Ordered ends


async def test_a_session_granted_to_this_very_boot_is_left_to_whoever_starts_it(world):
    first = await held(world, "s1", "s2")
    await first.shutdown()
    again = world.host("http://one")
    await again.lease.trusted()
    await world.credentials.open("s2", epoch=None, holder=Holder("http://one", again.holder.incarnation))
    await again.restore()
    assert [(session.session_id, session.epoch) for session in again.sessions()] == [("s1", 2)]
    started = await again.start("s2", 1, 2)
    assert (started.status, started.epoch) == (Status.CONNECTED, 2)


async def noted(world) -> bool:
    return (await world.stored()).settled == (("3EB0AAAA", True),)
